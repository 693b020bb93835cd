"""A deployment as a picture: jobs, queues, compute environments, and what they use.

`graph_of` makes a graph of a cluster, from the spec alone, and `planned_graph` one with
the changes of a plan. `to_mermaid` writes a graph as a flowchart, and `mermaid_texts` as ever
smaller ones that forges draw; `to_svg` draws it without any other program.
"""

from typing import TYPE_CHECKING

from mngen._later import later
from mngen.graph._build import graph_of
from mngen.graph._mermaid import mermaid_texts, to_mermaid
from mngen.graph._model import Edge, Graph, Group, Kind, Mark, Node
from mngen.graph._svg import to_svg

if TYPE_CHECKING:
    from mngen.graph._plan import planned_graph

__all__ = [
    "Edge",
    "Graph",
    "Group",
    "Kind",
    "Mark",
    "Node",
    "graph_of",
    "mermaid_texts",
    "planned_graph",
    "to_mermaid",
    "to_svg",
]
# Only this needs Terraform's plans.
__getattr__ = later(__name__, {"planned_graph": "_plan"})
