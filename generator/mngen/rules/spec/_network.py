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
    title = "An existing VPC comes with its subnets"
    why = "Nothing tells which of the VPC's subnets the nodes may use, and what they may cost."
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
                yield Match(
                    ("network", "vpc"), f"it is not said which subnets of `{network.vpc}` to use"
                )


class IdsOfExisting(SpecRule):
    id = "MN164"
    title = "Subnets and route tables belong to an existing VPC"
    why = (
        "The subnets of the default VPC are found by themselves, and those of a new VPC are "
        "created; ids written beside them would be ignored."
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
                    yield Match(
                        ("network", key), f"`{key}` has no meaning with `vpc: {network.vpc}`"
                    )


class ZonesOfNew(SpecRule):
    id = "MN172"
    title = "A new VPC names its zones"
    why = (
        "Subnets are made for the zones that are named. Left to AWS's list of zones, a zone that "
        "AWS adds or closes would one day replace subnets, with the nodes in them."
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
                yield Match(("network", "vpc"), "it is not said in which zones the VPC has subnets")


class KeysOfNew(SpecRule):
    id = "MN165"
    title = "A range and a NAT gateway belong to a new VPC"
    why = "An existing VPC, and the default one, have their range and their routes already."
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
                    yield Match(("network", key), f"`{key}` has a meaning with `vpc: new` alone")
