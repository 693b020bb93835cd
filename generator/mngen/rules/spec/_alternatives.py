"""Rules about environments whose instances may have several types."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.cluster import unlike
from mngen.rules._rule import Match
from mngen.rules.spec._rule import SpecRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.rules.spec._subject import Subject

_TYPES = (
    "aws batch describe-compute-environments "
    "--query 'computeEnvironments[].computeResources.instanceTypes'"
)
_FACTS = (
    "aws ec2 describe-instance-types --instance-types m5.24xlarge m5a.24xlarge "
    "--query 'InstanceTypes[].[InstanceType,VCpuInfo,ProcessorInfo]'"
)


class AlternativesAreForSingleNodes(SpecRule):
    id = "MN435"
    title = "`alternatives` requires an environment of single-node jobs"
    why = (
        "AWS Batch requires the same instance type for all nodes of a multi-node job. It does not "
        "document which one it chooses in an environment of several, so mngen has none for such "
        "jobs: their ranks rely on the cores and the memory of one type."
    )
    remedy = (
        "write `multi_node: false`, or remove `alternatives` and write one environment for each "
        "type"
    )
    source_url = "https://docs.aws.amazon.com/batch/latest/userguide/mnp-node-groups.html"
    manual_test = _TYPES
    failing = """\
environments:
  m5:
    instance: m5.24xlarge
    alternatives: [m5a.24xlarge]  #! [m5a.24xlarge]
    max_nodes: 16
"""
    passing = """\
environments:
  m5:
    instance: m5.24xlarge
    alternatives: [m5a.24xlarge]
    max_nodes: 16
    multi_node: false
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for each in subject.environments:
            if each.alternatives and each.spec.multi_node:
                yield Match(
                    ("environments", each.name, "alternatives"),
                    "the environment takes multi-node jobs, whose nodes have one type",
                )


class AlternativesAreAlike(SpecRule):
    id = "MN436"
    title = "`alternatives` must have the architecture, cores, vCPUs and GPUs of `instance`"
    why = (
        "All instances of an environment start from one AMI, which sets one limit of CPUs, and a "
        "job requests one number of vCPUs and GPUs. On a larger type the limit would leave cores "
        "unused; on a smaller one the job would not fit. AWS Batch rejects several architectures."
    )
    remedy = "name types of one size, such as m5.24xlarge and m5a.24xlarge, each once"
    source_url = "https://docs.aws.amazon.com/batch/latest/APIReference/API_ComputeResource.html"
    manual_test = _FACTS
    failing = """\
environments:
  m5:
    instance: m5.24xlarge
    alternatives: [m5a.24xlarge, m5.12xlarge]  #! m5.12xlarge
    max_nodes: 16
    multi_node: false
"""
    passing = """\
environments:
  m5:
    instance: m5.24xlarge
    alternatives: [m5a.24xlarge, r5.24xlarge]
    max_nodes: 16
    multi_node: false
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        base = subject.spec.image.base
        for each in subject.environments:
            for index, kind in enumerate(each.alternatives):
                wrong = unlike(each.instance, kind, base)
                if kind in each.types[: index + 1]:
                    wrong = "is named twice"
                if wrong is not None:
                    yield Match(
                        ("environments", each.name, "alternatives", index),
                        f"`{kind.name}` {wrong}",
                    )


class ReservedInstancesHaveOneType(SpecRule):
    id = "MN437"
    title = "An environment with a reservation or a capacity block must have one instance type"
    why = (
        "EC2 reserves instances of one type. An instance of another type that targets the "
        "reservation does not start. A resource group may hold reservations of several types."
    )
    remedy = "remove `alternatives`, or name a resource group: `capacity: {group: NAME}`"
    source_url = (
        "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-capacity-reservations.html"
    )
    manual_test = (
        "aws ec2 describe-capacity-reservations "
        "--query 'CapacityReservations[].[CapacityReservationId,InstanceType]'"
    )
    failing = """\
environments:
  m5:
    instance: m5.24xlarge
    alternatives: [m5a.24xlarge]  #! [m5a.24xlarge]
    max_nodes: 16
    multi_node: false
    zones: [us-east-1a]
    capacity: {reservation: cr-0123456789abcdef0}
"""
    passing = """\
environments:
  m5:
    instance: m5.24xlarge
    max_nodes: 16
    multi_node: false
    zones: [us-east-1a]
    capacity: {reservation: cr-0123456789abcdef0}
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for each in subject.environments:
            if each.alternatives and each.reservation_id is not None:
                yield Match(
                    ("environments", each.name, "alternatives"),
                    f"`{each.reservation_id}` holds instances of one type",
                )


class EfaNeedsOneType(SpecRule):
    id = "MN438"
    title = "An environment with EFA must have one instance type"
    why = (
        "The launch template of an environment with EFA lists the network cards of its type, and "
        "EC2 rejects cards that another type does not have. EFA connects the nodes of one job, and "
        "single-node jobs have no use for it."
    )
    remedy = "remove `efa`, or `alternatives`"
    source_url = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/efa-acc-inst-types.html"
    manual_test = (
        "aws ec2 describe-instance-types --instance-types c5n.18xlarge "
        "--query 'InstanceTypes[].NetworkInfo.NetworkCards'"
    )
    besides = ("MN132",)
    failing = """\
environments:
  m5n:
    instance: m5n.24xlarge
    alternatives: [m5dn.24xlarge]  #! [m5dn.24xlarge]
    max_nodes: 16
    multi_node: false
    zones: [us-east-1a]
    efa: true
"""
    passing = """\
environments:
  m5n:
    instance: m5n.24xlarge
    alternatives: [m5dn.24xlarge]
    max_nodes: 16
    multi_node: false
    zones: [us-east-1a]
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for each in subject.environments:
            if each.alternatives and each.spec.efa:
                yield Match(
                    ("environments", each.name, "alternatives"),
                    "with `efa: true` an environment has one type",
                )
