"""What a bake that was killed left behind on AWS, found by its tags, and its deletion."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from mngen._aws import translated
from mngen._tags import tags_of, with_tags
from mngen.cluster import DEPLOYMENT_TAG, IMAGE_TAG, RUN_TAG, image_label

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client
    from mypy_boto3_ec2.type_defs import FilterTypeDef

_ALIVE = ["pending", "running", "shutting-down", "stopping", "stopped"]


class Leftover(msgspec.Struct, frozen=True):
    """One resource that a bake did not delete.

    Attributes:
        kind: `instance`, `key pair`, `volume`, `security group` or `snapshot`.
        id: Its id; a key pair's name.
        image: The image that it was started for.
        state: Its state as EC2 names it, or an empty string.
        since: When it was created, as EC2 reports it, or an empty string.
    """

    kind: str
    id: str
    image: str
    state: str = ""
    since: str = ""


def find_leftovers(
    ec2: EC2Client, deployment: str, *, run: str | None = None, image: str | None = None
) -> list[Leftover]:
    """Finds what bakes of a deployment have started and not deleted.

    Args:
        ec2: The client.
        deployment: The deployment's name.
        run: Of this bake alone; None for all.
        image: Of this image alone; None for all.

    Returns:
        In the order in which they can be deleted.

    Raises:
        ToolError: AWS did not answer.
    """
    marks = {DEPLOYMENT_TAG: deployment}
    if run:
        marks[RUN_TAG] = run
    if image:
        marks[IMAGE_TAG] = image
    filters = with_tags(marks, IMAGE_TAG)
    with translated():
        return [
            *_instances(ec2, filters),
            *_key_pairs(ec2, deployment, run, image),
            *_volumes(ec2, filters),
            *_groups(ec2, filters),
            *_snapshots(ec2, filters),
        ]


def end_leftovers(ec2: EC2Client, leftovers: list[Leftover], *, wait_seconds: int = 600) -> None:
    """Deletes them: instances first, and waits for their end, since all else depends on them.

    Raises:
        ToolError: AWS refused one.
    """
    by_kind: dict[str, list[str]] = {}
    for each in leftovers:
        by_kind.setdefault(each.kind, []).append(each.id)
    with translated():
        if ids := by_kind.get("instance"):
            ec2.terminate_instances(InstanceIds=ids)
            ec2.get_waiter("instance_terminated").wait(
                InstanceIds=ids, WaiterConfig={"Delay": 5, "MaxAttempts": wait_seconds // 5}
            )
        for name in by_kind.get("key pair", []):
            ec2.delete_key_pair(KeyName=name)
        gone = ec2.exceptions.ClientError
        for volume in by_kind.get("volume", []):
            try:
                ec2.delete_volume(VolumeId=volume)
            except gone as error:
                # Most volumes are deleted with their instance, as their launch asked for.
                if error.response.get("Error", {}).get("Code") != "InvalidVolume.NotFound":
                    raise
        for group in by_kind.get("security group", []):
            ec2.delete_security_group(GroupId=group)
        for snapshot in by_kind.get("snapshot", []):
            ec2.delete_snapshot(SnapshotId=snapshot)


def _instances(ec2: EC2Client, filters: list[FilterTypeDef]) -> list[Leftover]:
    alive: FilterTypeDef = {"Name": "instance-state-name", "Values": _ALIVE}
    pages = ec2.get_paginator("describe_instances").paginate(Filters=[*filters, alive])
    return [
        Leftover(
            "instance",
            each["InstanceId"],
            tags_of(each)[IMAGE_TAG],
            each["State"]["Name"],
            each["LaunchTime"].strftime("%Y-%m-%d %H:%M UTC"),
        )
        for page in pages
        for reservation in page["Reservations"]
        for each in reservation["Instances"]
    ]


def _key_pairs(
    ec2: EC2Client, deployment: str, run: str | None, image: str | None
) -> list[Leftover]:
    """Finds key pairs by their name, since older versions of Packer do not tag them."""
    pairs = ec2.describe_key_pairs(
        Filters=[{"Name": "key-name", "Values": [f"{deployment}-bake-*{run or ''}"]}]
    )["KeyPairs"]
    found = []
    for pair in pairs:
        name = pair["KeyName"]
        made_for = name.removeprefix(f"{deployment}-bake-").rpartition("-")[0]
        if image is None or made_for == image_label(image):
            found.append(Leftover("key pair", name, made_for))
    return found


def _volumes(ec2: EC2Client, filters: list[FilterTypeDef]) -> list[Leftover]:
    pages = ec2.get_paginator("describe_volumes").paginate(Filters=filters)
    return [
        Leftover("volume", each["VolumeId"], tags_of(each)[IMAGE_TAG], each["State"])
        for page in pages
        for each in page["Volumes"]
    ]


def _groups(ec2: EC2Client, filters: list[FilterTypeDef]) -> list[Leftover]:
    pages = ec2.get_paginator("describe_security_groups").paginate(Filters=filters)
    return [
        Leftover("security group", each["GroupId"], tags_of(each)[IMAGE_TAG])
        for page in pages
        for each in page["SecurityGroups"]
    ]


def _snapshots(ec2: EC2Client, filters: list[FilterTypeDef]) -> list[Leftover]:
    """Finds snapshots of images that are gone; one that is still being made belongs to a bake."""
    images = ec2.describe_images(Owners=["self"], Filters=filters)["Images"]
    used = {
        mapping.get("Ebs", {}).get("SnapshotId")
        for image in images
        for mapping in image.get("BlockDeviceMappings", [])
    }
    pages = ec2.get_paginator("describe_snapshots").paginate(OwnerIds=["self"], Filters=filters)
    return [
        Leftover("snapshot", each["SnapshotId"], tags_of(each)[IMAGE_TAG], each["State"])
        for page in pages
        for each in page["Snapshots"]
        if each["SnapshotId"] not in used and each["State"] == "completed"
    ]
