"""The environment variables of a job's containers: what the spec sets, as the wire-up reads it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from mngen.cluster.names import CPUS_VARIABLE, KEY_VARIABLES, SHARED_VARIABLE

if TYPE_CHECKING:
    from mngen.cluster._resolve import ResolvedJob
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


def gpu_variables(job: ResolvedJob) -> dict[str, str]:
    """Returns the variables that a job has by default because of its GPUs.

    With EFA's huge pages, `fork` fails where they run out, as it does with PyTorch's data loaders:
    https://github.com/awslabs/awsome-distributed-ai (1.architectures/efa-cheatsheet.md). What else
    NCCL and libfabric need, the wire-up knows on the node.
    """
    if not job.gpus:
        return {}
    variables = {KEY_VARIABLES["ranks_per_node"]: str(job.gpus)}
    if job.efa_interfaces:
        variables["FI_EFA_USE_HUGE_PAGE"] = "0"
    return variables


def job_variables(spec: Spec, job: ResolvedJob) -> dict[str, str]:
    """Returns the environment variables of a job's containers, sorted by name.

    The wire-up gets the shared file system, the CPUs that a node must have if the AMIs limit them,
    and with GPUs one rank for each. The job's `environment` takes precedence over all of it.
    """
    variables = {SHARED_VARIABLE: spec.storage.efs.mount}
    if job.nr_cpus is not None:
        variables[CPUS_VARIABLE] = str(job.nr_cpus)
    variables |= gpu_variables(job)
    variables |= key_variables(job.spec)
    variables |= job.spec.environment
    return dict(sorted(variables.items()))
