"""Rules about queues and the environments that they draw on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.errors import Severity, did_you_mean
from mngen.rules._rule import Match
from mngen.rules.spec._rule import SpecRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.cluster import ResolvedQueue
    from mngen.rules.spec._subject import Subject


class QueueEnvironmentExists(SpecRule):
    id = "MN135"
    title = "A queue must name environments that exist"
    why = "AWS Batch creates a queue from compute environments and rejects an unknown one."
    remedy = "name an environment of this spec"
    source_url = "https://docs.aws.amazon.com/batch/latest/userguide/create-job-queue.html"
    manual_test = "aws batch describe-job-queues --query 'jobQueues[].computeEnvironmentOrder[]'"
    failing = """\
environments:
  r5-multinode: {instance: r5.12xlarge, max_nodes: 16}
queues:
  other: {environments: [r5-multinode]}
  mpi:
    environments: [r5-multinod]  #! r5-multinod]
"""
    passing = """\
environments:
  r5-multinode: {instance: r5.12xlarge, max_nodes: 16}
queues:
  mpi:
    environments: [r5-multinode]
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        known = subject.spec.environments
        if ("environments",) in subject.dropped:
            return
        for name, queue in subject.spec.queues.items():
            for index, each in enumerate(queue.environments):
                if each not in known and ("environments", each) not in subject.dropped:
                    yield Match(
                        ("queues", name, "environments", index),
                        f"there is no environment `{each}`",
                        did_you_mean(each, known) or _those_there("environments", tuple(known)),
                    )


class EnvironmentOnce(SpecRule):
    id = "MN136"
    title = "A queue must name each environment once"
    why = "AWS Batch rejects an order that contains a compute environment twice."
    remedy = "remove one of the two"
    source_url = "https://docs.aws.amazon.com/batch/latest/APIReference/API_CreateJobQueue.html"
    manual_test = "aws batch describe-job-queues --query 'jobQueues[].computeEnvironmentOrder[]'"
    failing = """\
environments:
  a: {instance: r5.12xlarge, max_nodes: 16}
queues:
  mpi: {environments: [a, a]}  #! a]}
"""
    passing = """\
environments:
  a: {instance: r5.12xlarge, max_nodes: 16}
queues:
  mpi: {environments: [a]}
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for name, queue in subject.spec.queues.items():
            for key, given in (("environments", queue.environments), ("legacy", queue.legacy)):
                for index, each in enumerate(given):
                    if each in given[:index]:
                        yield Match(
                            ("queues", name, key, index),
                            f"the queue names the environment `{each}` twice",
                        )


class OneArchitecture(SpecRule):
    id = "MN137"
    title = "The environments of a queue must have one processor architecture"
    why = "AWS Batch does not mix architectures in a job queue and rejects it."
    remedy = "create one queue for x86_64 and one for arm64"
    source_url = "https://docs.aws.amazon.com/batch/latest/APIReference/API_CreateJobQueue.html"
    manual_test = (
        "aws ec2 describe-instance-types --instance-types r5.12xlarge c7g.16xlarge "
        "--query 'InstanceTypes[].ProcessorInfo.SupportedArchitectures'"
    )
    failing = """\
environments:
  intel: {instance: c5.9xlarge, max_nodes: 4, multi_node: false}
  graviton: {instance: c7g.16xlarge, max_nodes: 4, multi_node: false}
queues:
  mixed: {environments: [intel, graviton]}  #! graviton
"""
    passing = """\
environments:
  intel: {instance: c5.9xlarge, max_nodes: 4, multi_node: false}
  graviton: {instance: c7g.16xlarge, max_nodes: 4, multi_node: false}
queues:
  x86: {environments: [intel]}
  arm: {environments: [graviton]}
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for queue in subject.queues:
            first = queue.environments[0]
            for index, each in enumerate(queue.environments):
                if each.instance.architecture != first.instance.architecture:
                    yield Match(
                        ("queues", queue.name, "environments", index),
                        f"`{each.name}` is {each.instance.architecture}, and `{first.name}` in the "
                        f"same queue is {first.instance.architecture}",
                    )


class OneMachine(SpecRule):
    id = "MN138"
    severity = Severity.WARNING
    title = "A queue of multi-node environments should have one kind of instance"
    why = (
        "A job definition requests one number of CPUs and one amount of memory. mngen uses those "
        "of the smallest instance of the queue, so the rest of a larger one is billed and idle."
    )
    remedy = "create one queue for each type"
    source_url = "https://docs.aws.amazon.com/batch/latest/userguide/mnp-ce.html"
    manual_test = (
        "aws batch describe-compute-environments "
        "--query 'computeEnvironments[].computeResources.instanceTypes'"
    )
    failing = """\
environments:
  half: {instance: r5.12xlarge, max_nodes: 16}
  whole: {instance: r5.24xlarge, max_nodes: 16}
queues:
  mpi: {environments: [half, whole], cancel_after: {capacity: 3600}}  #! whole
"""
    passing = """\
environments:
  half: {instance: r5.12xlarge, max_nodes: 16}
  whole: {instance: r5.24xlarge, max_nodes: 16}
queues:
  mpi-24: {environments: [half]}
  mpi-48: {environments: [whole]}
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for queue in subject.queues:
            multi_node = [each for each in queue.environments if each.spec.multi_node]
            for index, each in enumerate(queue.environments):
                first = multi_node[0] if multi_node else each
                if (
                    each.spec.multi_node
                    and each.instance.architecture == first.instance.architecture
                    and (each.instance.name, each.schedulable_vcpus)
                    != (first.instance.name, first.schedulable_vcpus)
                ):
                    yield Match(
                        ("queues", queue.name, "environments", index),
                        f"`{each.name}` gives {each.schedulable_vcpus} CPUs of "
                        f"`{each.instance.name}` a node, and `{first.name}` in the same queue "
                        f"{first.schedulable_vcpus} of `{first.instance.name}`",
                    )


class OneMultiNodeEnvironment(SpecRule):
    id = "MN178"
    severity = Severity.WARNING
    title = "A queue should have one multi-node environment, or limit the wait for capacity"
    why = (
        "Where EC2 has no capacity for an environment, AWS Batch does not run a multi-node job in "
        "the next one of the queue: the job stays RUNNABLE, and blocks the jobs behind it."
    )
    remedy = (
        "create one queue for each environment and choose with `mngen submit --queue`, or add "
        "`cancel_after: {capacity: SECONDS}`"
    )
    source_url = (
        "https://docs.aws.amazon.com/batch/latest/userguide/job_stuck_in_runnable_capacity.html"
    )
    manual_test = (
        "aws batch describe-job-queues "
        "--query 'jobQueues[].[jobQueueName,computeEnvironmentOrder[].computeEnvironment]'"
    )
    failing = """\
environments:
  zone-a: {instance: r5.12xlarge, max_nodes: 16, zones: [us-east-1a]}
  zone-b: {instance: r5.12xlarge, max_nodes: 16, zones: [us-east-1b]}
queues:
  mpi: {environments: [zone-a, zone-b]}  #! zone-b
"""
    passing = """\
environments:
  zone-a: {instance: r5.12xlarge, max_nodes: 16, zones: [us-east-1a]}
  zone-b: {instance: r5.12xlarge, max_nodes: 16, zones: [us-east-1b]}
queues:
  mpi-a: {environments: [zone-a]}
  mpi-b: {environments: [zone-b]}
  either:
    environments: [zone-a, zone-b]
    cancel_after: {capacity: 3600}
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for queue in subject.queues:
            places = {
                each.name: index
                for index, each in enumerate(queue.environments)
                if each.spec.multi_node
            }
            if len(places) > 1 and queue.spec.cancel_after.capacity is None:
                (first, _), (second, index), *_ = places.items()
                yield Match(
                    ("queues", queue.name, "environments", index),
                    f"a multi-node job waits while `{first}` has no capacity, and blocks the "
                    f"queue: `{second}` does not take it",
                )


class EnvironmentUsed(SpecRule):
    id = "MN139"
    severity = Severity.WARNING
    title = "Every environment should be in a queue"
    why = "Jobs reach a compute environment through a queue only; without one it never runs a job."
    remedy = "add it to a queue, or remove it"
    source_url = "https://docs.aws.amazon.com/batch/latest/userguide/job_queues.html"
    manual_test = "aws batch describe-job-queues --query 'jobQueues[].computeEnvironmentOrder[]'"
    failing = """\
environments:
  used: {instance: r5.12xlarge, max_nodes: 16}
  forgotten:  #! forgotten
    instance: r5.24xlarge
    max_nodes: 16
queues:
  mpi: {environments: [used]}
"""
    passing = """\
environments:
  used: {instance: r5.12xlarge, max_nodes: 16}
queues:
  mpi: {environments: [used]}
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        spec = subject.spec
        if not spec.queues or not subject.sound("queues"):
            return
        used = {each for queue in spec.queues.values() for each in queue.environments}
        if not used <= spec.environments.keys():
            # A misspelt name in a queue is reported as such; this would report it again.
            return
        for name in spec.environments:
            if name not in used:
                yield Match(
                    ("environments", name), f"no queue names the environment `{name}`", key=True
                )


class SomethingToRun(SpecRule):
    id = "MN140"
    title = "A spec must have an environment and a queue"
    why = "Without both there is nothing to submit a job to."
    remedy = "add at least one; `mngen init` shows how they are written"
    source_url = "https://docs.aws.amazon.com/batch/latest/userguide/Batch_GetStarted.html"
    manual_test = "aws batch describe-job-queues"
    failing = """\
environments:
  r5: {instance: r5.12xlarge, max_nodes: 16}
queues: {}  #! {}
"""
    passing = """\
environments:
  r5: {instance: r5.12xlarge, max_nodes: 16}
queues:
  mpi: {environments: [r5]}
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        if not subject.spec.environments and subject.sound("environments"):
            yield Match(("environments",), "there are no compute environments")
        if not subject.spec.queues and subject.sound("queues"):
            yield Match(("queues",), "there are no job queues")


class StuckJobsEnd(SpecRule):
    id = "MN141"
    severity = Severity.INFO
    title = "A job that can never be placed should be cancelled"
    why = (
        "A job that requests more than its environments can ever provide stays RUNNABLE at the "
        "head of the queue. The jobs behind it wait as well, without an error anywhere."
    )
    remedy = "leave `misconfiguration` out: after 600 seconds such a job is cancelled"
    source_url = (
        "https://docs.aws.amazon.com/batch/latest/APIReference/API_JobStateTimeLimitAction.html"
    )
    manual_test = "aws batch describe-job-queues --query 'jobQueues[].jobStateTimeLimitActions[]'"
    failing = """\
environments:
  r5: {instance: r5.12xlarge, max_nodes: 16}
queues:
  mpi:
    environments: [r5]
    cancel_after:
      misconfiguration: null  #! null
"""
    passing = """\
environments:
  r5: {instance: r5.12xlarge, max_nodes: 16}
queues:
  mpi:
    environments: [r5]
    cancel_after:
      capacity: 3600
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for queue in subject.queues:
            if queue.spec.cancel_after.misconfiguration is None:
                yield Match(
                    ("queues", queue.name, "cancel_after", "misconfiguration"),
                    "a job that can never be placed blocks this queue until someone notices",
                )


def _those_there(what: str, names: tuple[str, ...]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:5])
    return f"the {what} are {shown}" + (" and others" if len(names) > 5 else "")


_SHARES = "https://docs.aws.amazon.com/batch/latest/APIReference/API_ShareAttributes.html"
_SHOW_SHARES = (
    "aws batch describe-scheduling-policies --arns ARN "
    "--query 'schedulingPolicies[].fairsharePolicy.shareDistribution'"
)


class OnePolicy(SpecRule):
    id = "MN540"
    title = "A queue must have `shares` or an existing `scheduling_policy`, not both"
    why = "An AWS Batch queue has at most one scheduling policy; `shares` creates one."
    remedy = "remove one of the two"
    source_url = "https://docs.aws.amazon.com/batch/latest/APIReference/API_CreateJobQueue.html"
    manual_test = "aws batch describe-job-queues --query 'jobQueues[].schedulingPolicyArn'"
    failing = """\
environments:
  a: {instance: r5.12xlarge, max_nodes: 16}
queues:
  mpi:
    environments: [a]
    shares: {}
    scheduling_policy: arn:aws:batch:us-east-1:123456789012:scheduling-policy/fair  #! arn
"""
    passing = """\
environments:
  a: {instance: r5.12xlarge, max_nodes: 16}
queues:
  mpi:
    environments: [a]
    shares: {}
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for name, queue in subject.spec.queues.items():
            if queue.shares is not None and queue.scheduling_policy is not None:
                yield Match(
                    ("queues", name, "scheduling_policy"),
                    f"the queue `{name}` has `shares` and an existing policy",
                )


class SharesApart(SpecRule):
    id = "MN541"
    title = "Shares with a weight must not overlap"
    why = (
        "AWS Batch rejects a scheduling policy in which one share identifier begins with what "
        "another one has before its asterisk."
    )
    remedy = "remove one of the two, or choose a longer prefix"
    source_url = _SHARES
    manual_test = _SHOW_SHARES
    failing = """\
environments:
  a: {instance: r5.12xlarge, max_nodes: 16}
queues:
  mpi:
    environments: [a]
    shares:
      weights:
        physics*: 1
        physics1: 0.5  #! physics1
"""
    passing = """\
environments:
  a: {instance: r5.12xlarge, max_nodes: 16}
queues:
  mpi:
    environments: [a]
    shares:
      weights:
        physics*: 1
        chemistry1: 0.5
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for name, queue in subject.spec.queues.items():
            given = [] if queue.shares is None else list(queue.shares.weights)
            for index, each in enumerate(given):
                other = next((every for every in given[:index] if _overlap(each, every)), None)
                if other is not None:
                    yield Match(
                        ("queues", name, "shares", "weights", each),
                        f"`{each}` overlaps with `{other}`",
                        key=True,
                    )


class ReserveLeavesRoom(SpecRule):
    id = "MN542"
    severity = Severity.WARNING
    title = "A job should fit into what `reserve` leaves to one share"
    why = (
        "AWS Batch keeps (reserve/100)^n of the maximum vCPUs of a queue for shares that are not "
        "active, where n is the number of active ones. A job that requests more than one share "
        "gets may stay RUNNABLE."
    )
    remedy = "lower `reserve` or `nodes`, or raise the environment's `max_nodes`"
    source_url = "https://docs.aws.amazon.com/batch/latest/APIReference/API_FairsharePolicy.html"
    manual_test = (
        "aws batch describe-scheduling-policies --arns ARN "
        "--query 'schedulingPolicies[].fairsharePolicy.computeReservation'"
    )
    failing = """\
environments:
  r5: {instance: r5.12xlarge, max_nodes: 16}
queues:
  mpi:
    environments: [r5]
    shares: {reserve: 10}
jobs:
  large:
    queue: mpi
    nodes: 16  #! 16
    command: [hostname]
"""
    passing = """\
environments:
  r5: {instance: r5.12xlarge, max_nodes: 16}
queues:
  mpi:
    environments: [r5]
    shares: {reserve: 10}
jobs:
  large:
    queue: mpi
    nodes: 14
    command: [hostname]
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for job in subject.jobs:
            nodes = job.spec.nodes
            left = None if nodes is None else nodes_of_one_share(job.queue, nodes)
            if nodes is not None and left is not None and nodes > left:
                yield Match(("jobs", job.name, "nodes"), reserve_in_words(job.queue, nodes, left))


class ShareHasQueue(SpecRule):
    id = "MN543"
    title = "A job with a `share` must be in a queue with a scheduling policy"
    why = (
        "AWS Batch rejects a job with a share identifier in a queue without a fair-share "
        "scheduling policy."
    )
    remedy = "remove `share`, or give the queue `shares`"
    source_url = "https://docs.aws.amazon.com/batch/latest/APIReference/API_SubmitJob.html"
    manual_test = "aws batch describe-job-queues --query 'jobQueues[].schedulingPolicyArn'"
    failing = """\
environments:
  a: {instance: r5.12xlarge, max_nodes: 16}
queues:
  mpi: {environments: [a]}
jobs:
  solve:
    queue: mpi
    command: [hostname]
    share: wing  #! wing
"""
    passing = """\
environments:
  a: {instance: r5.12xlarge, max_nodes: 16}
queues:
  mpi: {environments: [a], shares: {}}
jobs:
  solve:
    queue: mpi
    command: [hostname]
    share: wing
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        queues = subject.spec.queues
        for name, job in subject.spec.jobs.items():
            # That there is no such queue is another rule's matter.
            if job.share is not None and job.queue in queues and not queues[job.queue].is_fair:
                yield Match(
                    ("jobs", name, "share"), f"the queue `{job.queue}` has no scheduling policy"
                )


def nodes_of_one_share(queue: ResolvedQueue, nodes: int) -> int | None:
    """Returns how many nodes a job can have while its share is the only active one of its queue.

    Args:
        queue: The queue.
        nodes: Nodes of the job, which decide over the environments that it fits into.

    Returns:
        Their number; None where the queue reserves nothing, no environment is as large as the job,
        or that is not known.
    """
    shares = queue.spec.shares
    # The size of existing environments is not in the spec.
    if shares is None or not shares.reserve or queue.spec.legacy:
        return None
    fitting = [each for each in queue.environments if nodes <= each.spec.max_nodes]
    # That no environment is so large is another rule's matter.
    if not fitting:
        return None
    smallest = min(fitting, key=lambda each: each.instance.vcpus)
    most = sum(each.max_vcpus for each in queue.environments)
    return most * (100 - shares.reserve) // 100 // smallest.instance.vcpus


def reserve_in_words(queue: ResolvedQueue, nodes: int, left: int) -> str:
    """Returns that a job requests more nodes than the reserve of its queue leaves to one share."""
    reserve = queue.spec.shares.reserve if queue.spec.shares else 0
    return (
        f"the job requests {nodes} nodes, and `reserve: {reserve}` of the queue `{queue.name}` "
        f"leaves {left} to one share"
    )


def _overlap(one: str, other: str) -> bool:
    """Whether some share identifier is meant by both."""
    return any(
        prefix.endswith("*") and name.rstrip("*").startswith(prefix[:-1])
        for prefix, name in ((one, other), (other, one))
    )
