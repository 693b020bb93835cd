"""The environment variables of a job's containers: what the spec says in the wire-up's words."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mngen.cluster._resolve import ResolvedJob
    from mngen.spec import Job, Spec

KEY_VARIABLES = {
    "ranks_per_node": "MNGEN_RANKS_PER_NODE",
    "threads_per_rank": "MNGEN_THREADS_PER_RANK",
    "launcher": "MNGEN_LAUNCHER",
    "mpi_args": "MNGEN_MPI_ARGS",
}
"""Keys of a job that are said to the wire-up in a variable."""

INPUTS_VARIABLE = "MNGEN_INPUTS"
"""The variable that tells a job where its inputs are: a folder of the shared file system."""

INPUTS_FROM_VARIABLE = "MNGEN_INPUTS_FROM"
"""The variable that tells the wire-up from where to fetch them if they are not there: `s3://…/`."""

INPUTS_REGION_VARIABLE = "MNGEN_INPUTS_REGION"
"""The variable that tells which region to ask: a VPC's endpoint for S3 serves its own alone."""

WIRE_UP_VARIABLES = frozenset(
    {
        *KEY_VARIABLES.values(),
        INPUTS_VARIABLE,
        INPUTS_FROM_VARIABLE,
        INPUTS_REGION_VARIABLE,
        "MNGEN_CPUS",
        "MNGEN_CPUS_CHECK",
        "MNGEN_HEARTBEAT",
        "MNGEN_PORT",
        "MNGEN_SECRET",
        "MNGEN_SHARED",
        "MNGEN_WAIT",
    }
)
"""All that the wire-up and what it starts read, see `container/mngen_wireup`."""


def key_variables(job: Job) -> dict[str, str]:
    """Returns the variables that a job's keys stand for, by the variable's name."""
    values = {
        "ranks_per_node": job.ranks_per_node and str(job.ranks_per_node),
        "threads_per_rank": job.threads_per_rank and str(job.threads_per_rank),
        "launcher": job.launcher,
        "mpi_args": shlex.join(job.mpi_args),
    }
    return {KEY_VARIABLES[key]: value for key, value in values.items() if value}


def job_variables(spec: Spec, job: ResolvedJob) -> dict[str, str]:
    """Returns the environment variables of a job's containers, sorted by name.

    The wire-up gets the shared file system, and the CPUs that a node must have where the machine
    images limit them. What the job's own `environment` says comes before all of it.
    """
    variables = {"MNGEN_SHARED": spec.storage.efs.mount}
    if job.nr_cpus is not None:
        variables["MNGEN_CPUS"] = str(job.nr_cpus)
    variables |= key_variables(job.spec)
    variables |= job.spec.environment
    return dict(sorted(variables.items()))
