"""What an engine is given, and what it must do."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from mngen.cluster import BUILDER_VOLUME, IMAGE_TAG, INPUTS_TAG, NR_CPUS_TAG, RUN_TAG

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mngen.images._cancel import Cancel
    from mngen.images._plan import Target
    from mngen.images._site import Lustre, Site


@dataclass(frozen=True, slots=True)
class Run:
    """What all images of one bake share.

    Attributes:
        name: The deployment.
        region: AWS region.
        suffix: What makes the names of this bake unique; letters and digits.
        site: What the first apply made.
        security_group_ids: Security groups of the builders.
        connection: `public-ip`, `private-ip` or `session-manager`.
        ssh_port: Port of the builders' sshd.
        ssh_seconds: How long to wait until a builder lets us in.
        tags: Tags of everything, the deployment's among them.
        base_amis: The AMIs to start from, by their kind.
        efa_installer: Where the EFA installer is copied from; empty for AWS's own site.
        kms_key: ARN of the key that volumes are encrypted with; empty for the account's default.
        lustre: The FSx for Lustre file system to mount; None for none.
        pulls: Whether builders can pull container images.
        templates: The rendered tree's `packer/` and `playbooks/`, copied for this bake.
        keep: Leave a builder running whose bake failed, to look at it.
        cancel: The user's interrupt.
        on_progress: Is called with an image's name and its stage, from several threads.
    """

    name: str
    region: str
    suffix: str
    site: Site
    security_group_ids: tuple[str, ...]
    connection: str
    ssh_port: int
    ssh_seconds: int
    tags: Mapping[str, str]
    base_amis: Mapping[str, str]
    efa_installer: str
    kms_key: str
    lustre: Lustre | None
    pulls: bool
    templates: Path
    keep: bool
    cancel: Cancel
    on_progress: Callable[[str, str], None]

    def show(self, name: str, stage: str) -> None:
        """Shows the stage of an image.

        Output that cannot be written must not leave a builder running.
        """
        with suppress(OSError, ValueError):
            self.on_progress(name, stage)


@dataclass(frozen=True, slots=True)
class Job:
    """One image to bake.

    Attributes:
        run: What it shares with the others.
        target: The image.
        variables: The playbook's variables.
        subnet: Where its builder is started.
        folder: A private folder for its files.
        log: The file with the programs' output.
    """

    run: Run
    target: Target
    variables: Mapping[str, object]
    subnet: str
    folder: Path
    log: Path

    def show(self, stage: str) -> None:
        """Shows the image's stage, in a few words."""
        self.run.show(self.name, stage)

    @property
    def name(self) -> str:
        """The image's name."""
        return self.target.image.name

    @property
    def volume(self) -> int:
        """Size of the builder's root volume, GiB."""
        return self.target.baked_from.volume or BUILDER_VOLUME

    @property
    def resource_name(self) -> str:
        """The name of its AMI; unique."""
        return f"{self.run.name}-{self.name}-{self.run.suffix}"

    @property
    def key_pair_name(self) -> str:
        """The name of its temporary key pair, by which the baker's policy knows it; unique."""
        return f"{self.run.name}-bake-{self.target.image.label}-{self.run.suffix}"

    @property
    def run_tags(self) -> dict[str, str]:
        """Tags of everything that the bake deletes again."""
        return {**self.run.tags, IMAGE_TAG: self.name, RUN_TAG: self.run.suffix}

    @property
    def ami_tags(self) -> dict[str, str]:
        """Tags of the AMI."""
        return {
            **self.run.tags,
            IMAGE_TAG: self.name,
            NR_CPUS_TAG: str(self.target.image.nr_cpus or 0),
            INPUTS_TAG: self.target.baked_from.digest,
        }


class Engine(Protocol):
    """Makes an AMI: launches a builder, runs the playbook on it, takes the image, terminates it."""

    def prepare(self, templates: Path) -> None:
        """Prepares the bake's copy of the rendered templates; is called once, before all images.

        Raises:
            ToolError: The engine cannot work here.
        """
        ...

    def bake(self, job: Job) -> str:
        """Returns the id of the AMI, which is available and verified.

        Everything that it started is gone when it returns or raises, unless `run.keep` is set.

        Raises:
            CapacityError: The zone has no capacity for the builder.
            ToolError: Something else failed.
            InterruptedRunError: The user interrupted.
        """
        ...
