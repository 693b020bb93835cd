"""Rules about the Elastic Fabric Adapter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.errors import Severity
from mngen.rules._rule import Match
from mngen.rules.spec._endpoints import NODE_ENDPOINTS
from mngen.rules.spec._rule import SpecRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.catalog import InstanceType
    from mngen.rules.spec._subject import Subject

_EFA = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/efa.html"


class TypeHasEfa(SpecRule):
    id = "MN128"
    title = "`efa: true` requires types with EFA"
    why = "EC2 does not start an instance with an EFA interface that its type lacks."
    remedy = "choose a type that has EFA (`mngen instances --efa`), or remove `efa: true`"
    source_url = _EFA
    manual_test = (
        "aws ec2 describe-instance-types --filters Name=network-info.efa-supported,Values=true "
        "--query 'InstanceTypes[].InstanceType'"
    )
    failing = """\
environments:
  c5n:
    instance: c5n.4xlarge
    max_nodes: 16
    efa: true  #! true
"""
    passing = """\
environments:
  c5n:
    instance: c5n.18xlarge
    max_nodes: 16
    efa: true
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for each in subject.environments:
            if each.spec.efa and not each.instance.efa:
                near = _nearest_with_efa(each.instance, subject)
                yield Match(
                    ("environments", each.name, "efa"),
                    f"`{each.instance.name}` has no Elastic Fabric Adapter",
                    "types near it that have one: " + ", ".join(near) if near else None,
                )


def _nearest_with_efa(instance: InstanceType, subject: Subject) -> list[str]:
    """Returns the three types with EFA nearest to one: its family, then the same kind and size."""
    kind = instance.family[:1]
    candidates = [
        each
        for each in subject.catalog.match(efa=True, architecture=instance.architecture)
        if each.family[:1] == kind and not each.bare_metal
    ]
    candidates.sort(
        key=lambda each: (
            each.family != instance.family,
            not each.family.startswith(instance.family[:2]),
            abs(each.cores - instance.cores),
            each.name,
        )
    )
    return [f"`{each.name}`" for each in candidates[:3]]


class EfaInGroup(SpecRule):
    id = "MN129"
    severity = Severity.WARNING
    title = "An environment with EFA should have a placement group"
    why = "EFA has a low latency only between instances that are close to each other."
    remedy = "remove `placement_group: false`"
    source_url = "https://docs.aws.amazon.com/batch/latest/userguide/efa.html"
    manual_test = (
        "aws batch describe-compute-environments "
        "--query 'computeEnvironments[].computeResources.placementGroup'"
    )
    failing = """\
environments:
  c5n:
    instance: c5n.18xlarge
    max_nodes: 16
    efa: true
    placement_group: false  #! false
"""
    passing = """\
environments:
  c5n:
    instance: c5n.18xlarge
    max_nodes: 16
    efa: true
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for each in subject.environments:
            apart = each.placement_group is None and len(each.zones) < 2
            # Reserved instances are where EC2 reserved them.
            reserved = each.spec.capacity is not None
            if each.spec.efa and each.spec.multi_node and apart and not reserved:
                yield Match(
                    ("environments", each.name, "placement_group"),
                    "without a placement group the instances may be far from each other, and EFA "
                    "gains little",
                )


class EfaInOneZone(SpecRule):
    id = "MN130"
    title = "An environment with EFA must be in one zone"
    why = (
        "EFA traffic cannot cross from one availability zone to another: the ranks cannot connect."
    )
    remedy = "name one zone; for another zone, add an environment"
    source_url = _EFA
    manual_test = "aws ec2 describe-subnets --query 'Subnets[].[SubnetId,AvailabilityZone]'"
    failing = """\
environments:
  c5n:
    instance: c5n.18xlarge
    max_nodes: 16
    efa: true
    multi_node: true
    placement_group: false
    zones: [us-east-1a, us-east-1b]  #! [
"""
    passing = """\
environments:
  c5n:
    instance: c5n.18xlarge
    max_nodes: 16
    efa: true
    zones: [us-east-1a]
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for each in subject.environments:
            if each.spec.efa and each.placement_group is None and len(each.zones) > 1:
                yield Match(
                    ("environments", each.name, "zones"),
                    "EFA traffic cannot cross from one zone to another",
                )


class EfaUsed(SpecRule):
    id = "MN131"
    severity = Severity.INFO
    title = "A multi-node environment should use the EFA of its type"
    why = "EFA costs nothing, and most MPI applications scale better with it than over TCP."
    remedy = "write `efa: true`, and bake the image again"
    source_url = _EFA
    manual_test = (
        "aws ec2 describe-instance-types --instance-types c5n.18xlarge "
        "--query 'InstanceTypes[].NetworkInfo.EfaInfo'"
    )
    failing = """\
environments:
  c5n:
    instance: c5n.18xlarge  #! c5n.18xlarge
    max_nodes: 16
"""
    passing = """\
environments:
  c5n:
    instance: c5n.18xlarge
    max_nodes: 16
    efa: true
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for each in subject.environments:
            if each.spec.multi_node and each.instance.efa and not each.spec.efa:
                yield Match(
                    ("environments", each.name, "instance"),
                    f"`{each.instance.name}` has an Elastic Fabric Adapter that is not used",
                )


class EfaForNodes(SpecRule):
    id = "MN132"
    severity = Severity.INFO
    title = "An environment with EFA should be multi-node"
    why = "A single-node job does not communicate over EFA."
    remedy = "remove `efa: true`"
    source_url = _EFA
    manual_test = (
        "aws batch describe-job-definitions --query 'jobDefinitions[].[jobDefinitionName,type]'"
    )
    failing = """\
environments:
  c5n:
    instance: c5n.18xlarge
    max_nodes: 16
    multi_node: false
    efa: true  #! true
"""
    passing = """\
environments:
  c5n:
    instance: c5n.18xlarge
    max_nodes: 16
    multi_node: false
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for each in subject.environments:
            if each.spec.efa and each.instance.efa and not each.spec.multi_node:
                yield Match(
                    ("environments", each.name, "efa"),
                    "single-node jobs do not use EFA",
                )


class SeveralCardsArePrivate(SpecRule):
    id = "MN133"
    severity = Severity.WARNING
    title = "Instances with several network cards should be in private subnets"
    why = (
        "EC2 gives an instance with more than one network interface no public address. In a public "
        "subnet, for example in the default VPC, it reaches neither ECS nor ECR and never joins "
        "the cluster. Jobs stay RUNNABLE while the instance is billed."
    )
    remedy = "write `vpc: new`, or name a VPC with private subnets behind a NAT gateway"
    source_url = (
        "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-instance-addressing.html"
    )
    manual_test = (
        "aws ec2 describe-instance-types --instance-types hpc7a.96xlarge "
        "--query 'InstanceTypes[].NetworkInfo.MaximumNetworkCards'"
    )
    besides = ("MN161",)
    failing = """\
network:
  vpc: default
environments:
  hpc:
    instance: hpc7a.96xlarge
    max_nodes: 4
    efa: true  #! true
"""
    passing = """\
network:
  vpc: new
  zones: [us-east-1a, us-east-1b]
environments:
  hpc:
    instance: hpc7a.96xlarge
    max_nodes: 4
    efa: true
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for network in subject.network:
            if network.vpc != "default" or set(network.endpoints) >= NODE_ENDPOINTS:
                continue
            for each in subject.environments:
                interfaces = len(each.efa_cards) + (0 not in each.efa_cards)
                if each.efa_cards and interfaces > 1:
                    yield Match(
                        ("environments", each.name, "efa"),
                        f"with EFA on its network cards, `{each.instance.name}` gets no public "
                        "address, and in the default VPC no way to AWS",
                    )


class ContainerHasInterface(SpecRule):
    id = "MN134"
    severity = Severity.WARNING
    title = "A multi-node environment requires a free network interface on the first card"
    why = (
        "The container of a multi-node job gets its own network interface beside that of the "
        "instance. ECS attaches it without naming a network card, and EC2 uses the first one. If "
        "the first card of a type takes one interface only, there is no room: the instance is "
        "billed and the job waits. mngen uses one EFA there, but AWS does not document whether the "
        "interface may then be on another card."
    )
    remedy = "choose a type whose cards take more interfaces, such as `hpc7a.96xlarge`"
    source_url = (
        "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/container-instance-eni.html"
    )
    manual_test = (
        "aws ec2 describe-instance-types --instance-types hpc6id.32xlarge "
        "--query 'InstanceTypes[].NetworkInfo.NetworkCards'"
    )
    besides = ("MN131",)
    failing = """\
environments:
  hpc:
    instance: hpc6id.32xlarge  #! hpc6id.32xlarge
    max_nodes: 4
    scratch: /scratch
"""
    passing = """\
environments:
  hpc:
    instance: hpc6id.32xlarge
    max_nodes: 4
    multi_node: false
    scratch: /scratch
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for each in subject.environments:
            if each.spec.multi_node and each.instance.card_interfaces[:1] == (1,):
                yield Match(
                    ("environments", each.name, "instance"),
                    f"the first network card of `{each.instance.name}` takes one interface: there "
                    "is no room for that of a multi-node job's container",
                )


class GroupsReachContainers(SpecRule):
    id = "MN142"
    severity = Severity.WARNING
    title = "Containers of jobs with EFA should not need `network.security_groups`"
    why = (
        "AWS Batch rejects security groups in an environment whose launch template has network "
        "interfaces, which EFA requires. The instances get the groups through these interfaces. "
        "The interface of a multi-node job's container gets the VPC's default security group "
        "instead."
    )
    remedy = (
        "add what the containers must reach to the VPC's default security group, or leave `efa` out"
    )
    source_url = "https://docs.aws.amazon.com/batch/latest/userguide/mnp-ce.html"
    manual_test = (
        "aws ec2 describe-security-groups --filters Name=group-name,Values=default "
        "--query 'SecurityGroups[].[VpcId,IpPermissions,IpPermissionsEgress]'"
    )
    besides = ("MN161",)
    failing = """\
network:
  security_groups: [sg-0123456789abcdef0]  #! [
environments:
  c5n: {instance: c5n.18xlarge, max_nodes: 16, efa: true}
"""
    passing = """\
network:
  security_groups: [sg-0123456789abcdef0]
environments:
  c5: {instance: c5.18xlarge, max_nodes: 16}
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for network in subject.network:
            if network.security_groups and subject.cluster.default_group_decides:
                yield Match(
                    ("network", "security_groups"),
                    "containers of multi-node jobs on EFA instances do not get these groups, but "
                    "the VPC's default one",
                )
