"""Which recorded images are no longer what the spec asks for, as far as it is known without AWS."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mngen import _resources
from mngen.cluster import DIGESTS_FILE, OWN_FOLDER, DigestFile
from mngen.errors import Problem, Severity
from mngen.images._digest import playbooks_digest
from mngen.images._plan import CHANGES, differences, wanted_inputs
from mngen.spec import ImageFromFiles, dotted

if TYPE_CHECKING:
    from pathlib import Path

    from mngen.cluster import AmiFile, AmiRecord, BakedFrom, Cluster
    from mngen.spec import Document, Image


def stale_images(
    cluster: Cluster, record: AmiFile, document: Document | None = None
) -> list[Problem]:
    """Returns for each recorded image how it differs from what would be baked now.

    An image whose snapshot is larger than the root volume of an environment is an error: EC2 starts
    no instance then (`InvalidBlockDeviceMapping`).
    Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_EbsBlockDevice.html

    Only AWS knows whether there is a newer ECS-optimized AMI, and whether the image is still there:
    `mngen check --aws` asks it.

    Args:
        cluster: The cluster.
        record: The record of AMIs.
        document: The spec's text, for the places of errors.

    Raises:
        InputError: The file is damaged.
    """
    records = record.read()
    if not records:
        return []
    preload = cluster.spec.image.preload
    playbooks = playbooks_digest(_resources.playbooks(), _own(cluster.spec.image), preload=preload)
    efs = cluster.spec.storage.efs.id
    unknown = set() if efs else {"efs"}
    lustre = cluster.spec.storage.fsx
    if lustre and lustre.id is None:
        unknown.add("fsx")
    digest = DigestFile(record.path.with_name(DIGESTS_FILE)).read().get(cluster.spec.container.tag)
    problems = []
    for image in cluster.machine_images:
        base = cluster.spec.image.base_amis.of(image.base_kind)
        wanted = wanted_inputs(
            cluster,
            image,
            efs=efs or "",
            base_amis={image.base_kind: ""},
            playbooks=playbooks,
            fsx=(lustre and lustre.id) or "",
            digest=digest or "",
        )
        missing = set(unknown) if base else unknown | {"base_ami"}
        if "" in wanted.preload:
            # Where it was pushed is recorded elsewhere, or it was not pushed yet.
            missing.add("preload")
        for name in image.names:
            found = records.get(name)
            if found is None or found.baked_from is None:
                continue
            larger = _larger_than_volumes(cluster, name, found, document)
            problems += larger
            if changed := differences(found.baked_from, wanted, unknown=missing):
                problem = _problem(name, found, changed, wanted, record.path)
                problems.append(replace(problem, hint="run mngen bake") if larger else problem)
    return problems


def _larger_than_volumes(
    cluster: Cluster, name: str, found: AmiRecord, document: Document | None
) -> list[Problem]:
    """Returns an error for each environment whose root volume is smaller than the snapshot."""
    snapshot = (found.baked_from and found.baked_from.volume) or 0
    problems = []
    for each in cluster.environments:
        if each.image != name or each.spec.image or each.spec.root_volume >= snapshot:
            continue
        path = ("environments", each.name, "root_volume")
        problem = Problem(
            f"the root volume of `{each.name}` is smaller than the snapshot of the AMI `{name}` "
            f"({found.id}), which has {snapshot} GiB: EC2 starts no node",
            path=dotted(path),
            hint="run mngen render and mngen bake before mngen apply, or set at least "
            f"{snapshot} GiB",
        )
        problems.append(document.locate(problem, path) if document else problem)
    return problems


def _problem(
    name: str, found: AmiRecord, changed: list[str], wanted: BakedFrom, file: Path
) -> Problem:
    old = found.baked_from
    bake = "run mngen bake"
    if old and _pulls_from_elsewhere(old, wanted):
        bake = "run mngen apply, which lets builders pull the container images, then mngen bake"
    if old and old.preload and wanted.preload and changed == [CHANGES["preload"]]:
        return Problem(
            f"the AMI `{name}` ({found.id}) has a previous container image: nodes fetch what "
            "changed when a job starts",
            severity=Severity.INFO,
            file=str(file),
            hint=f"{bake}, and nodes have all of it again",
        )
    return Problem(
        f"the AMI `{name}` ({found.id}) is stale: {', '.join(changed)}",
        severity=Severity.WARNING,
        file=str(file),
        hint=f"{bake}; until then, nodes start from the old AMI",
    )


def _pulls_from_elsewhere(old: BakedFrom, wanted: BakedFrom) -> bool:
    """Returns whether a builder pulls from repositories that its role may not know yet."""
    others = {each for each in wanted.preload if each and not each.startswith("sha256:")}
    return bool(wanted.preload) and (not old.preload or not others <= set(old.preload))


def _own(image: Image) -> dict[str, str]:
    """Returns the text of the spec's playbooks, by their paths in the rendered folder."""
    if not isinstance(image, ImageFromFiles):
        return {}
    return {f"{OWN_FOLDER}/{name}": text for name, text in image.files.items()}
