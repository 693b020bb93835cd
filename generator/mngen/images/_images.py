"""The AMIs of a deployment, as AWS and the record know them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from mngen._aws import client, translated
from mngen._tags import tags_of, with_tags
from mngen.cluster import DEPLOYMENT_TAG, IMAGE_TAG, NR_CPUS_TAG
from mngen.errors import ToolError
from mngen.images._direct import deregister

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mypy_boto3_ec2.client import EC2Client

    from mngen.cluster import AmiRecord, Cluster
    from mngen.errors import Problem


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """One AMI.

    Attributes:
        id: The AMI.
        image: What it was baked as.
        nr_cpus: The kernel's CPU limit; 0 for none, None where it is not known.
        base: The AMI that it was made from; None where it is not known.
        created: When, as AWS reports it (ISO 8601); None if it is gone.
        state: AWS's word, such as `available`; `gone` where AWS does not have it.
        recorded_as: The names under which the record has it, sorted.
        used_by: Compute environments of the account that start their nodes from it, sorted.
    """

    id: str
    image: str
    nr_cpus: int | None
    base: str | None
    created: str | None
    state: str
    recorded_as: tuple[str, ...]
    used_by: tuple[str, ...]


def list_images(cluster: Cluster, records: dict[str, AmiRecord]) -> list[Listed]:
    """Lists the images of a deployment, newest first, those that are recorded and gone last.

    Args:
        cluster: The cluster.
        records: The record of AMIs.

    Raises:
        ToolError: AWS did not answer.
    """
    spec = cluster.spec
    ec2: EC2Client = client("ec2", spec.region)
    marks = with_tags({DEPLOYMENT_TAG: spec.name}, IMAGE_TAG)
    recorded: dict[str, list[str]] = {}
    for name, each in sorted(records.items()):
        recorded.setdefault(each.id, []).append(name)
    with translated():
        images = ec2.describe_images(Owners=["self"], Filters=marks)["Images"]
        missing = sorted(set(recorded) - {image["ImageId"] for image in images})
        if missing:
            # Recorded by hand, or shared by another account: without our tags.
            by_id = [{"Name": "image-id", "Values": missing}]
            images += ec2.describe_images(Filters=by_id)["Images"]  # type: ignore[arg-type]
    users = _users(spec.region)
    bases = {each.id: each.baked_from.base_ami for each in records.values() if each.baked_from}
    found = {
        image["ImageId"]: Listed(
            id=image["ImageId"],
            image=tags_of(image).get(IMAGE_TAG, "?"),
            nr_cpus=_number(tags_of(image).get(NR_CPUS_TAG)),
            base=bases.get(image["ImageId"]),
            created=image.get("CreationDate"),
            state=image.get("State", "?"),
            recorded_as=tuple(recorded.get(image["ImageId"], [])),
            used_by=users.get(image["ImageId"], ()),
        )
        for image in images
    }
    gone = [
        Listed(
            id=ami,
            image=names[0],
            nr_cpus=None,
            base=bases.get(ami),
            created=None,
            state="gone",
            recorded_as=tuple(names),
            used_by=users.get(ami, ()),
        )
        for ami, names in recorded.items()
        if ami not in found
    ]
    newest = sorted(found.values(), key=lambda each: (each.created or "", each.id), reverse=True)
    return [*newest, *gone]


def prunable(images: Iterable[Listed]) -> list[Listed]:
    """Returns the images that nothing uses: neither the record nor a compute environment."""
    return [
        each
        for each in images
        if not each.recorded_as and not each.used_by and each.state not in {"gone", "pending"}
    ]


def prune(region: str, images: Iterable[Listed]) -> None:
    """Deregisters images and deletes their snapshots; one that AWS keeps stops no other.

    Raises:
        ToolError: AWS refused some; carries why for each.
    """
    ec2: EC2Client = client("ec2", region)
    problems: list[Problem] = []
    for each in images:
        try:
            deregister(ec2, each.id)
        except ToolError as error:
            problems += error.problems
    if problems:
        raise ToolError(*problems)


def _users(region: str) -> dict[str, tuple[str, ...]]:
    """Returns the compute environments by the AMI that they start from."""
    batch: Any = client("batch", region)
    users: dict[str, set[str]] = {}
    with translated():
        for page in batch.get_paginator("describe_compute_environments").paginate():
            for each in page["computeEnvironments"]:
                resources = each.get("computeResources", {})
                ids = [
                    configuration.get("imageIdOverride")
                    for configuration in resources.get("ec2Configuration", [])
                ]
                for ami in filter(None, [*ids, resources.get("imageId")]):
                    users.setdefault(ami, set()).add(each["computeEnvironmentName"])
    return {ami: tuple(sorted(names)) for ami, names in users.items()}


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() else None
