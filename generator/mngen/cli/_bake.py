"""How `mngen bake` opens a deployment, and shows its progress."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mngen._signals import ENDINGS, take_signals
from mngen.cli._console import report
from mngen.cli._session import cluster_of, opened_terraform

if TYPE_CHECKING:
    from collections.abc import Callable

    from mngen.images import BakeResult, Baking, Cancel, Survey


def bake_with_progress(
    baking: "Baking", survey: "Survey", engine: "Literal['packer', 'direct'] | None", *, keep: bool
) -> "BakeResult":
    """Bakes, showing a line for each image, and takes the user's interrupts meanwhile."""
    from mngen.images import Cancel

    cancel = Cancel()
    names = [target.image.name for target in survey.plan.targets]
    with _interrupts(cancel), _progress(names) as on_progress:
        return baking.bake(survey, engine, keep=keep, cancel=cancel, on_progress=on_progress)


@contextmanager
def opened_for_baking(file: Path, out: Path, *, sandbox: bool) -> Iterator["Baking"]:
    """Opens a deployment to bake images for it.

    Args:
        file: The spec.
        out: The rendered tree.
        sandbox: Whether to work on the emulated AWS.

    Raises:
        InputError: The spec has errors, the tree is not what it renders to, or nothing was applied.
    """
    from mngen.images import Baking, Options, require_rendered

    cluster = cluster_of(file)
    require_rendered(cluster, file, out)
    with opened_terraform(out, sandbox=sandbox, region=cluster.spec.region) as terraform:
        outputs = terraform.outputs()
        if not sandbox:
            yield Baking.of(cluster, outputs, out)
            return
        from mngen.cluster import AmiFile
        from mngen.sandbox import prepare_machines
        from mngen.terraform import SANDBOX_AMIS

        record, options = AmiFile(terraform.folder / SANDBOX_AMIS), Options.for_sandbox()
        baking = Baking.of(cluster, outputs, out, record=record, options=options)
        prepare_machines()
        yield baking


_AT_INTERRUPT = (
    "interrupted: terminating the builders; press Ctrl-C twice more to stop waiting for that",
    "still terminating the builders; press Ctrl-C once more to stop waiting",
    "stopped waiting: run mngen ami cleanup for what is left",
)


@contextmanager
def _interrupts(cancel: "Cancel") -> Iterator[None]:
    """Hands Ctrl-C on to the bake, which first deletes what it has created."""
    says = iter(_AT_INTERRUPT)

    def take() -> None:
        cancel()
        if line := next(says, None):
            report(line)

    with take_signals(take, ENDINGS):
        yield


@contextmanager
def _progress(names: list[str]) -> Iterator["Callable[[str, str], None]"]:
    """Shows a line for each image: its stage, and how long the bake has taken.

    On a terminal the lines are kept up to date; elsewhere, each stage is a separate line.

    Yields:
        What is called with an image's name and its stage, from any thread.
    """
    if not sys.stderr.isatty():
        start = time.monotonic()
        width = max((len(name) for name in names), default=0)
        yield lambda name, stage: report(
            f"{name:<{width}}  {time.monotonic() - start:5.0f} s  {stage}"
        )
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[stage]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True)) as shown:
        tasks = {name: shown.add_task(name, total=1, stage="") for name in names}

        def on_progress(name: str, stage: str) -> None:
            ended = stage.startswith(("done", "failed", "interrupted"))
            shown.update(tasks[name], stage=stage, completed=int(ended))

        yield on_progress
