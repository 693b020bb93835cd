"""Rules about the CPUs and the memory that a job asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.errors import Severity
from mngen.rules._rule import Match
from mngen.rules.spec._contents import DEFINITIONS
from mngen.rules.spec._rule import SpecRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.catalog import InstanceType
    from mngen.rules.spec._subject import Subject


def most_memory(instance: InstanceType) -> int:
    """Returns what no container on the instance can exceed, in MiB.

    What Linux was seen to have, and half a percent more for another kernel. If it has not been
    measured: Linux keeps 64 bytes about each page of 4096, one part in 64 of the instance's
    memory; what the kernel, the ECS agent and Batch keep beyond that only lowers it.
    """
    if instance.measured_memory is None:
        return instance.memory * 63 // 64
    return instance.measured_memory * 1005 // 1000


class CpusFit(SpecRule):
    id = "MN147"
    title = "A job must not request more CPUs than a node registers"
    why = (
        "AWS Batch counts the vCPUs of a job as the ECS agent sees them: the cores, if the AMI "
        "limits the CPUs to them (48 on an r5.24xlarge, not its 96 vCPUs). A job that requests "
        "more stays RUNNABLE."
    )
    remedy = "remove `vcpus` to use the whole node"
    source_url = "https://docs.aws.amazon.com/batch/latest/userguide/job_stuck_in_runnable.html"
    manual_test = (
        "aws ecs describe-container-instances --cluster CLUSTER --container-instances ID "
        "--query 'containerInstances[].registeredResources'"
    )
    failing = """\
environments:
  r5: {instance: r5.24xlarge, max_nodes: 16}
queues:
  mpi: {environments: [r5]}
jobs:
  all-cpus:
    queue: mpi
    nodes: 2
    vcpus: 96  #! 96
    command: [hostname]
"""
    passing = """\
environments:
  r5: {instance: r5.24xlarge, max_nodes: 16}
queues:
  mpi: {environments: [r5]}
jobs:
  all-cpus:
    queue: mpi
    nodes: 2
    vcpus: 48
    command: [hostname]
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for job in subject.jobs:
            largest = max(job.queue.environments, key=lambda each: each.schedulable_vcpus)
            if job.vcpus > largest.schedulable_vcpus:
                yield Match(
                    ("jobs", job.name, "vcpus"),
                    f"the job requests {job.vcpus} vCPUs a node, and a node of `{largest.name}` "
                    f"registers {largest.schedulable_vcpus}{largest.limit_in_words}",
                )


class MemoryFits(SpecRule):
    id = "MN148"
    title = "A job must request less memory than its instance has"
    why = (
        "The kernel, the ECS agent and AWS Batch reserve some of the instance's memory. A job that "
        "requests all of it, or more, stays RUNNABLE."
    )
    remedy = "remove `memory` to use all that is safe"
    source_url = "https://docs.aws.amazon.com/batch/latest/userguide/memory-management.html"
    manual_test = (
        "aws ecs describe-container-instances --cluster CLUSTER --container-instances ID "
        "--query 'containerInstances[].registeredResources'"
    )
    failing = """\
environments:
  r5: {instance: r5.12xlarge, max_nodes: 16}
queues:
  mpi: {environments: [r5]}
jobs:
  greedy:
    queue: mpi
    nodes: 2
    memory: 393216  #! 393216
    command: [hostname]
"""
    passing = """\
environments:
  r5: {instance: r5.12xlarge, max_nodes: 16}
queues:
  mpi: {environments: [r5]}
jobs:
  greedy:
    queue: mpi
    nodes: 2
    memory: 373000
    command: [hostname]
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for job in subject.jobs:
            largest = max(job.queue.environments, key=lambda each: most_memory(each.roomiest))
            if job.memory > most_memory(largest.roomiest):
                yield Match(
                    ("jobs", job.name, "memory"),
                    f"the job requests {job.memory} MiB a node; of the {largest.roomiest.memory} "
                    f"MiB of `{largest.roomiest.name}` a job can safely have "
                    f"{largest.most_usable_memory}",
                )


class MemoryHasHeadroom(SpecRule):
    id = "MN149"
    severity = Severity.WARNING
    title = "A job should leave memory to the system"
    why = (
        "The memory that the ECS agent registers differs by type, and a little by AMI. EFA takes "
        "220 MiB per CPU of it at boot. A job that requests all of it may stay RUNNABLE "
        "indefinitely, or be killed because memory runs out."
    )
    remedy = "remove `memory` to use all that is safe"
    source_url = "https://docs.aws.amazon.com/batch/latest/userguide/ecs-reserved-memory.html"
    manual_test = (
        "aws ecs describe-container-instances --cluster CLUSTER --container-instances ID "
        "--query 'containerInstances[].registeredResources'"
    )
    failing = """\
environments:
  r5: {instance: r5.12xlarge, max_nodes: 16}
queues:
  mpi: {environments: [r5]}
jobs:
  greedy:
    queue: mpi
    nodes: 2
    memory: 383000  #! 383000
    command: [hostname]
"""
    passing = """\
environments:
  r5: {instance: r5.12xlarge, max_nodes: 16}
queues:
  mpi: {environments: [r5]}
jobs:
  modest:
    queue: mpi
    nodes: 2
    memory: 373000
    command: [hostname]
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for job in subject.jobs:
            largest = max(job.queue.environments, key=lambda each: each.most_usable_memory)
            kind = largest.roomiest
            if largest.most_usable_memory < job.memory <= most_memory(kind):
                yield Match(
                    ("jobs", job.name, "memory"),
                    f"{job.memory} MiB leaves {kind.memory - job.memory} of the {kind.memory} MiB "
                    f"of `{kind.name}` to the system; a job can safely have "
                    f"{largest.most_usable_memory}",
                )


class FitsEveryEnvironment(SpecRule):
    id = "MN150"
    severity = Severity.WARNING
    title = "A job should fit every environment of its queue"
    why = (
        "AWS Batch skips an environment that is too small for the job. If the other ones are full "
        "or have no capacity, the job waits although the queue appears to have another "
        "environment."
    )
    remedy = "request what the smallest environment has, or remove it from the queue"
    source_url = "https://docs.aws.amazon.com/batch/latest/APIReference/API_CreateJobQueue.html"
    manual_test = (
        "aws batch describe-compute-environments --query 'computeEnvironments[].computeResources'"
    )
    failing = """\
environments:
  many: {instance: r5.12xlarge, max_nodes: 16, zones: [us-east-1a]}
  few: {instance: r5.12xlarge, max_nodes: 4, zones: [us-east-1b]}
queues:
  mpi: {environments: [many, few], cancel_after: {capacity: 3600}}
jobs:
  hello:
    queue: mpi
    nodes: 8  #! 8
    command: [hostname]
"""
    passing = """\
environments:
  many: {instance: r5.12xlarge, max_nodes: 16, zones: [us-east-1a]}
  few: {instance: r5.12xlarge, max_nodes: 8, zones: [us-east-1b]}
queues:
  mpi: {environments: [many, few], cancel_after: {capacity: 3600}}
jobs:
  hello:
    queue: mpi
    nodes: 8
    command: [hostname]
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for job in subject.jobs:
            nodes = job.spec.nodes or 1
            environments = job.queue.environments
            wants = (
                ("nodes", nodes, [each.spec.max_nodes for each in environments]),
                ("vcpus", job.vcpus, [each.schedulable_vcpus for each in environments]),
                ("memory", job.memory, [most_memory(each.roomiest) for each in environments]),
                ("gpus", job.gpus, [each.gpus for each in environments]),
            )
            for key, want, given in wants:
                if min(given) < want <= max(given):
                    small = environments[given.index(min(given))].name
                    yield Match(
                        ("jobs", job.name, key),
                        f"the environment `{small}` of the queue `{job.queue.name}` is too small "
                        f"for this job's `{key}`: {want}",
                    )
            for each in environments:
                less = [kind.name for kind in each.types if most_memory(kind) < job.memory]
                if less and len(less) < len(each.types):
                    yield Match(
                        ("jobs", job.name, "memory"),
                        f"of the types of the environment `{each.name}`, {' and '.join(less)} "
                        f"{'has' if len(less) == 1 else 'have'} too little memory for this job: "
                        f"{job.memory} MiB",
                    )


class SharedMemoryFits(SpecRule):
    id = "MN151"
    severity = Severity.WARNING
    title = "Shared memory should be part of the job's memory"
    why = (
        "What ranks write to /dev/shm counts as memory of the container. A job with a larger "
        "/dev/shm is killed because memory runs out before /dev/shm is full."
    )
    remedy = "lower `shared_memory`, or leave it out for a quarter of `memory`"
    source_url = "https://docs.aws.amazon.com/batch/latest/APIReference/API_LinuxParameters.html"
    manual_test = DEFINITIONS.format("linuxParameters")
    failing = """\
environments:
  r5: {instance: r5.12xlarge, max_nodes: 16}
queues:
  mpi: {environments: [r5]}
jobs:
  hello:
    queue: mpi
    memory: 8192
    shared_memory: 16384  #! 16384
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
    memory: 8192
    shared_memory: 4096
    command: [hostname]
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for job in subject.jobs:
            if job.spec.shared_memory is not None and job.shared_memory > job.memory:
                yield Match(
                    ("jobs", job.name, "shared_memory"),
                    f"{job.shared_memory} MiB of shared memory is more than the job's memory of "
                    f"{job.memory} MiB",
                )
