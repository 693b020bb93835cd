"""Rules about which queue a job goes to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.errors import Severity, did_you_mean
from mngen.rules._rule import Match
from mngen.rules.spec._rule import SpecRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.rules.spec._subject import Subject


class JobQueueExists(SpecRule):
    id = "MN143"
    title = "A job must name a queue that exists"
    why = "Nothing can be submitted to a queue that does not exist."
    remedy = "name a queue of this spec"
    source_url = "https://docs.aws.amazon.com/batch/latest/userguide/submit_job.html"
    manual_test = "aws batch describe-job-queues --query 'jobQueues[].jobQueueName'"
    failing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  hello:
    queue: mpj  #! mpj
    command: [hostname]
"""
    passing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  hello:
    queue: mpi
    command: [hostname]
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        known = subject.spec.queues
        if ("queues",) in subject.dropped:
            return
        for name, job in subject.spec.jobs.items():
            if job.queue not in known and ("queues", job.queue) not in subject.dropped:
                those = ", ".join(f"`{each}`" for each in list(known)[:5])
                yield Match(
                    ("jobs", name, "queue"),
                    f"there is no queue `{job.queue}`",
                    did_you_mean(job.queue, known)
                    or (f"the queues are {those}" if those else None),
                )


class MultiNodeQueue(SpecRule):
    id = "MN144"
    title = "A multi-node job requires multi-node environments"
    why = (
        "AWS Batch places a multi-node parallel job on on-demand EC2 environments only. A job that "
        "is sent to a Spot environment stays RUNNABLE. In a single-node environment it has no "
        "placement group and may be spread over zones."
    )
    remedy = "send the job to a queue whose environments are all `multi_node: true`"
    source_url = "https://docs.aws.amazon.com/batch/latest/userguide/mnp-ce.html"
    manual_test = (
        "aws batch describe-compute-environments "
        "--query 'computeEnvironments[].computeResources.type'"
    )
    failing = """\
environments:
  m4-spot: {instance: m4.4xlarge, max_nodes: 4, multi_node: false, purchase: spot}
queues:
  small: {environments: [m4-spot]}
jobs:
  hello:
    queue: small  #! small
    nodes: 2
    command: [hostname]
"""
    passing = """\
environments:
  m4: {instance: m4.4xlarge, max_nodes: 4}
queues:
  small: {environments: [m4]}
jobs:
  hello:
    queue: small
    nodes: 2
    command: [hostname]
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for job in subject.jobs:
            if job.spec.nodes is None:
                continue
            for each in job.queue.environments:
                if not each.spec.multi_node:
                    kind = "Spot" if each.spec.purchase == "spot" else "single-node"
                    yield Match(
                        ("jobs", job.name, "queue"),
                        f"a multi-node job cannot run on the {kind} environment `{each.name}` of "
                        f"the queue `{job.queue.name}`",
                    )


class NodesFit(SpecRule):
    id = "MN145"
    title = "A job must not request more nodes than an environment may have"
    why = (
        "All nodes of a multi-node job run in one compute environment. If none may grow to that "
        "size (its max_vcpus), the job stays RUNNABLE until the queue cancels it."
    )
    remedy = "lower `nodes`, or raise the environment's `max_nodes`"
    source_url = "https://docs.aws.amazon.com/batch/latest/userguide/multi-node-parallel-jobs.html"
    manual_test = (
        "aws batch describe-compute-environments "
        "--query 'computeEnvironments[].computeResources.maxvCpus'"
    )
    failing = """\
environments:
  r5: {instance: r5.12xlarge, max_nodes: 16}
queues:
  mpi: {environments: [r5]}
jobs:
  large:
    queue: mpi
    nodes: 32  #! 32
    command: [hostname]
"""
    passing = """\
environments:
  r5: {instance: r5.12xlarge, max_nodes: 32}
queues:
  mpi: {environments: [r5]}
jobs:
  large:
    queue: mpi
    nodes: 32
    command: [hostname]
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for job in subject.jobs:
            largest = max(job.queue.environments, key=lambda each: each.spec.max_nodes)
            if job.spec.nodes is not None and job.spec.nodes > largest.spec.max_nodes:
                yield Match(
                    ("jobs", job.name, "nodes"),
                    f"the job requests {job.spec.nodes} nodes, and `{largest.name}` has at most "
                    f"{largest.spec.max_nodes}",
                )


class QueueTakesJobs(SpecRule):
    id = "MN146"
    severity = Severity.INFO
    title = "The queue of a job should be enabled"
    why = "A disabled queue finishes its jobs and rejects new ones."
    remedy = "remove `enabled: false` when jobs are to be submitted again"
    source_url = "https://docs.aws.amazon.com/batch/latest/APIReference/API_CreateJobQueue.html"
    manual_test = "aws batch describe-job-queues --query 'jobQueues[].[jobQueueName,state]'"
    failing = """\
environments:
  r5: {instance: r5.12xlarge, max_nodes: 16}
queues:
  mpi: {environments: [r5], enabled: false}
jobs:
  hello:
    queue: mpi  #! mpi
    command: [hostname]
"""
    passing = """\
environments:
  r5: {instance: r5.12xlarge, max_nodes: 16}
queues:
  mpi: {environments: [r5]}
jobs:
  hello:
    queue: mpi
    command: [hostname]
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for job in subject.jobs:
            if not job.queue.spec.enabled:
                yield Match(
                    ("jobs", job.name, "queue"), f"the queue `{job.queue.name}` takes no new jobs"
                )
