"""What `bake`, `images` and `sweep` share on the command line."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mngen._signals import ENDINGS, take_signals
from mngen.cli._terraform import opened, report

if TYPE_CHECKING:
    from collections.abc import Callable

    from mngen.cluster import AmiFile, Cluster
    from mngen.errors import Problem
    from mngen.images import BakeResult, Baking, Cancel, Survey


def bake_with_progress(
    baking: "Baking", survey: "Survey", engine: "Literal['packer', 'direct'] | None", *, keep: bool
) -> "BakeResult":
    """Bakes, showing a line for each image, and takes the user's interrupts meanwhile."""
    from mngen.images import Cancel

    cancel = Cancel()
    names = [target.image.name for target in survey.plan.targets]
    with _interrupts(cancel), _progress(names) as tell:
        return baking.bake(survey, engine, keep=keep, cancel=cancel, on_progress=tell)


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
    region = cluster.spec.region
    with opened(out, sandbox=sandbox) as terraform, account_of(region, sandbox=sandbox):
        outputs = terraform.outputs()
        if not sandbox:
            yield Baking.of(cluster, outputs, out)
            return
        from mngen.sandbox import prepare_machines

        record, options = record_of(out, sandbox=True), Options.for_sandbox()
        baking = Baking.of(cluster, outputs, out, record=record, options=options)
        prepare_machines(report)
        yield baking


def record_of(out: Path, *, sandbox: bool) -> "AmiFile":
    """Returns the record of machine images: the rendered tree's, or the sandbox's own.

    Args:
        out: The rendered tree.
        sandbox: Whether the images are those of the emulated AWS.
    """
    from mngen.cluster import AMIS_FILE, AmiFile

    if not sandbox:
        return AmiFile(out / AMIS_FILE)
    from mngen.terraform import SANDBOX_AMIS

    with opened(out, sandbox=True) as terraform:
        return AmiFile(terraform.folder / SANDBOX_AMIS)


def cluster_of(file: Path) -> "Cluster":
    """Returns the cluster of a spec.

    Raises:
        InputError: The spec has errors.
    """
    from mngen.rules import open_cluster

    return open_cluster(file)


def account_of(region: str, *, sandbox: bool) -> Any:
    """Returns a context in which this process talks to the emulated AWS, or one that does nothing.

    Args:
        region: AWS region.
        sandbox: Whether to talk to the emulated one.
    """
    if not sandbox:
        return nullcontext()
    from mngen.sandbox import open_sandbox

    return open_sandbox(tell=report).applied(region)


def stale_images_of(file: Path, out: Path) -> "list[Problem]":
    """Returns a warning for each recorded image that is no longer what the spec asks for.

    Args:
        file: A spec without errors.
        out: The rendered tree, with the record.

    Raises:
        InputError: The record is damaged.
    """
    record = record_of(out, sandbox=False)
    if not record.path.exists():
        return []
    from mngen.images import stale_images

    return stale_images(cluster_of(file), record)


_AT_INTERRUPT = (
    "interrupted: ending the builders first",
    "still ending the builders; once more to give up on that",
    "giving up: `mngen ami cleanup` ends what is left",
)


@contextmanager
def _interrupts(cancel: "Cancel") -> Iterator[None]:
    """Hands Ctrl-C and its like on to the bake, which ends what it started before it ends."""
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

    On a terminal the lines are kept up to date; elsewhere, each stage is a line of its own.

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

        def tell(name: str, stage: str) -> None:
            ended = stage.startswith(("done", "failed", "interrupted"))
            shown.update(tasks[name], stage=stage, completed=int(ended))

        yield tell
