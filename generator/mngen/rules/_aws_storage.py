"""Rules that ask AWS about an existing file system."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import TYPE_CHECKING

from mngen.rules._aws_rule import AwsRule
from mngen.rules._rule import Match

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_ec2.type_defs import IpPermissionOutputTypeDef
    from mypy_boto3_efs.client import EFSClient
    from mypy_boto3_efs.type_defs import MountTargetDescriptionTypeDef

    from mngen.rules._aws_rule import Account

_NFS_PORT = 2049
_ID = ("storage", "efs", "id")


class FileSystemServes(AwsRule):
    id = "MN208"
    title = "The file system exists, with a mount target in every zone of the nodes"
    why = (
        "The nodes mount it through the mount target of their zone. Without one the mount fails, "
        "Docker never starts, and jobs stay RUNNABLE."
    )
    remedy = "add a mount target in that zone, or choose the zones of the environments"
    source_url = "https://docs.aws.amazon.com/efs/latest/ug/accessing-fs.html"
    manual_test = "aws efs describe-mount-targets --file-system-id fs-0123456789abcdef0"
    calls = (
        "elasticfilesystem:DescribeFileSystems",
        "elasticfilesystem:DescribeMountTargets",
        "ec2:DescribeSubnets",
        "ec2:DescribeVpcs",
    )

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        wanted = account.cluster.spec.storage.efs.id
        if wanted is None:
            return
        targets = _mount_targets(account, wanted)
        if targets is None:
            yield Match(
                _ID,
                f"there is no file system `{wanted}` in {account.cluster.spec.region}",
                "correct the id, or leave it out for a new file system",
            )
            return
        if not account.has_vpc:
            yield Match(
                _ID,
                f"the file system `{wanted}` has no mount target in a VPC yet to be created",
                "name the file system's VPC as the network's, or leave `id` out",
            )
            return
        if account.vpc is None:
            return
        own = [each for each in targets if each.get("VpcId") == account.vpc["VpcId"]]
        if not own:
            yield Match(_ID, f"the file system `{wanted}` has no mount target in the nodes' VPC")
            return
        there = {each.get("AvailabilityZoneName") for each in own}
        for environment in account.cluster.environments:
            missing = [zone for zone in account.zones_of(environment) if zone not in there]
            if missing:
                yield Match(
                    _ID,
                    f"the file system `{wanted}` has no mount target in {', '.join(missing)}, "
                    f"where the environment `{environment.name}` runs",
                )


class FileSystemLetsIn(AwsRule):
    id = "MN209"
    title = "The file system's mount targets let the nodes in"
    why = (
        "A mount target takes NFS (port 2049) only from where its security groups say. If they do "
        "not name the nodes, the mount hangs, Docker never starts and jobs stay RUNNABLE."
    )
    remedy = "name the mount targets' `security_group`, to which a rule for the nodes is then added"
    source_url = "https://docs.aws.amazon.com/efs/latest/ug/network-access.html"
    manual_test = (
        "aws efs describe-mount-target-security-groups --mount-target-id fsmt-0123456789abcdef0"
    )
    calls = (
        "elasticfilesystem:DescribeMountTargets",
        "elasticfilesystem:DescribeMountTargetSecurityGroups",
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeVpcs",
    )

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        efs = account.cluster.spec.storage.efs
        if efs.id is None or account.vpc is None:
            return
        client: EFSClient = account.client("efs")
        for target in _mount_targets(account, efs.id) or []:
            if target.get("VpcId") != account.vpc["VpcId"]:
                continue
            groups = client.describe_mount_target_security_groups(
                MountTargetId=target["MountTargetId"]
            )["SecurityGroups"]
            zone = target.get("AvailabilityZoneName", target["SubnetId"])
            if efs.security_group is None:
                if not _lets_in(account, groups):
                    yield Match(_ID, f"the mount target in {zone} lets no node in")
            elif efs.security_group not in groups:
                yield Match(
                    ("storage", "efs", "security_group"),
                    f"the mount target in {zone} has the security group "
                    f"{' and '.join(groups)}, not `{efs.security_group}`",
                    "name the one that the mount targets have",
                )


def _mount_targets(
    account: Account, file_system: str
) -> list[MountTargetDescriptionTypeDef] | None:
    """Returns the mount targets of a file system, or None where there is no such one."""
    client: EFSClient = account.client("efs")
    try:
        client.describe_file_systems(FileSystemId=file_system)
    except client.exceptions.FileSystemNotFound:
        return None
    pages = client.get_paginator("describe_mount_targets").paginate(FileSystemId=file_system)
    return [target for page in pages for target in page["MountTargets"]]


def _lets_in(account: Account, groups: list[str]) -> bool:
    """Whether one of the groups takes NFS from all of the VPC, or from a group of the nodes."""
    if account.vpc is None or not groups:
        return False
    vpc = IPv4Network(account.vpc["CidrBlock"])
    nodes = set(account.cluster.spec.network.security_groups)
    found = account.ec2.describe_security_groups(Filters=[{"Name": "group-id", "Values": groups}])
    return any(
        _is_nfs(rule)
        and (
            any(vpc.subnet_of(IPv4Network(each["CidrIp"])) for each in rule.get("IpRanges", []))
            or any(each.get("GroupId") in nodes for each in rule.get("UserIdGroupPairs", []))
        )
        for group in found["SecurityGroups"]
        for rule in group["IpPermissions"]
    )


def _is_nfs(rule: IpPermissionOutputTypeDef) -> bool:
    if rule["IpProtocol"] == "-1":
        return True
    return rule["IpProtocol"] == "tcp" and (
        rule.get("FromPort", 0) <= _NFS_PORT <= rule.get("ToPort", 0)
    )


RULES: tuple[type[AwsRule], ...] = (FileSystemServes, FileSystemLetsIn)
