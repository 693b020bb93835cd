"""Rules about GPUs: which of them jobs can use, and how many."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.errors import Severity
from mngen.rules._rule import Match
from mngen.rules.spec._rule import SpecRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.catalog import InstanceType
    from mngen.cluster import ResolvedEnvironment, ResolvedJob
    from mngen.rules.spec._subject import Subject

_GPU_JOBS = "https://docs.aws.amazon.com/batch/latest/userguide/gpu-jobs.html"
_IMAGE_TYPES = "https://docs.aws.amazon.com/batch/latest/APIReference/API_Ec2Configuration.html"


class NoIdleGpus(SpecRule):
    id = "MN105"
    severity = Severity.WARNING
    title = "An environment should not have GPUs that no job can use"
    why = (
        "A container gets only the GPUs that its job definition requests, and AWS Batch counts "
        "whole ones. Without a job that requests them, the GPUs of such a type stay idle."
    )
    remedy = "remove `gpus: 0` from a job, or choose a type without GPUs"
    source_url = _GPU_JOBS
    manual_test = (
        "aws ec2 describe-instance-types --instance-types g5.12xlarge "
        "--query 'InstanceTypes[].GpuInfo'"
    )
    failing = """\
environments:
  graphics:
    instance: g5.12xlarge  #! g5.12xlarge
    max_nodes: 2
    multi_node: false
    scratch: /scratch
queues:
  graphics: {environments: [graphics]}
jobs:
  render:
    queue: graphics
    gpus: 0
    command: [hostname]
"""
    passing = """\
environments:
  graphics:
    instance: g5.12xlarge
    max_nodes: 2
    multi_node: false
    scratch: /scratch
queues:
  graphics: {environments: [graphics]}
jobs:
  render:
    queue: graphics
    gpus: 4
    command: [hostname]
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for each in subject.environments:
            instance = each.instance
            path = ("environments", each.name, "instance")
            if instance.gpu_name and not instance.gpus:
                yield Match(
                    path,
                    f"`{instance.name}` has a part of a GPU, and AWS Batch counts whole ones: no "
                    "job can request it",
                    "choose a type with whole GPUs (`mngen instances --gpus`), or with none",
                )
            jobs = jobs_of(subject, each)
            if instance.gpus and not each.gpus and wants_none(jobs):
                yield Match(
                    path,
                    f"the {instance.gpus} GPU(s) of `{instance.name}` are paid for, and no job can "
                    f"use them: {_unserved(instance, subject.spec.image.base)[0]}",
                    "choose a type without GPUs",
                )
            if each.gpus and jobs and not any(job.gpus for job in jobs):
                yield Match(
                    path,
                    f"the {each.gpus} GPU(s) of `{instance.name}` would be paid for and stay idle: "
                    "no job of its queues requests them",
                )


class GpusAreServed(SpecRule):
    id = "MN409"
    title = "The GPU-optimized AMI must serve the GPUs of a type"
    why = (
        "AWS Batch runs GPU jobs with the ECS GPU-optimized AMI, which has NVIDIA's drivers and "
        "exists for x86_64 only. The one of Amazon Linux 2023 does not support P3 and G3, and the "
        "one of Amazon Linux 2 loads modules that do not know P6 and G7. The ECS agent offers no "
        "GPUs on such a type; jobs that request them stay RUNNABLE."
    )
    remedy = (
        "choose another type with GPUs (`mngen instances --gpus`), or write `gpus: 0` in the jobs "
        "of its queues"
    )
    source_url = _IMAGE_TYPES
    manual_test = (
        "aws ec2 describe-instance-types --instance-types g5g.16xlarge "
        "--query 'InstanceTypes[].[GpuInfo,ProcessorInfo.SupportedArchitectures]'"
    )
    failing = """\
environments:
  graviton:
    instance: g5g.16xlarge  #! g5g.16xlarge
    max_nodes: 4
    multi_node: false
"""
    passing = """\
environments:
  gpus:
    instance: g5.12xlarge
    max_nodes: 4
    multi_node: false
    scratch: /scratch
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for each in subject.environments:
            # Without a job that wants them, they are merely idle: another rule warns of that.
            if each.instance.gpus and not each.gpus and not wants_none(jobs_of(subject, each)):
                reason, hint = _unserved(each.instance, subject.spec.image.base)
                yield Match(("environments", each.name, "instance"), reason, hint)


def jobs_of(subject: Subject, environment: ResolvedEnvironment) -> list[ResolvedJob]:
    """Returns the jobs that may be placed on an environment."""
    return [job for job in subject.jobs if environment in job.queue.environments]


def wants_none(jobs: list[ResolvedJob]) -> bool:
    """Returns whether there are jobs, and each of them has `gpus: 0`."""
    return bool(jobs) and all(job.spec.gpus == 0 for job in jobs)


def _unserved(instance: InstanceType, base: str) -> tuple[str, str | None]:
    """Returns why no job can use the GPUs of a type, and what to do if that differs."""
    name = f"`{instance.name}`"
    if instance.gpu_maker != "NVIDIA":
        maker = instance.gpu_maker or "an unknown maker"
        return f"the GPUs of {name} are of {maker}, and the AMI has the drivers of NVIDIA", None
    if instance.architecture != "x86_64":
        return f"{name} is {instance.architecture}, and GPU jobs run on x86_64 only", None
    message = f"the ECS GPU-optimized AMI of {base} does not serve the GPUs of {name}"
    if base == "amazon-linux-2":
        return message, "write `base: amazon-linux-2023`, or leave it out"
    return message, None


class GpusFit(SpecRule):
    id = "MN410"
    title = "A job must not request more GPUs than a node has"
    why = (
        "A container gets whole GPUs of one instance. A job that requests more than the instance "
        "has, or GPUs of a type without any, stays RUNNABLE."
    )
    remedy = "remove `gpus` to use all of a node"
    source_url = "https://docs.aws.amazon.com/batch/latest/userguide/job_stuck_in_runnable.html"
    manual_test = (
        "aws ecs describe-container-instances --cluster CLUSTER --container-instances ID "
        "--query 'containerInstances[].registeredResources'"
    )
    failing = """\
environments:
  gpus: {instance: g5.12xlarge, max_nodes: 4, multi_node: false, scratch: /scratch}
queues:
  gpus: {environments: [gpus]}
jobs:
  train:
    queue: gpus
    gpus: 8  #! 8
    command: [hostname]
"""
    passing = """\
environments:
  gpus: {instance: g5.12xlarge, max_nodes: 4, multi_node: false, scratch: /scratch}
queues:
  gpus: {environments: [gpus]}
jobs:
  train:
    queue: gpus
    gpus: 4
    command: [hostname]
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for job in subject.jobs:
            largest = max(job.queue.environments, key=lambda each: each.gpus)
            if job.gpus > largest.gpus:
                yield Match(
                    ("jobs", job.name, "gpus"),
                    f"the job requests {job.gpus} GPUs a node, and {gpus_in_words(largest)}",
                    None if largest.gpus else "remove `gpus`, or choose a queue of a GPU type",
                )


class OthersGetGpus(SpecRule):
    id = "MN411"
    severity = Severity.WARNING
    title = "A job that requests some GPUs of a node should leave the others usable"
    why = (
        "AWS Batch places several single-node jobs on an instance as long as it has vCPUs, memory "
        "and GPUs for each. A job that requests one GPU and all vCPUs, which is the default, keeps "
        "the other GPUs idle. A node of a multi-node job has the instance for itself."
    )
    remedy = "lower `vcpus` and `memory` to the job's share of the node"
    source_url = _GPU_JOBS
    manual_test = (
        "aws batch describe-job-definitions --status ACTIVE "
        "--query 'jobDefinitions[].containerProperties.resourceRequirements'"
    )
    failing = """\
environments:
  gpus: {instance: g5.12xlarge, max_nodes: 4, multi_node: false, scratch: /scratch}
queues:
  gpus: {environments: [gpus]}
jobs:
  evaluate:
    queue: gpus
    gpus: 1  #! 1
    command: [hostname]
"""
    passing = """\
environments:
  gpus: {instance: g5.12xlarge, max_nodes: 4, multi_node: false, scratch: /scratch}
queues:
  gpus: {environments: [gpus]}
jobs:
  evaluate:
    queue: gpus
    gpus: 1
    vcpus: 12
    memory: 40000
    command: [hostname]
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for job in subject.jobs:
            first = job.queue.environments[0]
            if not 0 < job.gpus < first.gpus:
                continue
            together = min(first.schedulable_vcpus // job.vcpus, first.usable_memory // job.memory)
            used = job.gpus * (1 if job.spec.nodes else together)
            # A job that does not fit at all is the business of other rules.
            if together and first.gpus - used >= job.gpus:
                why = "a multi-node job has its nodes for itself"
                if not job.spec.nodes:
                    why = f"its `vcpus` and `memory` leave room for {together} such job(s)"
                yield Match(
                    ("jobs", job.name, "gpus"),
                    f"{first.gpus - used} of the {first.gpus} GPUs of a node of `{first.name}` "
                    f"stay idle: {why}",
                    "remove `gpus` to use all of a node" if job.spec.nodes else None,
                )


def gpus_in_words(environment: ResolvedEnvironment) -> str:
    """Returns the clause on how many GPUs a job can have on a node of an environment."""
    instance = environment.instance
    what = f"a node of `{environment.name}` (`{instance.name}`) has"
    if environment.gpus:
        return f"{what} {environment.gpus}"
    return f"{what} none that a job can use" if instance.gpu_name else f"{what} none"
