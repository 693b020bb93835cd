"""Which images are to be baked, and why: pure, from what is wanted, recorded and there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from mngen.cluster import BakedFrom, builder_volume, fsx_folders, preloaded_images
from mngen.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from mngen.cluster import AmiRecord, Cluster, MachineImage

CHANGES = {
    "architecture": "the architecture changed",
    "base": "the base system changed",
    "base_ami": "there is another base image",
    "nr_cpus": "the limit of CPUs changed",
    "efa": "EFA changed",
    "efa_version": "the version of the EFA installer changed",
    "gpu": "the drivers of GPUs changed",
    "efs": "the file system changed",
    "mount": "the mount point changed",
    "tls": "the way to mount changed",
    "iam": "mounting with IAM changed",
    "access_point": "the access point changed",
    "fsx": "the FSx for Lustre file system changed",
    "fsx_mount": "the mount point of FSx for Lustre changed",
    "fsx_folders": "the folders that are exported to S3 changed",
    "scratch": "the scratch space changed",
    "kms_key": "the key of its snapshots changed",
    "packages": "the packages changed",
    "own_playbooks": "the list of playbooks changed",
    "playbooks": "the playbooks changed",
    "preload": "the container image to preload changed",
    "volume": "the size of the root volume changed",
}
"""What is reported of an input of an AMI that is no longer as wanted."""


class Target(msgspec.Struct, frozen=True):
    """One image that is to be baked.

    Attributes:
        image: The image.
        baked_from: What it will be made of.
        reason: Why it is baked, in a few words.
    """

    image: MachineImage
    baked_from: BakedFrom
    reason: str


class Kept(msgspec.Struct, frozen=True):
    """One image that needs no bake.

    Attributes:
        image: The image.
        record: What was baked before.
    """

    image: MachineImage
    record: AmiRecord

    @property
    def reason(self) -> str:
        """Why it is kept, in a few words."""
        return "up to date" if self.record.baked_from else "recorded by hand"


class BakePlan(msgspec.Struct, frozen=True):
    """What a bake would do."""

    targets: tuple[Target, ...]
    kept: tuple[Kept, ...]


def wanted_inputs(
    cluster: Cluster,
    image: MachineImage,
    *,
    efs: str,
    base_amis: Mapping[str, str],
    playbooks: str,
    fsx: str = "",
    digest: str = "",
) -> BakedFrom:
    """Returns what an image of a cluster is made of.

    Args:
        cluster: The cluster.
        image: One of its images.
        efs: Id of the file system.
        base_amis: The AMIs to start from, by their kind, if the spec does not name them.
        playbooks: The playbooks' digest.
        fsx: Id of the FSx for Lustre file system; empty for none.
        digest: That of the container image in the deployment's repository, for AMIs that get it.
    """
    spec = cluster.spec
    preload = tuple(each or digest for each in preloaded_images(cluster, image))
    lustre = spec.storage.fsx
    return BakedFrom(
        architecture=image.architecture,
        base=spec.image.base,
        base_ami=spec.image.base_amis.of(image.base_kind) or base_amis[image.base_kind],
        nr_cpus=image.nr_cpus,
        efa=image.efa,
        efs=efs,
        mount=spec.storage.efs.mount,
        tls=spec.storage.efs.tls,
        playbooks=playbooks,
        iam=spec.storage.efs.iam,
        access_point=spec.storage.efs.access_point,
        kms_key=spec.image.kms_key,
        gpu=image.gpu,
        fsx=fsx if lustre else None,
        fsx_mount=spec.storage.fsx_mount,
        fsx_folders=fsx_folders(lustre),
        scratch=image.scratch,
        packages=tuple(sorted(spec.image.packages)),
        own_playbooks=spec.image.playbooks,
        efa_version=spec.image.efa_version if image.efa else None,
        preload=preload,
        volume=builder_volume(cluster, image) if preload else None,
    )


def plan_bake(
    wanted: Mapping[MachineImage, BakedFrom],
    records: Mapping[str, AmiRecord],
    *,
    there: Collection[str],
    force: bool = False,
) -> BakePlan:
    """Decides which images are baked.

    Args:
        wanted: What each image is to be made of.
        records: What was baked before, by the images' names.
        there: The AMIs among the recorded ones that exist and can be used.
        force: Bake all of them, whatever is recorded.
    """
    targets = []
    kept = []
    for image, baked_from in wanted.items():
        recorded = [records[name] for name in image.names if name in records]
        reasons = {each: _why_again(each, baked_from, there) for each in recorded}
        current = next((each for each, reason in reasons.items() if reason is None), None)
        if current is not None and not force:
            kept.append(Kept(image, current))
            continue
        reason = "asked for" if current else next(iter(reasons.values()), None)
        targets.append(Target(image, baked_from, reason or "not baked yet"))
    return BakePlan(tuple(targets), tuple(kept))


def differences(
    old: BakedFrom, new: BakedFrom, *, unknown: Collection[str] = frozenset()
) -> list[str]:
    """Returns in which inputs an image differs from what is wanted.

    Args:
        old: What it was baked from.
        new: What it would be baked from now.
        unknown: Fields of `new` that are not known, and not compared.
    """
    return [
        words
        for name, words in CHANGES.items()
        if name not in unknown and getattr(old, name) != getattr(new, name)
    ]


def _why_again(record: AmiRecord, wanted: BakedFrom, there: Collection[str]) -> str | None:
    if record.id not in there:
        return f"{record.id} is gone"
    if record.baked_from is None:
        return None
    return ", ".join(differences(record.baked_from, wanted)) or None


def chosen_images(cluster: Cluster, types: Collection[str]) -> tuple[MachineImage, ...]:
    """Returns the images that serve the given instance types; all of them for none.

    Raises:
        InputError: No environment of the spec has a type; names the nearest ones.
    """
    if not types:
        return cluster.machine_images
    names: set[str] = set()
    known: dict[str, set[str]] = {}
    for environment in cluster.environments:
        made = set() if environment.spec.image else {environment.image}
        for kind in environment.types:
            known.setdefault(kind.name, set()).update(made)
    for each in types:
        if each not in known:
            raise InputError(
                f"no environment of the spec has the instance type `{each}`",
                hint=did_you_mean(each, known) or f"they have {', '.join(sorted(known))}",
            )
        if not known[each]:
            raise InputError(
                f"every environment with `{each}` has an existing AMI",
                hint="remove `image` from an environment to bake one for it",
            )
        names |= known[each]
    return tuple(image for image in cluster.machine_images if names & set(image.names))
