"""A deployment as a picture: jobs, queues, compute environments, and what they use.

`graph_of` makes a graph of a cluster, from the spec alone. `to_mermaid` writes a graph as a
flowchart, and `mermaid_texts` as ever smaller ones that forges draw.
"""

from mngen.graph._build import graph_of
from mngen.graph._mermaid import mermaid_texts, to_mermaid
from mngen.graph._model import Edge, Graph, Group, Kind, Mark, Node

__all__ = [
    "Edge",
    "Graph",
    "Group",
    "Kind",
    "Mark",
    "Node",
    "graph_of",
    "mermaid_texts",
    "to_mermaid",
]
