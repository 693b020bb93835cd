"""Rules about a job's settings of the wire-up that starts its ranks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.cluster import KEY_VARIABLES, VARIABLE_PREFIX, WIRE_UP_VARIABLES, key_variables
from mngen.errors import Severity, did_you_mean
from mngen.rules._rule import Match
from mngen.rules.spec._contents import DEFINITIONS, variables_of
from mngen.rules.spec._rule import SpecRule
from mngen.spec import LAUNCHERS_WITHOUT_MPIRUN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.cluster import ResolvedJob
    from mngen.rules.spec._subject import Subject

_ENVIRONMENT = DEFINITIONS.format("environment")
_VARIABLES = "https://docs.aws.amazon.com/batch/latest/userguide/job_env_vars.html"
_THREADS = "https://www.openmp.org/spec-html/5.2/openmpse59.html"


class SaidOnce(SpecRule):
    id = "MN197"
    title = "A job must not set the same option as a key and as a variable"
    why = (
        "`ranks_per_node`, `threads_per_rank`, `launcher` and `mpi_args` reach the container as "
        "variables. A variable in `environment` overrides them, so the key has no effect."
    )
    remedy = "keep the key, and remove the variable"
    source_url = _VARIABLES
    manual_test = _ENVIRONMENT
    failing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  hello:
    queue: mpi
    nodes: 2
    command: [hostname]
    ranks_per_node: 12
    environment:
      MNGEN_RANKS_PER_NODE: "24"  #! MNGEN_RANKS_PER_NODE
"""
    passing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  hello:
    queue: mpi
    nodes: 2
    command: [hostname]
    ranks_per_node: 12
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for name, job in subject.spec.jobs.items():
            said = key_variables(job)
            keys = {variable: key for key, variable in KEY_VARIABLES.items() if variable in said}
            if job.threads_per_rank is not None:
                keys["OMP_NUM_THREADS"] = "threads_per_rank"
                said["OMP_NUM_THREADS"] = str(job.threads_per_rank)
            for variable, value in job.environment.items():
                if variable in keys and value != said[variable]:
                    yield Match(
                        ("jobs", name, "environment", variable),
                        f"`{variable}` contradicts the job's `{keys[variable]}`",
                        key=True,
                    )


class MpirunIsTheWireUps(SpecRule):
    id = "MN408"
    severity = Severity.WARNING
    title = "A job with `mpi_args` should have a launcher that starts mpirun"
    why = (
        "With the launchers `main`, `none` and `torchrun`, the wire-up does not start mpirun. If "
        "the command calls it, it passes its own arguments, so `mpi_args` has no effect."
    )
    remedy = "write the arguments where the command calls mpirun, and remove `mpi_args`"
    source_url = "https://www.open-mpi.org/doc/v4.1/man1/mpirun.1.php"
    manual_test = _ENVIRONMENT
    failing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  script:
    queue: mpi
    nodes: 2
    command: [/efs/run.sh]
    launcher: main
    mpi_args: [--bind-to, core]  #! [
"""
    passing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  script:
    queue: mpi
    nodes: 2
    command: [/efs/run.sh]
    launcher: main
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for name, job in subject.spec.jobs.items():
            if job.mpi_args and job.launcher in LAUNCHERS_WITHOUT_MPIRUN:
                yield Match(
                    ("jobs", name, "mpi_args"),
                    f"launcher `{job.launcher}` does not start mpirun",
                )


class CpusSuffice(SpecRule):
    id = "MN198"
    severity = Severity.WARNING
    title = "A node should have a CPU for every thread of its ranks"
    why = (
        "Ranks and threads that share a CPU wait for each other, and MPI's ranks poll while they "
        "wait. A node with twice as many threads as CPUs can be many times slower."
    )
    remedy = "lower `ranks_per_node` or `threads_per_rank`"
    source_url = _THREADS
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
  hybrid:
    queue: mpi
    nodes: 2
    command: [hostname]
    ranks_per_node: 12  #! 12
    threads_per_rank: 4
"""
    passing = """\
environments:
  r5: {instance: r5.12xlarge, max_nodes: 16}
queues:
  mpi: {environments: [r5]}
jobs:
  hybrid:
    queue: mpi
    nodes: 2
    command: [hostname]
    ranks_per_node: 6
    threads_per_rank: 4
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for job in subject.jobs:
            ranks, threads = job.spec.ranks_per_node, job.spec.threads_per_rank
            if ranks is None and threads is None:
                continue
            cpus = _cpus(job)
            if (ranks or 1) * (threads or 1) <= cpus:
                # Without a number of ranks there are as many as there are CPUs for.
                continue
            yield Match(
                ("jobs", job.name, "ranks_per_node" if ranks else "threads_per_rank"),
                f"{ranks} ranks of {threads or 1} threads on a node of {cpus} CPUs"
                if ranks
                else f"{threads} threads in each rank on a node of {cpus} CPUs",
            )


def _cpus(job: ResolvedJob) -> int:
    """Returns the CPUs that the job has on a node for itself.

    A node of a multi-node job has the instance for itself, whatever the job asks for.
    Source: https://docs.aws.amazon.com/batch/latest/userguide/multi-node-parallel-jobs.html
    """
    if job.spec.nodes is None:
        return job.vcpus
    return min(environment.schedulable_vcpus for environment in job.queue.environments)


class KnownVariables(SpecRule):
    id = "MN199"
    severity = Severity.WARNING
    title = "A variable starting with `MNGEN_` should be one of the wire-up"
    why = "The wire-up ignores unknown variables, also misspelt ones."
    remedy = "docs/container.md lists them; for a variable of your own, choose another prefix"
    source_url = _VARIABLES
    manual_test = _ENVIRONMENT
    failing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  hello:
    queue: mpi
    command: [hostname]
    environment:
      MNGEN_WAITS: "600"  #! MNGEN_WAITS
"""
    passing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  hello:
    queue: mpi
    command: [hostname]
    environment:
      MNGEN_WAIT: "600"
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for path, variable, _ in variables_of(subject):
            if variable.startswith(VARIABLE_PREFIX) and variable not in WIRE_UP_VARIABLES:
                yield Match(
                    path,
                    f"the wire-up knows no variable `{variable}`",
                    did_you_mean(variable, sorted(WIRE_UP_VARIABLES)),
                    key=True,
                )
