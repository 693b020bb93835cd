"""A deployment with what a bake of it needs, and the whole of `mngen bake` in one call."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mngen._aws import client
from mngen.cluster import AMIS_FILE, AmiFile
from mngen.errors import OutOfDateError
from mngen.images._bake import BakeResult, Options, bake, log_stage
from mngen.images._engines import choose_engine
from mngen.images._leftovers import Leftover, find_leftovers
from mngen.images._plan import chosen_images
from mngen.images._site import Site
from mngen.images._survey import Survey, look
from mngen.rules import open_cluster

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mngen.cluster import Cluster
    from mngen.images._cancel import Cancel

EngineChoice = Literal["packer", "direct"]


@dataclass(frozen=True, slots=True)
class Baking:
    """A deployment with what a bake of it needs.

    Attributes:
        cluster: The cluster.
        site: What the first apply made.
        tree: The rendered tree.
        record: The file of AMIs.
        options: How builders are reached.
    """

    cluster: Cluster
    site: Site
    tree: Path
    record: AmiFile
    options: Options = field(default_factory=Options)

    @classmethod
    def of(
        cls,
        cluster: Cluster,
        outputs: Mapping[str, Any],
        tree: Path,
        *,
        record: AmiFile | None = None,
        options: Options | None = None,
    ) -> Baking:
        """Returns what a bake needs of a deployment that was applied.

        Args:
            cluster: The cluster.
            outputs: Values by output name, as `Terraform.outputs()` returns them.
            tree: The rendered tree.
            record: The file of AMIs; None for the tree's own.
            options: How builders are reached; None for the spec's way.

        Raises:
            InputError: Nothing was applied yet.
        """
        return cls(
            cluster,
            Site.from_outputs(outputs),
            tree,
            record or AmiFile(tree / AMIS_FILE),
            options or Options(),
        )

    def leftovers(self) -> list[Leftover]:
        """Returns what earlier bakes have left, or one that runs elsewhere has started.

        Raises:
            ToolError: AWS did not answer.
        """
        spec = self.cluster.spec
        return find_leftovers(client("ec2", spec.region), spec.name)

    def look(self, types: tuple[str, ...] = (), *, force: bool = False) -> Survey:
        """Finds out what there is to bake, changing nothing.

        Args:
            types: Instance types of the spec; none for all.
            force: Bake them whatever is recorded.

        Raises:
            InputError: The spec has no such type, the record is damaged, or there are no playbooks.
            ToolError: AWS did not answer.
        """
        return look(
            self.cluster,
            self.site,
            tree=self.tree,
            record=self.record,
            images=chosen_images(self.cluster, types),
            force=force,
        )

    def bake(
        self,
        survey: Survey,
        engine: EngineChoice | None = None,
        *,
        keep: bool = False,
        cancel: Cancel | None = None,
        on_progress: Callable[[str, str], None] = log_stage,
    ) -> BakeResult:
        """Bakes what a survey found.

        Args:
            survey: From `look`.
            engine: What bakes; None for Packer where it is on PATH.
            keep: Whether to leave a builder running whose bake failed.
            cancel: The user's interrupt.
            on_progress: Is called with an image's name and its stage, from several threads; logs
                them by default.

        Raises:
            InputError: Another bake into the same record is running.
            ToolError: AWS or a program is not available.
        """
        return bake(
            survey,
            record=self.record,
            engine=choose_engine(engine),
            options=replace(self.options, keep=keep),
            cancel=cancel,
            on_progress=on_progress,
        )


def require_rendered(cluster: Cluster, file: Path, tree: Path) -> None:
    """Refuses a tree whose playbooks and templates are not those of the spec.

    Args:
        cluster: The spec's cluster.
        file: The spec.
        tree: The rendered tree.

    Raises:
        OutOfDateError: Files that a bake uses differ from what would be rendered.
    """
    from mngen.render import Deployment, render

    changes = Deployment(tree).compare(render(cluster, source=file.name))
    stale = [
        path
        for path in (*changes.added, *changes.changed, *changes.removed)
        if path.startswith(("packer/", "playbooks/"))
    ]
    if stale:
        raise OutOfDateError(
            f"{tree / stale[0]} does not match {file}"
            + (f", and {len(stale) - 1} more files" if stale[1:] else ""),
            hint=f"run mngen render --file {file} --out {tree}",
        )


def bake_file(
    file: str | Path,
    tree: str | Path = "deploy",
    *,
    types: tuple[str, ...] = (),
    engine: EngineChoice | None = None,
    force: bool = False,
    keep: bool = False,
    cancel: Cancel | None = None,
    on_progress: Callable[[str, str], None] = log_stage,
) -> BakeResult:
    """Bakes the AMIs of a spec on AWS: all that `mngen bake` does, in one call.

    Args:
        file: The spec, such as `mngen.yaml`.
        tree: The rendered tree, applied once.
        types: Instance types of the spec to bake for; none for all.
        engine: What bakes; None for Packer where it is on PATH.
        force: Bake AMIs even if they are up to date.
        keep: Whether to leave a builder running whose bake failed; it costs money.
        cancel: The user's interrupt.
        on_progress: Is called with an image's name and its stage, from several threads; logs them
            by default.

    Returns:
        What became of each AMI. Those that are there are recorded in the tree.

    Raises:
        InputError: The spec has errors, or nothing was applied yet.
        OutOfDateError: The tree is not what the spec renders to.
        ToolError: AWS or a program is not available.
    """
    from mngen.terraform import Terraform

    file, tree = Path(file), Path(tree)
    cluster = open_cluster(file)
    require_rendered(cluster, file, tree)
    baking = Baking.of(cluster, Terraform(tree / "terraform").outputs(), tree)
    return baking.bake(
        baking.look(types, force=force), engine, keep=keep, cancel=cancel, on_progress=on_progress
    )
