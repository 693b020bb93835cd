"""Rules about capacity that is reserved in EC2."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen._text import counted
from mngen.errors import Severity
from mngen.rules._rule import Match
from mngen.rules.spec._rule import SpecRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.cluster import ResolvedEnvironment
    from mngen.rules.spec._subject import Subject
    from mngen.spec import Path

_BLOCKS = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-capacity-blocks.html"
_ON_BATCH = "https://aws.amazon.com/blogs/hpc/how-to-use-capacity-blocks-for-ml-with-aws-batch"
_RESERVATIONS = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-capacity-reservations.html"
_LIST = (
    "aws ec2 describe-capacity-reservations --query 'CapacityReservations[].[CapacityReservationId,"
    "ReservationType,InstanceType,AvailabilityZone,State,StartDate,EndDate]'"
)
_P5 = "{instance: p5.48xlarge, max_nodes: 4, efa: true, scratch: /scratch"
"""The beginning of an environment for a capacity block."""

_SOUND = f"""\
environments:
  p5: {_P5}, capacity: {{block: cr-0123456789abcdef0}}}}
"""

_IN_ONE_ZONE = """\
environments:
  m5:
    instance: m5.4xlarge
    max_nodes: 4
    multi_node: false
    zones: [us-east-1a]
    capacity: {reservation: cr-0123456789abcdef0}
"""

_BLOCK = """\
environments:
  p5:
    instance: p5.48xlarge
    max_nodes: 4
    efa: true
    scratch: /scratch
    capacity: {block: cr-0123456789abcdef0}
"""


class OneKindOfCapacity(SpecRule):
    id = "MN450"
    title = "`capacity` must name one reservation, group or block"
    why = (
        "A launch template targets one capacity reservation or one group of them, and EC2 starts "
        "an instance in a capacity block only with the market type for blocks."
    )
    remedy = "write one of `reservation`, `group` and `block`"
    source_url = (
        "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CapacityReservationTarget.html"
    )
    manual_test = (
        "aws ec2 describe-launch-template-versions --launch-template-id ID --versions '$Latest' "
        "--query 'LaunchTemplateVersions[].LaunchTemplateData.CapacityReservationSpecification'"
    )
    failing = """\
environments:
  r5:
    instance: r5.12xlarge
    max_nodes: 4
    capacity:  #! capacity
      reservation: cr-0123456789abcdef0
      group: mpi
"""
    passing = """\
environments:
  r5:
    instance: r5.12xlarge
    max_nodes: 4
    capacity: {reservation: cr-0123456789abcdef0}
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for each in subject.environments:
            capacity = each.spec.capacity
            if capacity is None:
                continue
            kinds = {
                "reservation": capacity.reservation,
                "group": capacity.group,
                "block": capacity.block,
            }
            named = [f"`{kind}`" for kind, value in kinds.items() if value is not None]
            if len(named) != 1:
                yield Match(
                    ("environments", each.name, "capacity"),
                    f"{' and '.join(named)} exclude each other"
                    if named
                    else "`capacity` names nothing",
                    key=True,
                )


class CapacityOnDemand(SpecRule):
    id = "MN451"
    title = "An environment with reserved capacity must not buy Spot instances"
    why = "EC2 runs on-demand instances in reserved capacity, and Spot instances outside it."
    remedy = "remove `purchase: spot`, or `capacity`"
    source_url = _RESERVATIONS
    manual_test = _LIST
    failing = """\
environments:
  m5:
    instance: m5.4xlarge
    max_nodes: 4
    multi_node: false
    purchase: spot
    zones: [us-east-1a]
    capacity: {reservation: cr-0123456789abcdef0}  #! {
"""
    passing = _IN_ONE_ZONE

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for each in subject.environments:
            if each.spec.capacity is not None and each.spec.purchase == "spot":
                yield Match(
                    ("environments", each.name, "capacity"),
                    "Spot instances do not run in reserved capacity",
                )


class CapacityInOneZone(SpecRule):
    id = "MN452"
    title = "An environment with a capacity reservation must be in one zone"
    why = (
        "A capacity reservation is in one availability zone. EC2 refuses to start an instance that "
        "targets it in a subnet of another zone."
    )
    remedy = "name the reservation's zone alone"
    source_url = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/capacity-blocks-launch.html"
    manual_test = _LIST
    failing = """\
environments:
  m5:
    instance: m5.4xlarge
    max_nodes: 4
    multi_node: false
    zones: [us-east-1a, us-east-1b]  #! [
    capacity: {reservation: cr-0123456789abcdef0}
"""
    passing = _IN_ONE_ZONE

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for each in subject.environments:
            if each.reservation_id is None:
                continue
            if len(each.zones) > 1:
                yield Match(
                    ("environments", each.name, "zones"),
                    f"the reservation is in one zone, and the environment in {len(each.zones)}",
                )
            elif not each.zones and not each.spec.multi_node:
                for network in subject.network:
                    if len(network.zones) != 1 and len(network.subnets) != 1:
                        yield Match(
                            ("environments", each.name, "capacity"),
                            "the reservation is in one zone, and a single-node environment takes "
                            "all zones",
                            "add `zones` with the reservation's zone",
                        )


class CapacityNotInNewGroup(SpecRule):
    id = "MN453"
    severity = Severity.WARNING
    title = "A capacity reservation should not be combined with a new placement group"
    why = (
        "The instances of a reservation are where EC2 reserved them. In a placement group that the "
        "reservation was not made in, EC2 may have no room for them although the reservation has: "
        "jobs stay RUNNABLE."
    )
    remedy = (
        "remove `placement_group`; for a reservation that was made in a group, write "
        "`placement_group: {existing: NAME}`"
    )
    source_url = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/cr-cpg.html"
    manual_test = (
        "aws ec2 describe-capacity-reservations "
        "--query 'CapacityReservations[].[CapacityReservationId,PlacementGroupArn]'"
    )
    failing = """\
environments:
  r5:
    instance: r5.12xlarge
    max_nodes: 4
    capacity: {reservation: cr-0123456789abcdef0}
    placement_group: true  #! true
"""
    passing = """\
environments:
  r5:
    instance: r5.12xlarge
    max_nodes: 4
    capacity: {reservation: cr-0123456789abcdef0}
    placement_group: {existing: mpi}
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for each in subject.environments:
            if each.spec.capacity is not None and not each.block and each.has_own_group:
                yield Match(
                    ("environments", each.name, "placement_group"),
                    "reserved instances may not fit into a placement group that is made after them",
                )


class BlockWithoutGroup(SpecRule):
    id = "MN454"
    title = "An environment with a capacity block must not have a placement group"
    why = (
        "EC2 places the instances of a capacity block close to each other. In a placement group, "
        "EC2 may have no room for them although the block has: jobs stay RUNNABLE."
    )
    remedy = "remove `placement_group`"
    source_url = "https://github.com/aws/aws-parallelcluster/pull/6311"
    manual_test = (
        "aws batch describe-compute-environments "
        "--query 'computeEnvironments[].computeResources.placementGroup'"
    )
    failing = f"{_BLOCK}    placement_group: true  #! true\n"
    passing = _SOUND

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for each in _blocks(subject):
            if each.placement_group is not None:
                yield Match(
                    ("environments", each.name, "placement_group"),
                    "the instances of a capacity block are close together without a placement "
                    "group, and may not start within one",
                )


class SoldAsBlock(SpecRule):
    id = "MN455"
    title = "A capacity block requires a type that is sold in blocks"
    why = "EC2 sells capacity blocks of some types with GPUs or Trainium only."
    remedy = "choose such a type, or name an on-demand `reservation`"
    source_url = _BLOCKS
    manual_test = (
        "aws ec2 describe-instance-types "
        "--filters Name=supported-usage-class,Values=capacity-block "
        "--query 'InstanceTypes[].InstanceType'"
    )
    failing = """\
environments:
  r5:
    instance: r5.12xlarge
    max_nodes: 4
    capacity: {block: cr-0123456789abcdef0}  #! cr-0123456789abcdef0
"""
    passing = _SOUND

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for each in _blocks(subject):
            if not each.instance.in_blocks:
                sold = sorted(
                    other.name for other in subject.catalog if other.in_blocks and other.efa
                )
                yield Match(
                    _block(each),
                    f"`{each.instance.name}` is not sold in capacity blocks",
                    f"types that are: {', '.join(f'`{name}`' for name in sold)}; for others, name "
                    "an on-demand `reservation`",
                )


class BlockAllocates(SpecRule):
    id = "MN456"
    title = "An environment with a capacity block must allocate by best-fit"
    why = (
        "Only with BEST_FIT does AWS Batch start instances as the launch template describes them, "
        "from one type and one market: AWS documents capacity blocks with this strategy alone."
    )
    remedy = "leave `allocation` out: best-fit is the default with `capacity`"
    source_url = _ON_BATCH
    manual_test = (
        "aws batch describe-compute-environments "
        "--query 'computeEnvironments[].computeResources.allocationStrategy'"
    )
    failing = f"{_BLOCK}    allocation: best-fit-progressive  #! best\n"
    passing = _SOUND

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for each in _blocks(subject):
            if each.allocation != "BEST_FIT":
                yield Match(
                    ("environments", each.name, "allocation"),
                    f"`{each.spec.allocation}` is not documented for capacity blocks",
                )


class BlockStartsEmpty(SpecRule):
    id = "MN457"
    title = "An environment with a capacity block must not keep instances running"
    why = (
        "Before a block begins and after it ends, EC2 starts no instance in it. AWS Batch would "
        "try to reach the minimum all the time, and mark the environment INVALID."
    )
    remedy = "remove `min_nodes`"
    source_url = _ON_BATCH
    manual_test = (
        "aws batch describe-compute-environments "
        "--query 'computeEnvironments[].computeResources.minvCpus'"
    )
    besides = ("MN117",)
    failing = f"{_BLOCK}    min_nodes: 1  #! 1\n"
    passing = _SOUND

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for each in _blocks(subject):
            if each.spec.min_nodes:
                yield Match(
                    ("environments", each.name, "min_nodes"),
                    "no instance starts before the capacity block begins, or after it ends",
                )


class BlockOnce(SpecRule):
    id = "MN458"
    title = "A capacity block must be in one environment only"
    why = (
        "AWS Batch counts the instances of each environment separately: two environments would "
        "each start jobs for all of the block, and wait for the other's instances to end."
    )
    remedy = "remove one of the two environments"
    source_url = _ON_BATCH
    manual_test = _LIST
    failing = f"""\
environments:
  a: {_P5}, capacity: {{block: cr-0123456789abcdef0}}}}
  b: {_P5}, capacity: {{block: cr-0123456789abcdef0}}}}  #! cr-0123456789abcdef0
"""
    passing = f"""\
environments:
  a: {_P5}, capacity: {{block: cr-0123456789abcdef0}}}}
  b: {_P5}, capacity: {{block: cr-0fedcba9876543210}}}}
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        first: dict[str | None, str] = {}
        for each in _blocks(subject):
            other = first.setdefault(each.block, each.name)
            if other != each.name:
                yield Match(_block(each), f"the environment `{other}` has the same capacity block")


class BlockHasOwnQueue(SpecRule):
    id = "MN459"
    title = "An environment with a capacity block must have a queue to itself"
    why = (
        "Before the block begins, and while it is full, EC2 has no capacity for its environment. A "
        "multi-node job waits for that one, and blocks the jobs behind it also on the other "
        "environments. When the block ends, its environment becomes INVALID."
    )
    remedy = "create one queue for the block, and choose with `mngen submit --queue`"
    source_url = _ON_BATCH
    manual_test = (
        "aws batch describe-job-queues "
        "--query 'jobQueues[].[jobQueueName,computeEnvironmentOrder[].computeEnvironment]'"
    )
    besides = ("MN178",)
    failing = f"""\
environments:
  block: {_P5}, capacity: {{block: cr-0123456789abcdef0}}}}
  on-demand: {_P5}}}
queues:
  training: {{environments: [block, on-demand]}}  #! block
"""
    passing = f"""\
environments:
  block: {_P5}, capacity: {{block: cr-0123456789abcdef0}}}}
  on-demand: {_P5}}}
queues:
  training: {{environments: [block]}}
  later: {{environments: [on-demand]}}
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for queue in subject.queues:
            for index, each in enumerate(queue.environments):
                # What `legacy` names stays only until its jobs have ended.
                others = len(queue.environments) - 1
                if each.block and others:
                    yield Match(
                        ("queues", queue.name, "environments", index),
                        f"`{each.name}` has a capacity block, and the queue "
                        f"{counted(others, 'other environment')}",
                    )


class JobsWaitForBlock(SpecRule):
    id = "MN460"
    severity = Severity.WARNING
    title = "A queue of a capacity block should let jobs wait for capacity"
    why = (
        "Jobs can be submitted before a block begins. Until then EC2 has no capacity for them, and "
        "a limit cancels the job at the head of the queue after at most 24 hours."
    )
    remedy = "remove `capacity` from `cancel_after`, or submit no job before the block begins"
    source_url = (
        "https://docs.aws.amazon.com/batch/latest/APIReference/API_JobStateTimeLimitAction.html"
    )
    manual_test = "aws batch describe-job-queues --query 'jobQueues[].jobStateTimeLimitActions[]'"
    failing = f"""\
{_SOUND}queues:
  training:
    environments: [p5]
    cancel_after: {{capacity: 3600}}  #! 3600
"""
    passing = f"""\
{_SOUND}queues:
  training: {{environments: [p5]}}
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for queue in subject.queues:
            limit = queue.spec.cancel_after.capacity
            blocks = [each.name for each in queue.environments if each.block]
            if limit is not None and blocks:
                yield Match(
                    ("queues", queue.name, "cancel_after", "capacity"),
                    f"a job that waits for the capacity block of `{blocks[0]}` to begin is "
                    f"cancelled after {limit} seconds",
                )


class GroupOfRegion(SpecRule):
    id = "MN461"
    title = "A group of capacity reservations must be of the spec's account and region"
    why = "A launch template targets resource groups of the same account and region only."
    remedy = "name a group of this account and region; it may hold reservations that are shared"
    source_url = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/create-cr-group.html"
    manual_test = "aws resource-groups list-groups --query 'GroupIdentifiers[].GroupArn'"
    failing = """\
environments:
  r5:
    instance: r5.12xlarge
    max_nodes: 4
    capacity:
      group: arn:aws:resource-groups:eu-west-1:123456789012:group/mpi  #! arn
"""
    passing = """\
environments:
  r5:
    instance: r5.12xlarge
    max_nodes: 4
    capacity:
      group: arn:aws:resource-groups:us-east-1:123456789012:group/mpi
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        spec = subject.spec
        for each in subject.environments:
            group = each.spec.capacity.group if each.spec.capacity else None
            if not group or ":" not in group:
                continue
            _, _, _, region, account, _ = group.split(":", 5)
            path = ("environments", each.name, "capacity", "group")
            if subject.sound("region") and region != spec.region:
                yield Match(path, f"the group is in {region}, and the spec in {spec.region}")
            elif spec.account not in (None, account):
                yield Match(path, f"the group is of account {account}, the spec of {spec.account}")


def _blocks(subject: Subject) -> list[ResolvedEnvironment]:
    """Returns the environments with a capacity block."""
    return [each for each in subject.environments if each.block]


def _block(environment: ResolvedEnvironment) -> Path:
    return ("environments", environment.name, "capacity", "block")
