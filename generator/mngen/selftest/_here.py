"""The self-test as a rehearsal: the same program with real MPI between nodes of this machine."""

from __future__ import annotations

import os
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from mngen import parts
from mngen.errors import InputError
from mngen.rehearsal import NetworkNamespaces, Rehearsal, rehearse
from mngen.selftest._expect import expected_here
from mngen.selftest._facts import cpus_of, parse
from mngen.selftest._program import command
from mngen.selftest._types import Expected, Run

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_RANKS = 4
"""Most ranks of a rehearsed node: all nodes share this machine's cores."""
MOUNT = "/efs"
_SECONDS = 0.1
_LIMIT = 240
_CPUS = Path("/sys/devices/system/cpu")


class Fault(StrEnum):
    """What can be wrong with a rehearsed node, for the card to find."""

    CPUS = "cpus"
    """A node may use one CPU less than it has."""
    UNSHARED = "unshared"
    """A node sees a separate folder instead of the shared file system."""
    PINNING = "pinning"
    """All ranks of every node are bound to one CPU."""


def run_here(
    nodes: int,
    faults: tuple[Fault, ...] = (),
    *,
    on_line: Callable[[str], None],
) -> tuple[Expected, Run]:
    """Runs the self-test on nodes of this machine, as root.

    Args:
        nodes: Number of nodes, two or more.
        faults: What is to be wrong; a fault of one node is one of the last.
        on_line: Is called with each line that the nodes write.

    Returns:
        What it must show, and what it showed.

    Raises:
        InputError: A fault cannot be made on this machine.
        ToolError: The nodes cannot be started; what is missing for it is named.
        KeyboardInterrupt: A signal asked to end.
    """
    parts.require("selftest-rehearse", *(["taskset"] if faults else []))
    usable = sorted(os.sched_getaffinity(0))
    planned = plan(nodes, usable, faults)
    lines: list[str] = []

    def take(text: str) -> None:
        lines.append(text)
        on_line(text)

    outcome = rehearse(planned, NetworkNamespaces(), on_line=lambda line: take(line.text))
    if outcome.stopped == "interrupt":
        raise KeyboardInterrupt
    online = len(cpus_of(_read(_CPUS / "online"))) or len(usable)
    return expected_here(nodes, online, len(usable), MOUNT), Run(
        facts=parse(lines),
        succeeded=outcome.succeeded,
        exit_code=outcome.exit_code,
        reason=outcome.reason,
    )


def plan(nodes: int, usable: list[int], faults: tuple[Fault, ...]) -> Rehearsal:
    """Returns the rehearsal of a self-test.

    Args:
        nodes: Number of nodes.
        usable: CPUs of this machine that may be used.
        faults: What is to be wrong.

    Raises:
        InputError: A fault cannot be made on this machine.
    """
    if Fault.CPUS in faults and len(usable) < 2:
        raise InputError(
            "this machine has one CPU: no node can have one less",
            hint="leave out `--fault cpus`, or run it on a larger machine",
        )
    words = command(MOUNT, _SECONDS, _LIMIT)
    if Fault.PINNING in faults:
        words = ("taskset", "--cpu-list", str(usable[0]), *words)
    planned = Rehearsal(
        name="selftest",
        command=words,
        nodes=nodes,
        ranks_per_node=min(_cores(usable), MOST_RANKS),
        # Here ranks are bound as on AWS, which the test is to show.
        environment={"OMPI_MCA_hwloc_base_binding_policy": ""},
        mount=MOUNT,
        timeout=float(_LIMIT + 60),
    )
    if Fault.UNSHARED in faults:
        planned = replace(planned, unshared=frozenset({nodes - 1}))
    if Fault.CPUS in faults:
        fewer = ",".join(map(str, usable[:-1]))
        planned = replace(planned, cpus={nodes - 1: fewer}, ranks_per_node=1)
    return planned


def _cores(cpus: list[int]) -> int:
    """Returns of how many cores some CPUs are."""
    return len(
        {_read(_CPUS / f"cpu{cpu}/topology/thread_siblings_list") or str(cpu) for cpu in cpus}
    )


def _read(path: Path) -> str:
    try:
        return path.read_text("ascii").strip()
    except OSError:
        return ""
