"""Rules that ask AWS about an existing FSx for Lustre file system."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.cluster import FSX_PORTS
from mngen.errors import Severity
from mngen.rules._rule import Match
from mngen.rules.account._rule import AwsRule
from mngen.rules.account._storage import closed_ports

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.account import Account
    from mngen.spec import FsxLink, Path

_PATH = ("storage", "fsx")
_ID = (*_PATH, "id")
_SHOW = "aws fsx describe-file-systems --file-system-ids fs-0123456789abcdef0"
_SYSTEMS = "fsx:DescribeFileSystems"


class LustreServes(AwsRule):
    id = "MN247"
    title = "The FSx for Lustre file system must exist, and be available to the nodes"
    why = (
        "Nodes mount it at every boot. Where it is not of type LUSTRE, not available, in another "
        "VPC, or of a version that the client of their AMI cannot use, the mount fails, Docker "
        "never starts, and jobs stay RUNNABLE."
    )
    remedy = "correct the id, or leave it out for a new file system"
    source_url = "https://docs.aws.amazon.com/fsx/latest/LustreGuide/lustre-client-matrix.html"
    manual_test = _SHOW
    calls = (_SYSTEMS, "ec2:DescribeVpcs")

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        spec = account.cluster.spec
        if spec.storage.fsx is None or spec.storage.fsx.id is None:
            return
        wanted, found = spec.storage.fsx.id, account.lustre
        if found is None:
            yield Match(_ID, f"there is no file system `{wanted}` in {spec.region}")
            return
        if found["FileSystemType"] != "LUSTRE":
            yield Match(_ID, f"`{wanted}` is of type {found['FileSystemType']}, not LUSTRE")
            return
        if found["Lifecycle"] not in ("AVAILABLE", "UPDATING"):
            yield Match(
                _ID,
                f"the file system `{wanted}` is {found['Lifecycle']}, not AVAILABLE",
                "wait until it is available, or correct the id",
            )
        version = found.get("FileSystemTypeVersion")
        if version == "2.10" and spec.image.base == "amazon-linux-2023":
            yield Match(
                _ID,
                f"the file system `{wanted}` has Lustre 2.10, which the client of Amazon Linux "
                "2023 cannot use",
                "upgrade it: `aws fsx update-file-system --file-system-type-version 2.15`",
            )
        if not account.has_vpc:
            yield Match(
                _ID,
                f"the file system `{wanted}` is not in a VPC that is yet to be created",
                "name the file system's VPC as the network's, or leave `id` out",
            )
        elif account.vpc is not None and found.get("VpcId") != account.vpc["VpcId"]:
            yield Match(
                _ID,
                f"the file system `{wanted}` is in {found.get('VpcId')}, the nodes in "
                f"{account.vpc['VpcId']}",
                "name the file system's VPC as the network's, or leave `id` out",
            )


class LustreNear(AwsRule):
    id = "MN248"
    severity = Severity.WARNING
    title = "Nodes should be in the zone of the FSx for Lustre file system"
    why = (
        "A file system of FSx for Lustre is in one availability zone. Nodes in another zone reach "
        "it with a higher latency, and each byte between the zones is billed."
    )
    remedy = "give the environment that zone"
    source_url = "https://aws.amazon.com/fsx/lustre/faqs/"
    manual_test = _SHOW
    calls = (_SYSTEMS, "ec2:DescribeSubnets", "ec2:DescribeVpcs")

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        fsx = account.cluster.spec.storage.fsx
        if fsx is None or fsx.id is None or account.lustre is None:
            return
        subnets = account.ec2.describe_subnets(
            Filters=[{"Name": "subnet-id", "Values": account.lustre.get("SubnetIds", [])}]
        )["Subnets"]
        there = {each["AvailabilityZone"] for each in subnets}
        for environment in account.cluster.environments:
            elsewhere = [zone for zone in account.zones_of(environment) if zone not in there]
            if there and elsewhere:
                yield Match(
                    _ID,
                    f"the file system `{fsx.id}` is in {', '.join(sorted(there))}, the environment "
                    f"`{environment.name}` runs in {', '.join(elsewhere)}",
                )


class LustreLetsNodesIn(AwsRule):
    id = "MN249"
    title = "The FSx for Lustre file system must let the nodes in"
    why = (
        "File servers accept Lustre (TCP ports 988 and 1018 to 1023) only as their security groups "
        "allow, and open connections to the nodes on the same ports. If the groups do not allow "
        "the nodes, the mount fails or hangs, Docker never starts and jobs stay RUNNABLE."
    )
    remedy = "name the file system's `security_group`, to which rules for the nodes are then added"
    source_url = (
        "https://docs.aws.amazon.com/fsx/latest/LustreGuide/limit-access-security-groups.html"
    )
    manual_test = (
        "aws ec2 describe-network-interfaces --network-interface-ids eni-0123456789abcdef0"
    )
    calls = (
        _SYSTEMS,
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeVpcs",
    )

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        fsx = account.cluster.spec.storage.fsx
        if fsx is None or fsx.id is None or account.vpc is None or account.lustre is None:
            return
        # That it is in another VPC, or of another type, is another rule's.
        if account.lustre.get("VpcId") != account.vpc["VpcId"]:
            return
        found = account.ec2.describe_network_interfaces(
            Filters=[
                {
                    "Name": "network-interface-id",
                    "Values": account.lustre.get("NetworkInterfaceIds", []),
                }
            ]
        )["NetworkInterfaces"]
        groups = sorted({group["GroupId"] for each in found for group in each["Groups"]})
        if not groups:
            return
        if fsx.security_group is None:
            if closed := closed_ports(account, groups, FSX_PORTS):
                yield Match(_ID, f"`{fsx.id}` lets no node in on port {_named(closed)}")
            if closed := closed_ports(account, groups, FSX_PORTS, outbound=True):
                yield Match(_ID, f"`{fsx.id}` reaches no node on port {_named(closed)}")
        elif fsx.security_group not in groups:
            yield Match(
                (*_PATH, "security_group"),
                f"`{fsx.id}` has the security group {' and '.join(groups)}, not "
                f"`{fsx.security_group}`",
                "name the one that the file system has",
            )


def _linked(account: Account) -> Iterator[tuple[Path, FsxLink, str, str | None]]:
    """Yields the links of a new file system: their place, bucket, and what its region is."""
    fsx = account.cluster.spec.storage.fsx
    if fsx is None or fsx.id is not None or not fsx.s3:
        return
    for folder, link in fsx.s3.items():
        bucket = link.path.removeprefix("s3://").partition("/")[0]
        yield (*_PATH, "s3", folder, "path"), link, bucket, account.bucket_region(bucket)


class LinkedBucketExists(AwsRule):
    id = "MN250"
    title = "The bucket of a link of FSx for Lustre must exist"
    why = (
        "FSx refuses a link to a bucket that it does not reach, after it has created the file "
        "system. Terraform does not create the bucket."
    )
    remedy = "correct the path, or create the bucket: `aws s3 mb s3://BUCKET`"
    source_url = "https://docs.aws.amazon.com/fsx/latest/LustreGuide/s3-validation-error.html"
    manual_test = "aws s3api head-bucket --bucket my-cases"
    calls = ("s3:ListBucket",)

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        for path, _, bucket, region in _linked(account):
            if region is None:
                yield Match(path, f"there is no bucket `{bucket}`")


class LinkedBucketNear(AwsRule):
    id = "MN251"
    title = "A link of FSx for Lustre that imports must be to a bucket of the region"
    why = (
        "FSx imports changes only from a bucket in the region of the file system. It exports to "
        "any region."
    )
    remedy = "set `import: []`, or link a bucket of the region"
    source_url = (
        "https://docs.aws.amazon.com/fsx/latest/LustreGuide/create-dra-linked-data-repo.html"
    )
    manual_test = "aws s3api head-bucket --bucket my-cases --query BucketRegion"
    calls = ("s3:ListBucket",)

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        here = account.cluster.spec.region
        for path, link, bucket, region in _linked(account):
            if link.import_ and region not in (None, "", here):
                yield Match(
                    path, f"the bucket `{bucket}` is in {region}, and the file system in {here}"
                )


def _named(ports: list[tuple[int, int]]) -> str:
    return " and ".join(
        str(first) if first == last else f"{first} to {last}" for first, last in ports
    )
