"""A multi-node job on this machine: its nodes as network namespaces, before it costs anything.

`start_nodes` starts the nodes of a `NodesRequest` in one instant, each with an address, a host
name, processes and folders of its own and with Batch's variables; the `Nodes` that it gives are
watched and harmed: killed, cut off, frozen. `unavailable` says why that cannot be done here.

    with start_nodes(NodesRequest(command=("hostname",), count=4)) as nodes:
        nodes.wait(timeout=10)
        print(nodes.exit_codes, nodes.lines)
"""

from mngen.rehearsal._nodes import Line, Nodes
from mngen.rehearsal._request import Bind, NodesRequest
from mngen.rehearsal._start import start_nodes, unavailable

__all__ = ["Bind", "Line", "Nodes", "NodesRequest", "start_nodes", "unavailable"]
