"""From what the nodes wrote to the card: pure, so that any log can be judged again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.selftest._facts import Cpus, End, Fatal, Phase, complete, nodes_of, of_kind
from mngen.selftest._judge_network import (
    efa_check,
    figures_of,
    nccl_check,
    network_check,
    sums_check,
)
from mngen.selftest._judge_nodes import (
    cpus_check,
    files_check,
    gpus_check,
    image_check,
    lustre_check,
    memlock_check,
    metadata_check,
    mount_check,
    open_files_check,
    pinning_check,
    scratch_check,
    shared_memory_check,
    siblings_check,
    user_check,
)
from mngen.selftest._types import Card, Check, State

if TYPE_CHECKING:
    from mngen.selftest._types import Expected, Run

_CHECKS = (
    cpus_check,
    siblings_check,
    pinning_check,
    mount_check,
    files_check,
    lustre_check,
    scratch_check,
    image_check,
    shared_memory_check,
    memlock_check,
    open_files_check,
    gpus_check,
    user_check,
    metadata_check,
    efa_check,
    network_check,
    sums_check,
    nccl_check,
)


def judge(expected: Expected, run: Run) -> Card:
    """Returns the report card of a run.

    Args:
        expected: What it must show.
        run: What it showed.
    """
    checks = [
        job_check(expected, run),
        *(
            check(expected, run)
            for check in _CHECKS
            if expected.lustre or check is not lustre_check
        ),
    ]
    return Card(
        title=expected.title,
        job=run.id,
        checks=tuple(checks),
        figures=figures_of(expected, run),
    )


def job_check(expected: Expected, run: Run) -> Check:
    """Whether the job came to its end on all nodes, and its log is whole."""
    title = "the job runs to its end on every node"
    seen = {fact.node for fact in of_kind(run.facts, Cpus)}
    missing = set(range(expected.nodes)) - seen
    fatal = of_kind(run.facts, Fatal)
    where = f"mngen logs {run.id}" if run.id else "look at the lines above"
    if fatal:
        why = fatal[0].why
        remedy = where
        if "mpi4py" in why:
            remedy = _without_mpi(expected) or (
                "build the container on mngen's image, which has mpi4py, or use another --job"
            )
            if not expected.real:
                remedy = "install mpi4py for /usr/bin/python3: on Debian, python3-mpi4py"
        return Check(id="job", title=title, state=State.ERROR, seen=why, remedy=remedy)
    if not run.succeeded:
        code = "" if run.exit_code is None else f"exit code {run.exit_code}"
        words = [code, run.reason, _stopped_at(run)]
        return Check(
            id="job",
            title=title,
            state=State.ERROR,
            seen="; ".join(word for word in words if word) or "it failed",
            remedy=(_without_mpi(expected) if run.exit_code in _NO_MPIRUN else "")
            or f"{where}; docs/container.md lists the exit codes",
        )
    if not run.facts:
        return Check(
            id="job",
            title=title,
            state=State.ERROR,
            seen="it succeeded, but its log holds no report",
            remedy="the emulated AWS runs no containers: use --rehearse; on AWS, see "
            f"`{where}` and the log driver of the job definition",
        )
    if missing or not complete(run.facts):
        lost = f"nothing from {nodes_of(missing)}" if missing else "lines of its log are missing"
        return Check(id="job", title=title, state=State.ERROR, seen=lost, remedy=where)
    version = of_kind(run.facts, End)[0].mpi
    return Check(
        id="job",
        title=title,
        state=State.OK,
        seen=f"{expected.nodes} nodes, {version.partition(', ')[0]}",
    )


_NO_MPIRUN = (64, 68)
"""Exit codes of the wire-up where there is no mpirun, or none that starts."""


def _without_mpi(expected: Expected) -> str:
    """Returns what to do where the job's image may well have no MPI; empty for another job."""
    if not expected.launcher:
        return ""
    return (
        "the self-test starts its ranks with the mpirun of Open MPI and needs mpi4py, which "
        f"`launcher: {expected.launcher}` does not: build the container on mngen's image, or use "
        "another --job"
    )


def _stopped_at(run: Run) -> str:
    phases = of_kind(run.facts, Phase)
    if not phases or of_kind(run.facts, End):
        return ""
    return f"it was measuring {phases[-1].at}"
