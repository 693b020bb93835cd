"""Rules about the VPC: which keys belong to which kind of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.rules._rule import Match
from mngen.rules.spec._rule import SpecRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.rules.spec._subject import Subject

_VPCS = "aws ec2 describe-vpcs --query 'Vpcs[].[VpcId,CidrBlock,IsDefault]'"


class SubnetsOfVpc(SpecRule):
    id = "MN163"
    title = "An existing VPC requires `subnets`"
    why = "mngen cannot know which of the VPC's subnets the nodes may use."
    remedy = "list the subnets for the nodes: `subnets: [subnet-…]`"
    source_url = "https://docs.aws.amazon.com/batch/latest/APIReference/API_ComputeResource.html"
    manual_test = (
        "aws ec2 describe-subnets --filters Name=vpc-id,Values=vpc-0123456789abcdef0 "
        "--query 'Subnets[].[SubnetId,AvailabilityZone]'"
    )
    failing = """\
network:
  vpc: vpc-0123456789abcdef0  #! vpc-0123456789abcdef0
"""
    passing = """\
network:
  vpc: vpc-0123456789abcdef0
  subnets: [subnet-0123456789abcdef0]
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for network in subject.network:
            if network.vpc.startswith("vpc-") and not network.subnets:
                yield Match(("network", "vpc"), f"`subnets` is missing for `{network.vpc}`")


class IdsOfExisting(SpecRule):
    id = "MN164"
    title = "`subnets` and `route_tables` require an existing VPC"
    why = (
        "mngen finds the subnets of the default VPC and creates those of a new VPC; other ids "
        "would be ignored."
    )
    remedy = "write the VPC's id for `vpc`, or remove the ids"
    source_url = "https://docs.aws.amazon.com/vpc/latest/userguide/default-vpc.html"
    manual_test = _VPCS
    failing = """\
network:
  vpc: new
  zones: [us-east-1a, us-east-1b]
  subnets: [subnet-0123456789abcdef0]  #! [
"""
    passing = """\
network:
  vpc: vpc-0123456789abcdef0
  subnets: [subnet-0123456789abcdef0]
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for network in subject.network:
            if network.vpc not in {"default", "new"}:
                continue
            for key, ids in (("subnets", network.subnets), ("route_tables", network.route_tables)):
                if ids:
                    yield Match(("network", key), f"`{key}` is not valid with `vpc: {network.vpc}`")


class ZonesOfNew(SpecRule):
    id = "MN172"
    title = "A new VPC must name its zones"
    why = (
        "Subnets are created for the zones that are named. Without names, a zone that AWS adds or "
        "closes would replace subnets, with the nodes in them."
    )
    remedy = "name them, the one for multi-node environments first: `zones: [us-east-1a, …]`"
    source_url = (
        "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-regions-availability-zones.html"
    )
    manual_test = "aws ec2 describe-availability-zones --query 'AvailabilityZones[].ZoneName'"
    failing = """\
network:
  vpc: new  #! new
"""
    passing = """\
network:
  vpc: new
  zones: [us-east-1a]
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for network in subject.network:
            if network.vpc == "new" and not network.zones:
                yield Match(("network", "vpc"), "`zones` is missing for the new VPC")


class KeysOfNew(SpecRule):
    id = "MN165"
    title = "`cidr` and `nat` require a new VPC"
    why = "An existing VPC, also the default one, has its range and its routes already."
    remedy = "write `vpc: new`, or remove the key"
    source_url = "https://docs.aws.amazon.com/vpc/latest/userguide/create-vpc.html"
    manual_test = _VPCS
    failing = """\
network:
  vpc: vpc-0123456789abcdef0
  subnets: [subnet-0123456789abcdef0]
  cidr: 10.0.0.0/16  #! 10.0.0.0/16
"""
    passing = """\
network:
  vpc: new
  zones: [us-east-1a, us-east-1b]
  cidr: 10.0.0.0/16
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for network in subject.network:
            for key, value in (("cidr", network.cidr), ("nat", network.nat)):
                if network.vpc != "new" and value is not None:
                    yield Match(("network", key), f"`{key}` is only valid with `vpc: new`")
