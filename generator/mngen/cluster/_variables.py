"""The environment variables of a job's containers: what the spec sets, as the wire-up reads it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from mngen.cluster.names import (
    CPUS_VARIABLE,
    GROUP_VARIABLE,
    KEY_VARIABLES,
    OUTPUTS_REGION_VARIABLE,
    OUTPUTS_TO_VARIABLE,
    OUTPUTS_VARIABLE,
    RUNS_BESIDE_VARIABLE,
    SCRATCH_VARIABLE,
    SHARED_VARIABLE,
    outputs_prefix,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mngen.cluster._resolve import ResolvedJob, ResolvedQueue
    from mngen.spec import Job, Spec


def key_variables(job: Job) -> dict[str, str]:
    """Returns the variables that a job's keys stand for, by the variable's name."""
    values = {
        "ranks_per_node": job.ranks_per_node and str(job.ranks_per_node),
        "threads_per_rank": job.threads_per_rank and str(job.threads_per_rank),
        "launcher": job.launcher,
        "mpi_args": shlex.join(job.mpi_args),
    }
    return {KEY_VARIABLES[key]: value for key, value in values.items() if value}


def output_variables(spec: Spec, job: Job) -> dict[str, str]:
    """Returns the variables with the folder of a job's outputs, and to where it is uploaded."""
    if job.outputs is None:
        return {}
    found = {OUTPUTS_VARIABLE: job.outputs}
    if spec.storage.bucket is not None:
        found[OUTPUTS_TO_VARIABLE] = f"s3://{spec.storage.bucket}/{outputs_prefix(spec.name)}"
        found[OUTPUTS_REGION_VARIABLE] = spec.region
    return found


def gpu_variables(job: ResolvedJob) -> dict[str, str]:
    """Returns the variables that a job has by default because of its GPUs.

    With EFA's huge pages, `fork` fails where they run out, as it does with PyTorch's data loaders:
    https://github.com/awslabs/awsome-distributed-ai (1.architectures/efa-cheatsheet.md). What else
    NCCL and libfabric need, the wire-up knows on the node.
    """
    return {"FI_EFA_USE_HUGE_PAGE": "0"} if job.gpus and job.efa_interfaces else {}


def default_ranks(
    job: ResolvedJob,
    queue: ResolvedQueue,
    *,
    vcpus: int,
    gpus: int,
    environment: Mapping[str, str],
) -> int | None:
    """Returns how many ranks a node gets by default; None for as many as it sees CPUs for.

    One for each GPU. On an instance that it may share, a single-node job sees all CPUs: its vCPUs
    become Docker's CPU shares, which limit nothing. It gets a rank for each core that they amount
    to, or fewer where ranks have more threads than a core.
    Source: https://docs.aws.amazon.com/batch/latest/APIReference/API_ResourceRequirement.html

    Args:
        job: It.
        queue: Where it runs.
        vcpus: vCPUs that it asks for on a node, as the ECS agent counts them.
        gpus: GPUs that it asks for on a node.
        environment: Variables that come before those of the job's keys.
    """
    if gpus:
        return gpus
    variables = {**key_variables(job.spec), **environment}
    shared = [each for each in queue.environments if vcpus < each.schedulable_vcpus]
    launcher = variables.get(KEY_VARIABLES["launcher"])
    if job.spec.nodes is not None or job.spec.definition or launcher == "none" or not shared:
        return None
    core = max(each.threads_per_core for each in shared)
    threads = variables.get(KEY_VARIABLES["threads_per_rank"], "")
    return max(1, vcpus // max(core, int(threads) if threads.isdecimal() else 1))


def registered_ranks(job: ResolvedJob) -> int | None:
    """Returns `default_ranks` of a job as its definition has it."""
    return default_ranks(
        job, job.queue, vcpus=job.vcpus, gpus=job.gpus, environment=job.spec.environment
    )


def job_variables(spec: Spec, job: ResolvedJob) -> dict[str, str]:
    """Returns the environment variables of a job's containers, sorted by name.

    The wire-up gets the shared file system and the scratch space, the CPUs that a node must have if
    the AMIs limit them, and the number of ranks where that does not follow from the CPUs that the
    job sees. It also gets the place of the job's outputs. The job's `environment` takes precedence
    over all of it.
    """
    variables = {SHARED_VARIABLE: spec.storage.efs.mount}
    if job.scratch is not None:
        variables[SCRATCH_VARIABLE] = job.scratch
    if job.nr_cpus is not None:
        variables[CPUS_VARIABLE] = str(job.nr_cpus)
    variables |= gpu_variables(job)
    ranks = registered_ranks(job)
    if ranks is not None:
        variables[KEY_VARIABLES["ranks_per_node"]] = str(ranks)
    variables |= key_variables(job.spec) | output_variables(spec, job.spec)
    if job.group is not None:
        variables[GROUP_VARIABLE] = job.group
    if job.runs_beside:
        of_launcher = KEY_VARIABLES["launcher"]
        if {**variables, **job.spec.environment}.get(of_launcher) == "main":
            variables[RUNS_BESIDE_VARIABLE] = "yes"
    variables |= job.spec.environment
    return dict(sorted(variables.items()))
