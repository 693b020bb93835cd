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

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from mypy_boto3_ec2.client import EC2Client

    from mngen.cluster import AmiFile, Cluster, MachineImage
    from mngen.images._plan import Target
    from mngen.images._site import Site


@dataclass(frozen=True, slots=True)
class Survey:
    """What a bake would do, and with what.

    Attributes:
        cluster: The cluster.
        site: What the first apply made.
        base_amis: The AMIs to start from, by their kind.
        plan: The images to bake, and those that need no bake.
        tree: The rendered tree.
    """

    cluster: Cluster
    site: Site
    base_amis: Mapping[str, str]
    plan: BakePlan
    tree: Path


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
        InputError: The record is damaged, or the tree has no playbooks.
        ToolError: AWS did not answer, or does not know the base image.
    """
    region = cluster.spec.region
    chosen = tuple(cluster.machine_images if images is None else images)
    records = record.read()
    playbooks = playbooks_digest(tree / "playbooks")
    base_amis = _base_amis(region, cluster.spec.image.base, {each.base_kind for each in chosen})
    wanted = {
        image: wanted_inputs(
            cluster, image, efs=site.efs_id, base_amis=base_amis, playbooks=playbooks
        )
        for image in chosen
    }
    names = {name for image in chosen for name in image.names}
    there = _usable(region, {each.id for name, each in records.items() if name in names})
    plan = plan_bake(wanted, records, there=there, force=force)
    return Survey(cluster, site, base_amis, plan, tree)


def _base_amis(region: str, base: str, kinds: Iterable[str]) -> dict[str, str]:
    """Asks for the newest ECS-optimized AMIs."""
    ssm: Any = client("ssm", region)
    found = {}
    for kind in sorted(kinds):
        path = base_image_parameter(base, kind)
        with translated():
            try:
                found[kind] = ssm.get_parameter(Name=path)["Parameter"]["Value"]
            except ssm.exceptions.ParameterNotFound:
                raise ToolError(
                    f"there is no ECS-optimized image of {base} for {kind} in {region} ({path})",
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
