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
    from mngen.images import BakeResult, Cancel, Options, Site, Survey


class Baking:
    """A deployment with what a bake of it needs.

    Args:
        cluster: The cluster.
        site: What the first apply made.
        tree: The rendered tree.
        record: The file of machine images.
        options: How builders are reached.
    """

    def __init__(
        self, cluster: "Cluster", site: "Site", tree: Path, record: "AmiFile", options: "Options"
    ) -> None:
        self._cluster = cluster
        self._site = site
        self._tree = tree
        self._record = record
        self._options = options

    @property
    def leftovers(self) -> str:
        """Says what bakes have started and not ended, such as `2 instances`; or nothing."""
        from mngen._aws import client
        from mngen.images import find_leftovers

        spec = self._cluster.spec
        found = find_leftovers(client("ec2", spec.region), spec.name)
        count = sum(each.kind == "instance" for each in found)
        return f"{count} builder{'s' if count > 1 else ''}" if count else ""

    def look(self, types: tuple[str, ...], *, force: bool) -> "Survey":
        """Finds out what there is to bake for the given instance types, or all."""
        from mngen.images import chosen_images, look

        images = chosen_images(self._cluster, types)
        return look(
            self._cluster,
            self._site,
            tree=self._tree,
            record=self._record,
            images=images,
            force=force,
        )

    def bake(
        self, survey: "Survey", engine: "Literal['packer', 'direct'] | None", *, keep: bool
    ) -> "BakeResult":
        """Bakes, showing a line for each image, and takes the user's interrupts meanwhile."""
        from dataclasses import replace

        from mngen.images import Cancel, bake, choose_engine

        cancel = Cancel()
        names = [target.image.name for target in survey.plan.targets]
        with _interrupts(cancel), _progress(names) as tell:
            return bake(
                survey,
                record=self._record,
                engine=choose_engine(engine),
                options=replace(self._options, keep=keep),
                cancel=cancel,
                tell=tell,
            )


@contextmanager
def opened_for_baking(file: Path, out: Path, *, sandbox: bool) -> Iterator[Baking]:
    """Opens a deployment to bake images for it.

    Args:
        file: The spec.
        out: The rendered tree.
        sandbox: Whether to work on the emulated AWS.

    Raises:
        InputError: The spec has errors, the tree is not what it renders to, or nothing was applied.
    """
    from mngen.errors import OutOfDateError
    from mngen.images import Options, Site
    from mngen.render import Deployment, render

    cluster = cluster_of(file)
    changes = Deployment(out).compare(render(cluster, source=file.name))
    stale = [
        path
        for path in (*changes.added, *changes.changed, *changes.removed)
        if path.startswith(("packer/", "playbooks/"))
    ]
    if stale:
        raise OutOfDateError(
            f"{out / stale[0]} is not what {file} renders to"
            + (f", nor are {len(stale) - 1} more files" if stale[1:] else ""),
            hint=f"run `mngen render --file {file} --out {out}` first",
        )
    region = cluster.spec.region
    with opened(out, sandbox=sandbox) as terraform, account_of(region, sandbox=sandbox):
        site = Site.from_outputs(terraform.outputs())
        if sandbox:
            from mngen.sandbox import prepare_machines

            prepare_machines(report)
            options = Options.for_sandbox()
        else:
            options = Options()
        yield Baking(cluster, site, out, record_of(out, sandbox=sandbox), options)


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
