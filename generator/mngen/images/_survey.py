"""What there is to bake: the spec, the record and the account, looked at and not changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mngen._aws import client, translated
from mngen._tags import with_tags
from mngen.cluster import DEPLOYMENT_TAG, INPUTS_TAG, base_image_parameter
from mngen.errors import ToolError
from mngen.images._digest import playbooks_digest
from mngen.images._plan import BakePlan, plan_bake, wanted_inputs
from mngen.images._preload import pushed_digest
from mngen.images._site import Lustre

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from mypy_boto3_ec2.client import EC2Client

    from mngen.cluster import AmiFile, Cluster, MachineImage
    from mngen.images._plan import Target
    from mngen.images._site import Site
    from mngen.spec import Image


@dataclass(frozen=True, slots=True)
class Survey:
    """What a bake would do, and with what.

    Attributes:
        cluster: The cluster.
        site: What the first apply made.
        base_amis: The AMIs to start from, by their kind.
        plan: The images to bake, and those that need no bake.
        tree: The rendered tree.
        lustre: The FSx for Lustre file system that the images mount; None for none.
    """

    cluster: Cluster
    site: Site
    base_amis: Mapping[str, str]
    plan: BakePlan
    tree: Path
    lustre: Lustre | None = None


def look(
    cluster: Cluster,
    site: Site,
    *,
    tree: Path,
    record: AmiFile,
    images: Iterable[MachineImage] | None = None,
    force: bool = False,
) -> Survey:
    """Finds out what there is to bake, changing nothing.

    Args:
        cluster: The cluster.
        site: What the first apply made.
        tree: The rendered tree, with `packer/` and `playbooks/`.
        record: The record of AMIs.
        images: The images to consider; None for all.
        force: Bake them whatever is recorded.

    Raises:
        InputError: A record is damaged, the tree has no playbooks, or the container image to
            preload was not pushed yet or does not fit.
        ToolError: AWS did not answer, or does not know the base image or the file system.
    """
    region = cluster.spec.region
    chosen = tuple(cluster.machine_images if images is None else images)
    records = record.read()
    playbooks = playbooks_digest(tree / "playbooks", preload=cluster.spec.image.preload)
    base_amis = _base_amis(region, cluster.spec.image, {each.base_kind for each in chosen})
    digest = pushed_digest(cluster, site, chosen, record)
    wanted = {
        image: wanted_inputs(
            cluster,
            image,
            efs=site.efs_id,
            base_amis=base_amis,
            playbooks=playbooks,
            fsx=site.fsx_id or "",
            digest=digest,
        )
        for image in chosen
    }
    names = {name for image in chosen for name in image.names}
    there = _usable(region, {each.id for name, each in records.items() if name in names})
    plan = plan_bake(wanted, records, there=there, force=force)
    wished, lustre = cluster.spec.storage.fsx, None
    if wished and plan.targets:
        lustre = _lustre(region, site.fsx_id, new=wished.id is None)
    return Survey(cluster, site, base_amis, plan, tree, lustre)


def _lustre(region: str, identifier: str | None, *, new: bool) -> Lustre:
    """Asks how clients name the file system: the mount name is in no Terraform data source."""
    if identifier is None:
        raise ToolError(
            "missing Terraform output `fsx`: an AMI mounts the FSx for Lustre file system, which "
            "does not exist yet",
            hint="run mngen apply first; it creates everything but the compute environments",
        )
    fsx: Any = client("fsx", region)
    with translated():
        try:
            [found] = fsx.describe_file_systems(FileSystemIds=[identifier])["FileSystems"]
        except fsx.exceptions.FileSystemNotFound:
            raise ToolError(
                f"there is no FSx for Lustre file system {identifier} in {region}",
                hint="correct `storage.fsx.id`, or run mngen apply",
            ) from None
    mount_name = found.get("LustreConfiguration", {}).get("MountName")
    if mount_name is None or found.get("Lifecycle") not in ("AVAILABLE", "UPDATING"):
        raise ToolError(
            f"the file system {identifier} cannot be mounted: it is {found.get('Lifecycle')}, of "
            f"type {found.get('FileSystemType')}",
            hint="`aws fsx describe-file-systems` shows why",
        )
    return Lustre(identifier, found["DNSName"], mount_name, new)


def _base_amis(region: str, image: Image, kinds: Iterable[str]) -> dict[str, str]:
    """Returns the AMIs of the spec, and asks for the newest ECS-optimized ones of other kinds."""
    ssm: Any = client("ssm", region)
    found = {}
    for kind in sorted(kinds):
        own = image.base_amis.of(kind)
        if own is not None:
            found[kind] = own
            continue
        path = base_image_parameter(image.base, kind)
        with translated():
            try:
                found[kind] = ssm.get_parameter(Name=path)["Parameter"]["Value"]
            except ssm.exceptions.ParameterNotFound:
                raise ToolError(
                    f"there is no ECS-optimized image of {image.base} for {kind} in {region} "
                    f"({path})",
                    hint="choose another base in the spec: `image: {base: amazon-linux-2023}`",
                ) from None
    return found


def _usable(region: str, ids: set[str]) -> set[str]:
    """Returns those AMIs that exist and can be launched."""
    if not ids:
        return set()
    ec2: EC2Client = client("ec2", region)
    with translated():
        found = ec2.describe_images(Filters=[{"Name": "image-id", "Values": sorted(ids)}])
    return {image["ImageId"] for image in found["Images"] if image.get("State") == "available"}


def finished_before(region: str, deployment: str, target: Target) -> str | None:
    """Finds an AMI of exactly these inputs: a bake that was killed after its last step."""
    ec2: EC2Client = client("ec2", region)
    marks = {DEPLOYMENT_TAG: deployment, INPUTS_TAG: target.baked_from.digest}
    with translated():
        found = ec2.describe_images(Owners=["self"], Filters=with_tags(marks))["Images"]
    newest = sorted(found, key=lambda image: image.get("CreationDate", ""), reverse=True)
    return next((each["ImageId"] for each in newest if each.get("State") == "available"), None)
