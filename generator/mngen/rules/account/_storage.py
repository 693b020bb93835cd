"""Rules that ask AWS about an existing file system."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Any

from mngen.account import conditions, covers, principals, statements
from mngen.rules._rule import Match
from mngen.rules.account._rule import AwsRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_ec2.type_defs import IpPermissionOutputTypeDef
    from mypy_boto3_efs.client import EFSClient
    from mypy_boto3_efs.type_defs import MountTargetDescriptionTypeDef

    from mngen.account import Account

_NFS_PORT = 2049
_ID = ("storage", "efs", "id")
_CLIENT_ACTIONS = (
    "elasticfilesystem:ClientMount",
    "elasticfilesystem:ClientWrite",
    "elasticfilesystem:ClientRootAccess",
)
_BY_TARGET = "elasticfilesystem:accessedviamounttarget"


class FileSystemServes(AwsRule):
    id = "MN208"
    title = "The file system must have a mount target in every zone of the nodes"
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
    title = "The file system's mount targets must let the nodes in"
    why = (
        "A mount target accepts NFS (port 2049) only as its security groups allow. If they do not "
        "allow the nodes, the mount hangs, Docker never starts and jobs stay RUNNABLE."
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


class FileSystemPolicyLetsIn(AwsRule):
    id = "MN224"
    title = "The file system's policy lets the nodes in"
    why = (
        "The nodes mount the file system without IAM, so to its policy they are anyone. Where a "
        "policy names roles alone, or demands TLS that `tls: false` leaves out, the mount is "
        "denied, Docker never starts and jobs stay RUNNABLE. Without ClientRootAccess the bake, "
        "which is root, may write nothing there."
    )
    remedy = (
        "allow the actions to everyone who comes through a mount target (condition "
        "`elasticfilesystem:AccessedViaMountTarget`), which security groups limit, or remove the "
        "policy"
    )
    source_url = "https://docs.aws.amazon.com/efs/latest/ug/iam-access-control-nfs-efs.html"
    manual_test = "aws efs describe-file-system-policy --file-system-id fs-0123456789abcdef0"
    calls = (
        "elasticfilesystem:DescribeFileSystemPolicy",
        "elasticfilesystem:DescribeFileSystems",
        "elasticfilesystem:DescribeMountTargets",
    )

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        efs = account.cluster.spec.storage.efs
        # That there is none is another rule's.
        if efs.id is None or _mount_targets(account, efs.id) is None:
            return
        client: EFSClient = account.client("efs")
        try:
            policy = client.describe_file_system_policy(FileSystemId=efs.id)["Policy"]
        except client.exceptions.PolicyNotFound:
            return
        denied = [each for each in _CLIENT_ACTIONS if not _anyone_may(policy, each, tls=efs.tls)]
        if denied:
            yield Match(
                _ID,
                f"the policy of `{efs.id}` does not let the nodes in: it denies them "
                + ", ".join(each.partition(":")[2] for each in denied)
                + ("" if efs.tls else " without TLS"),
            )


def _anyone_may(policy: str, action: str, *, tls: bool) -> bool:
    """Whether a policy allows an action to a client without IAM that uses a mount target."""

    def applies(statement: dict[str, Any]) -> bool:
        """Whether its conditions hold for a node; one that cannot be judged counts as held."""
        wanted = conditions(statement)
        transport = wanted.get("aws:securetransport")
        return (
            principals(statement) == {"*"}
            and covers(statement, action)
            and (transport is None or (transport == "true") is tls)
            and wanted.get(_BY_TARGET, "true") == "true"
        )

    return any(map(applies, statements(policy, "Allow"))) and not any(
        map(applies, statements(policy, "Deny"))
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
    """Whether the groups take NFS from all subnets of the nodes, or from a group of theirs."""
    if account.vpc is None or not groups:
        return False
    nodes = set(account.cluster.spec.network.security_groups)
    found = account.ec2.describe_security_groups(Filters=[{"Name": "group-id", "Values": groups}])
    rules = [
        rule
        for group in found["SecurityGroups"]
        for rule in group["IpPermissions"]
        if _is_nfs(rule)
    ]
    if any(pair.get("GroupId") in nodes for rule in rules for pair in rule["UserIdGroupPairs"]):
        return True
    # A VPC can have several ranges: what counts are those of the nodes' own subnets.
    ranges = [IPv4Network(each["CidrIp"]) for rule in rules for each in rule.get("IpRanges", [])]
    return all(
        any(IPv4Network(subnet["CidrBlock"]).subnet_of(each) for each in ranges)
        for subnet in account.subnets
    )


def _is_nfs(rule: IpPermissionOutputTypeDef) -> bool:
    if rule["IpProtocol"] == "-1":
        return True
    return rule["IpProtocol"] == "tcp" and (
        rule.get("FromPort", 0) <= _NFS_PORT <= rule.get("ToPort", 0)
    )
