"""File systems of an account, and where they are mounted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mngen.adoption._inventory import FileSystem

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mypy_boto3_efs.client import EFSClient
    from mypy_boto3_efs.type_defs import FileSystemDescriptionTypeDef

MOST_FILE_SYSTEMS = 10
"""Where there are more, it is not asked where each is mounted: that is a call or two for each."""


def lustre_systems(fsx: Any) -> list[dict[str, Any]]:
    """Returns every FSx for Lustre file system of a region."""
    return [
        each
        for page in fsx.get_paginator("describe_file_systems").paginate()
        for each in page["FileSystems"]
        if each["FileSystemType"] == "LUSTRE"
    ]


def links_of(fsx: Any, identifier: str) -> list[dict[str, Any]]:
    """Returns the links to S3 of an FSx for Lustre file system, of which it has at most 8."""
    by_id = [{"Name": "file-system-id", "Values": [identifier]}]
    found = fsx.describe_data_repository_associations(Filters=by_id)["Associations"]
    return list(found)


def all_file_systems(efs: EFSClient) -> list[FileSystemDescriptionTypeDef]:
    """Returns every file system of a region as EFS describes it."""
    return [
        each
        for page in efs.get_paginator("describe_file_systems").paginate()
        for each in page["FileSystems"]
    ]


def mounted(
    efs: EFSClient, systems: Iterable[FileSystemDescriptionTypeDef], near: set[str]
) -> list[FileSystem]:
    """Returns those of file systems that have a mount target in one of these VPCs or subnets."""
    found = []
    for each in systems:
        targets = efs.describe_mount_targets(FileSystemId=each["FileSystemId"])["MountTargets"]
        here = [target for target in targets if near & {target.get("VpcId"), target["SubnetId"]}]
        if not here:
            continue
        groups = efs.describe_mount_target_security_groups(MountTargetId=here[0]["MountTargetId"])
        found.append(
            FileSystem(
                id=each["FileSystemId"],
                name=each.get("Name", ""),
                encrypted=bool(each.get("Encrypted")),
                subnets=tuple(target["SubnetId"] for target in here),
                groups=tuple(groups["SecurityGroups"]),
            )
        )
    return found
