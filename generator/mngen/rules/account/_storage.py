"""Rules that ask AWS about an existing file system."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from mngen.account import covers, holds, principals, statements
from mngen.rules._rule import Match
from mngen.rules.account._rule import AwsRule

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mypy_boto3_ec2.type_defs import IpPermissionOutputTypeDef
    from mypy_boto3_efs.client import EFSClient

    from mngen.account import Account
    from mngen.spec import Efs

_NFS_PORTS = ((2049, 2049),)
_ID = ("storage", "efs", "id")
_CLIENT_ACTIONS = (
    "elasticfilesystem:ClientMount",
    "elasticfilesystem:ClientWrite",
    "elasticfilesystem:ClientRootAccess",
)
_MOUNT_WITH_IAM = (
    "write `iam: true`: nodes and builders then mount with the roles that mngen creates, which get "
    "these permissions (the role of a `roles.instance_profile` of your own needs them from you)"
)
_ACCESS_POINT = re.compile(r"fsap-[0-9a-f]{17}")


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
        if account.file_system is None:
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
        own = [each for each in account.mount_targets if each.get("VpcId") == account.vpc["VpcId"]]
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
        "elasticfilesystem:DescribeFileSystems",
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
        for target in account.mount_targets:
            if target.get("VpcId") != account.vpc["VpcId"]:
                continue
            groups = client.describe_mount_target_security_groups(
                MountTargetId=target["MountTargetId"]
            )["SecurityGroups"]
            zone = target.get("AvailabilityZoneName", target["SubnetId"])
            if efs.security_group is None:
                if closed_ports(account, groups, _NFS_PORTS):
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
    title = "The file system's policy must let the nodes in"
    why = (
        "Without `iam: true` the nodes mount the file system anonymously: a policy that names "
        "roles denies the mount. A policy may also require TLS, or an access point. Where the "
        "mount is denied, Docker never starts and jobs stay RUNNABLE. Without ClientRootAccess "
        "the bake, which runs as root, cannot create the folders of jobs."
    )
    remedy = (
        "mount with IAM (`iam: true`); or allow the actions to everyone who comes through a mount "
        "target (condition `elasticfilesystem:AccessedViaMountTarget`), which security groups "
        "limit; or remove the policy"
    )
    source_url = "https://docs.aws.amazon.com/efs/latest/ug/iam-access-control-nfs-efs.html"
    manual_test = "aws efs describe-file-system-policy --file-system-id fs-0123456789abcdef0"
    calls = (
        "elasticfilesystem:DescribeFileSystemPolicy",
        "elasticfilesystem:DescribeFileSystems",
    )

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        efs = account.cluster.spec.storage.efs
        # That there is none is another rule's.
        if efs.id is None or account.file_system is None:
            return
        client: EFSClient = account.client("efs")
        try:
            policy = client.describe_file_system_policy(FileSystemId=efs.id)["Policy"]
        except client.exceptions.PolicyNotFound:
            return
        arn = account.file_system.get("FileSystemArn", "")
        denied = _denied(policy, efs, arn)
        if denied:
            yield Match(
                _ID,
                f"the policy of `{efs.id}` does not let the nodes in: it denies them "
                + ", ".join(each.partition(":")[2] for each in denied)
                + ("" if efs.tls else " without TLS")
                + (" with IAM" if efs.iam else ""),
                _way_in(policy, efs, arn),
            )


class AccessPointExists(AwsRule):
    id = "MN226"
    title = "The access point must exist on the file system"
    why = (
        "EFS denies a mount through an access point that does not exist, is not available or "
        "belongs to another file system. Docker never starts, and jobs stay RUNNABLE."
    )
    remedy = "correct the id, or leave it out to mount the file system's root"
    source_url = "https://docs.aws.amazon.com/efs/latest/ug/mounting-access-points.html"
    manual_test = "aws efs describe-access-points --access-point-id fsap-0123456789abcdef0"
    calls = ("elasticfilesystem:DescribeAccessPoints",)

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        efs = account.cluster.spec.storage.efs
        if efs.access_point is None:
            return
        path = ("storage", "efs", "access_point")
        client: EFSClient = account.client("efs")
        try:
            found = client.describe_access_points(AccessPointId=efs.access_point)["AccessPoints"]
        except client.exceptions.AccessPointNotFound:
            yield Match(
                path,
                f"there is no access point `{efs.access_point}` in {account.cluster.spec.region}",
            )
            return
        for point in found:
            if point.get("FileSystemId") != efs.id:
                yield Match(
                    path,
                    f"the access point `{efs.access_point}` belongs to "
                    f"`{point.get('FileSystemId')}`, not to `{efs.id}`",
                    "name an access point of the file system, or correct `id`",
                )
            elif point.get("LifeCycleState") != "available":
                yield Match(
                    path,
                    f"the access point `{efs.access_point}` is {point.get('LifeCycleState')}, "
                    "not available",
                )


def _denied(policy: str, efs: Efs, arn: str) -> list[str]:
    """Returns what a file system policy denies the nodes of what they need.

    A condition that cannot be judged counts as held for clients without IAM, of whom little is
    known to hold. With IAM, the role's own policy allows what the file system's does not mention,
    so only statements that certainly deny count.

    Source: https://docs.aws.amazon.com/efs/latest/ug/iam-access-control-nfs-efs.html
    """
    facts: dict[str, str | None] = {
        "aws:securetransport": str(efs.tls).lower(),
        "elasticfilesystem:accessedviamounttarget": "true",
        "elasticfilesystem:accesspointarn": efs.access_point
        and arn.replace(f":file-system/{efs.id}", f":access-point/{efs.access_point}"),
    }
    if not efs.iam:
        # Anonymous: the request has no principal of which a policy could ask.
        facts["aws:principal*"] = None

    def applies(statement: dict[str, Any], action: str) -> bool:
        if "*" not in principals(statement) or not covers(statement, action):
            return False
        verdict = holds(statement, facts)
        return verdict is True or (verdict is None and not efs.iam)

    def denied(action: str) -> bool:
        if any(applies(each, action) for each in statements(policy, "Deny")):
            return True
        return not efs.iam and not any(
            applies(each, action) for each in statements(policy, "Allow")
        )

    return [each for each in _CLIENT_ACTIONS if denied(each)]


def _way_in(policy: str, efs: Efs, arn: str) -> str | None:
    """Returns which key of the spec would let the nodes in; None where none would."""
    points = dict.fromkeys(_ACCESS_POINT.findall(policy))
    ways: list[tuple[Efs, str]] = [(replace(efs, tls=True), "remove `tls: false`")]
    if efs.access_point is None:
        ways += [
            (
                replace(efs, tls=True, access_point=point),
                f"mount through the access point that the policy names: `access_point: {point}`",
            )
            for point in points
        ]
    ways.append((replace(efs, tls=True, iam=True), _MOUNT_WITH_IAM))
    return next((hint for way, hint in ways if not _denied(policy, way, arn)), None)


def closed_ports(
    account: Account,
    groups: list[str],
    ports: Iterable[tuple[int, int]],
    *,
    outbound: bool = False,
) -> list[tuple[int, int]]:
    """Returns at which TCP ports security groups do not let the nodes in.

    They do where they take a port from all subnets of the nodes, or from a group of theirs.

    Args:
        account: Where the nodes are.
        groups: Ids of the groups of a file system.
        ports: The ports, each as first and last.
        outbound: Look at what may go to the nodes, not at what may come from them.
    """
    if not groups:
        return list(ports)
    nodes = set(account.cluster.spec.network.security_groups)
    found = account.ec2.describe_security_groups(Filters=[{"Name": "group-id", "Values": groups}])
    permissions = [
        rule
        for group in found["SecurityGroups"]
        for rule in (group["IpPermissionsEgress"] if outbound else group["IpPermissions"])
    ]

    def is_open(first: int, last: int) -> bool:
        rules = [rule for rule in permissions if _includes(rule, first, last)]
        if any(pair.get("GroupId") in nodes for rule in rules for pair in rule["UserIdGroupPairs"]):
            return True
        return account.subnets_within(
            each["CidrIp"] for rule in rules for each in rule.get("IpRanges", [])
        )

    return [(first, last) for first, last in ports if not is_open(first, last)]


def _includes(rule: IpPermissionOutputTypeDef, first: int, last: int) -> bool:
    if rule["IpProtocol"] == "-1":
        return True
    return rule["IpProtocol"] == "tcp" and (
        rule.get("FromPort", 0) <= first and last <= rule.get("ToPort", 0)
    )
