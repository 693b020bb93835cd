"""A multi-node job on this machine, before it costs anything.

`rehearse` runs a `Rehearsal`, a job of the spec (`rehearsal_of`) or any command, with the real
wire-up, and with `Fault`s on demand; its `Outcome` has the exit codes and the timeline. What
starts the nodes is an engine: `NetworkNamespaces`, or a `ContainerEngine` (Docker, Podman).

    outcome = rehearse(
        Rehearsal(name="try", command=("/efs/app",), nodes=4),
        NetworkNamespaces(), on_line=print, shared=Path("."),
    )

Below it, `start_nodes` starts the nodes of a `NodesRequest` at the same moment, each with its own
address, host name, processes and folders, and with Batch's variables; the `Nodes` that it returns
are watched, and killed, cut off or frozen. `unavailable` returns why that cannot be done here.

    with start_nodes(NodesRequest(command=("hostname",), count=4)) as nodes:
        nodes.wait(timeout=10)
        print(nodes.exit_codes, nodes.lines)
"""

from typing import TYPE_CHECKING

from mngen._later import later

if TYPE_CHECKING:
    from mngen.rehearsal._containers import ContainerEngine
    from mngen.rehearsal._faults import Fault, FaultKind, check_faults, parse_fault
    from mngen.rehearsal._nodes import Line, Nodes
    from mngen.rehearsal._plan import Rehearsal, RehearsedGroup, image_of, rehearsal_of
    from mngen.rehearsal._rehearse import Engine, Outcome, rehearse
    from mngen.rehearsal._request import Bind, MemoryFiles, NodesRequest
    from mngen.rehearsal._start import NetworkNamespaces, start_nodes, unavailable
    from mngen.rehearsal._watch import RunningNodes

__all__ = [
    "Bind",
    "ContainerEngine",
    "Engine",
    "Fault",
    "FaultKind",
    "Line",
    "MemoryFiles",
    "NetworkNamespaces",
    "Nodes",
    "NodesRequest",
    "Outcome",
    "Rehearsal",
    "RehearsedGroup",
    "RunningNodes",
    "check_faults",
    "image_of",
    "parse_fault",
    "rehearsal_of",
    "rehearse",
    "start_nodes",
    "unavailable",
]

# The keeper, in which every node starts, needs none of these.
__getattr__ = later(
    __name__,
    {
        "Bind": "_request",
        "ContainerEngine": "_containers",
        "Engine": "_rehearse",
        "Fault": "_faults",
        "FaultKind": "_faults",
        "Line": "_nodes",
        "MemoryFiles": "_request",
        "NetworkNamespaces": "_start",
        "Nodes": "_nodes",
        "NodesRequest": "_request",
        "Outcome": "_rehearse",
        "Rehearsal": "_plan",
        "RehearsedGroup": "_plan",
        "RunningNodes": "_watch",
        "check_faults": "_faults",
        "image_of": "_plan",
        "parse_fault": "_faults",
        "rehearsal_of": "_plan",
        "rehearse": "_rehearse",
        "start_nodes": "_start",
        "unavailable": "_start",
    },
)
