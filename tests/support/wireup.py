"""Jobs under the wire-up, on nodes that are network namespaces."""

from __future__ import annotations

import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mngen.rehearsal import Bind, NodesRequest, start_nodes, unavailable
from tests.support.container import SOON
from tests.support.needs import skip_without

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.rehearsal import Nodes

CONTAINER = Path(__file__).resolve().parents[2] / "container"
SECRET = "0123456789abcdef" * 2
# What nodes see of this machine leaves out the caller's own Python.
PYTHON = "/usr/bin/python3"
EXAMPLE = (PYTHON, "/mngen/mpi_example.py")
# First process of a node: runs the wire-up and reports what it leaves behind.
WITNESS = (PYTHON, "-IS", "/support/witness.py")
WIREUP = (PYTHON, "-IS", "/mngen/wireup.py")
FACTS = {
    "MNGEN_SECRET": SECRET,
    "MNGEN_RANKS_PER_NODE": "1",
    # More ranks than CPUs: a rank that waits must let others run.
    "OMPI_MCA_mpi_yield_when_idle": "1",
    # Nodes share them, and would all have their first rank on the first one.
    "OMPI_MCA_hwloc_base_binding_policy": "none",
}
END = r"end: exit (\d+); rendezvous (\S+)s, ssh (\S+)s, run (\S+)s, teardown (\S+)s$"


def needs(*parts: str) -> None:
    """Skip where nodes cannot be made, or where a part is missing that they run."""
    skip_without("nodes", "node-python", "node-ssh", "node-ssh-keygen", "sshd", *parts)
    if reason := unavailable():
        pytest.skip(reason)


def needs_mpi4py() -> None:
    """Skip where the system's Python has no mpi4py."""
    skip_without("node-python", "mpi4py")


@contextmanager
def job(
    count: int,
    *command: str,
    environment: dict[str, str] | None = None,
    binds: tuple[Bind, ...] = (),
    **request: Any,
) -> Iterator[Nodes]:
    """Starts a job under the wire-up; a variable that is None is left out."""
    wanted = {**FACTS, **(environment or {})}
    with start_nodes(
        NodesRequest(
            command=(*WITNESS, *WIREUP, *command),
            count=count,
            environment={name: value for name, value in wanted.items() if value},
            binds=(
                Bind(CONTAINER, "/mngen", read_only=True),
                Bind(Path(__file__).parent, "/support", read_only=True),
                *binds,
            ),
            **request,
        )
    ) as nodes:
        yield nodes


def said(nodes: Nodes, node: int | None = None) -> str:
    """Returns all that nodes have written, or one of them."""
    return "\n".join(line.text for line in nodes.lines if node in (None, line.node))


def assert_clean(nodes: Nodes, *indexes: int) -> None:
    """Nothing was left on these nodes: no process, no listening socket, no file of the job."""
    for index in indexes:
        assert re.search(r"^left: nothing$", said(nodes, index), re.MULTILINE), said(nodes)


def codes(nodes: Nodes, timeout: float = SOON) -> dict[int, int]:
    """Waits for the end of all nodes; returns their exit codes in order."""
    assert nodes.wait(timeout), said(nodes)
    return dict(sorted(nodes.exit_codes.items()))
