"""Rules about availability zones and placement groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.errors import Severity, did_you_mean
from mngen.rules._rule import Match
from mngen.rules.spec._rule import SpecRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.cluster import ResolvedEnvironment
    from mngen.rules.spec._subject import Subject
    from mngen.spec import Path

_GROUPS = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/placement-strategies.html"
_SUBNETS = (
    "aws batch describe-compute-environments "
    "--query 'computeEnvironments[].computeResources.[placementGroup,subnets]'"
)


class GroupInOneZone(SpecRule):
    id = "MN120"
    title = "An environment with a placement group must be in one zone"
    why = (
        "A cluster placement group is in one availability zone; EC2 cannot start its instances in "
        "another. For capacity in several zones, create one environment and one queue for each "
        "zone: a multi-node job waits for the first environment of its queue."
    )
    remedy = "name one zone; for another zone, add an environment and a queue"
    source_url = _GROUPS
    manual_test = _SUBNETS
    failing = """\
environments:
  r5:
    instance: r5.12xlarge
    max_nodes: 16
    zones: [us-east-1a, us-east-1b]  #! [
"""
    passing = """\
environments:
  r5-a: {instance: r5.12xlarge, max_nodes: 16, zones: [us-east-1a]}
  r5-b: {instance: r5.12xlarge, max_nodes: 16, zones: [us-east-1b]}
queues:
  mpi-a: {environments: [r5-a]}
  mpi-b: {environments: [r5-b]}
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for each in subject.environments:
            if each.placement_group is None:
                continue
            if len(each.zones) > 1:
                yield Match(
                    ("environments", each.name, "zones"),
                    f"the placement group `{each.placement_group}` cannot span "
                    f"{len(each.zones)} zones",
                )
            elif not each.zones and not each.spec.multi_node:
                # Multi-node environments take one zone by default; these take all.
                yield from _spread_by_default(subject, each)


def _spread_by_default(subject: Subject, each: ResolvedEnvironment) -> Iterator[Match]:
    for network in subject.network:
        if len(network.zones) != 1 and len(network.subnets) != 1:
            yield Match(
                ("environments", each.name, "placement_group"),
                "a single-node environment takes all zones, and a placement group cannot span them",
            )


class NodesInOneZone(SpecRule):
    id = "MN121"
    severity = Severity.WARNING
    title = "A multi-node environment should be in one zone"
    why = (
        "The nodes of a job would be spread over the zones. Each message between zones takes "
        "several times as long, and AWS bills the traffic in both directions."
    )
    remedy = "name one zone; for another zone, add an environment"
    source_url = "https://docs.aws.amazon.com/batch/latest/userguide/mnp-ce.html"
    manual_test = _SUBNETS
    failing = """\
environments:
  r5:
    instance: r5.12xlarge
    max_nodes: 16
    placement_group: false
    zones: [us-east-1a, us-east-1b]  #! [
"""
    passing = """\
environments:
  r5:
    instance: r5.12xlarge
    max_nodes: 16
    zones: [us-east-1a]
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for each in subject.environments:
            if (
                each.spec.multi_node
                and each.placement_group is None
                and len(each.zones) > 1
                and not each.spec.efa
            ):
                yield Match(
                    ("environments", each.name, "zones"),
                    "the nodes of one MPI job would be spread over several zones",
                )


class GroupSharedInOneZone(SpecRule):
    id = "MN122"
    title = "Environments that share a placement group must be in the same zone"
    why = (
        "A cluster placement group is in one availability zone. The first instance in it decides "
        "which one; after that, the environment in the other zone gets no instances."
    )
    remedy = "give the environments of each zone their own placement group"
    source_url = _GROUPS
    manual_test = _SUBNETS
    failing = """\
environments:
  a: {instance: r5.12xlarge, max_nodes: 4, zones: [us-east-1a], placement_group: mpi}
  b: {instance: r5.12xlarge, max_nodes: 4, zones: [us-east-1b], placement_group: mpi}  #! mpi
"""
    passing = """\
environments:
  a: {instance: r5.12xlarge, max_nodes: 4, zones: [us-east-1a], placement_group: mpi-a}
  b: {instance: r5.12xlarge, max_nodes: 4, zones: [us-east-1b], placement_group: mpi-b}
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        first: dict[tuple[bool, str], ResolvedEnvironment] = {}
        for each in subject.environments:
            # Without a zone it is not known here which one it will be.
            if each.placement_group is None or len(each.zones) != 1:
                continue
            other = first.setdefault((each.has_own_group, each.placement_group), each)
            if other.zones != each.zones:
                yield Match(
                    ("environments", each.name, "placement_group"),
                    f"`{each.name}` in {each.zones[0]} shares the placement group "
                    f"`{each.placement_group}` with `{other.name}` in {other.zones[0]}",
                )


class TypeJoinsGroup(SpecRule):
    id = "MN123"
    title = "A placement group requires types that can join one"
    why = (
        "EC2 does not start instances of such a type, for example burstable ones, in a cluster "
        "placement group."
    )
    remedy = "write `placement_group: false`, or choose another type"
    source_url = _GROUPS
    manual_test = (
        "aws ec2 describe-instance-types --instance-types t3.2xlarge "
        "--query 'InstanceTypes[].PlacementGroupInfo'"
    )
    failing = """\
environments:
  cheap:
    instance: t3.2xlarge
    max_nodes: 4
    multi_node: false
    zones: [us-east-1a]
    placement_group: true  #! true
"""
    passing = """\
environments:
  cheap:
    instance: t3.2xlarge
    max_nodes: 4
    multi_node: false
    zones: [us-east-1a]
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for each in subject.environments:
            unfit = [kind.name for kind in each.types if not kind.cluster_placement]
            if each.placement_group is not None and unfit:
                key = "instance" if each.spec.placement_group is None else "placement_group"
                yield Match(
                    ("environments", each.name, key),
                    f"`{unfit[0]}` cannot join a cluster placement group"
                    + (
                        ", which a multi-node environment has by default"
                        if key == "instance"
                        else ""
                    ),
                )


class NodesClose(SpecRule):
    id = "MN124"
    severity = Severity.INFO
    title = "A multi-node environment should have a placement group"
    why = (
        "A cluster placement group puts the nodes close to each other in the network: lower "
        "latency, and the full bandwidth of a single flow. Leave it out only if a capacity "
        "reservation cannot be used within one."
    )
    remedy = "remove `placement_group: false`, unless a capacity reservation requires it"
    source_url = _GROUPS
    manual_test = _SUBNETS
    failing = """\
environments:
  r5:
    instance: r5.12xlarge
    max_nodes: 16
    placement_group: false  #! false
"""
    passing = """\
environments:
  r5:
    instance: r5.12xlarge
    max_nodes: 16
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for each in subject.environments:
            # Others warn of EFA, of several zones, and of types that cannot join a group. Reserved
            # instances are where EC2 reserved them.
            if (
                each.spec.multi_node
                and each.spec.capacity is None
                and each.placement_group is None
                and each.instance.cluster_placement
                and not each.spec.efa
                and len(each.zones) < 2
            ):
                yield Match(
                    ("environments", each.name, "placement_group"),
                    "the nodes may be far from each other in the network",
                )


class ZoneOfRegion(SpecRule):
    id = "MN125"
    title = "Every zone must be in the region of the spec"
    why = "A deployment is in one region, and EC2 rejects a zone of another one."
    remedy = "name a zone of the region, or correct the region"
    source_url = "https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-availability-zones.html"
    manual_test = "aws ec2 describe-availability-zones --query 'AvailabilityZones[].ZoneName'"
    failing = """\
network:
  vpc: new
  zones: [us-west-2a]  #! us-west-2a
"""
    passing = """\
network:
  vpc: new
  zones: [us-east-1a]
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        region = subject.spec.region
        if not subject.sound("region"):
            return
        for path, zone in _zones(subject):
            # A Local Zone is named us-east-1-bos-1a, and its region is us-east-1.
            if zone[: len(region)] != region or zone[len(region)].isdigit():
                yield Match(path, f"the zone `{zone}` is not in the region `{region}`")


class ZoneOfNetwork(SpecRule):
    id = "MN126"
    title = "The zones of an environment must be zones of the network"
    why = "If `network.zones` names the zones to use, there are no subnets in any other zone."
    remedy = "add the zone to `network.zones`, or choose one of those"
    source_url = "https://docs.aws.amazon.com/vpc/latest/userguide/configure-subnets.html"
    manual_test = "aws ec2 describe-subnets --query 'Subnets[].[SubnetId,AvailabilityZone]'"
    failing = """\
network:
  vpc: new
  zones: [us-east-1a]
environments:
  r5:
    instance: r5.12xlarge
    max_nodes: 16
    zones: [us-east-1c]  #! us-east-1c
"""
    passing = """\
network:
  vpc: new
  zones: [us-east-1a, us-east-1c]
environments:
  r5:
    instance: r5.12xlarge
    max_nodes: 16
    zones: [us-east-1c]
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for network in subject.network:
            for name, environment in subject.spec.environments.items():
                for index, zone in enumerate(environment.zones):
                    if network.zones and zone not in network.zones:
                        yield Match(
                            ("environments", name, "zones", index),
                            f"the zone `{zone}` is not among those of the network",
                            did_you_mean(zone, network.zones),
                        )


def _zones(subject: Subject) -> Iterator[tuple[Path, str]]:
    for index, zone in enumerate(subject.spec.network.zones):
        yield ("network", "zones", index), zone
    for name, environment in subject.spec.environments.items():
        for index, zone in enumerate(environment.zones):
            yield ("environments", name, "zones", index), zone
