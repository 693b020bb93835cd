"""Graphs with fewer nodes, where a picture of all would be too large."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen._text import counted
from mngen.graph._model import Edge, Graph, Group, Key, Kind, Mark, Node, in_numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator


def levels(graph: Graph) -> Iterator[Graph]:
    """Yields a graph, then with the jobs of each queue as one node, then with one node a kind.

    The last has a node for each kind at most, however large the deployment is.
    """
    yield graph
    queues = {edge.start: edge.end for edge in graph.edges}
    yield _folded(graph, lambda node: queues.get(node.key) if node.kind is Kind.JOB else node.key)
    yield _folded(graph, lambda node: None if node.kind.is_named else node.key)


def _folded(graph: Graph, part: Callable[[Node], Hashable]) -> Graph:
    """Returns a graph in which nodes of one kind and one part are one node."""
    parts: dict[tuple[Kind, Hashable], list[Node]] = {}
    for node in graph.nodes:
        parts.setdefault((node.kind, part(node)), []).append(node)
    keys: dict[Key | Group, Key] = {}
    nodes = []
    for (kind, _), members in parts.items():
        node = members[0]
        if len(members) > 1:
            # The jobs of two queues may be equally many; the name of the first distinguishes them.
            name = f"{counted(len(members), kind.value)}: {node.name}, …"
            marks = [each.mark for each in members]
            mark = marks[0] if len({*marks}) == 1 else Mark.CHANGE
            node = Node(kind=kind, name=name, mark=mark, notes=in_numbers(marks))
        nodes.append(node)
        keys |= dict.fromkeys((each.key for each in members), node.key)
    edges = [
        Edge(keys.get(each.start, each.start), keys.get(each.end, each.end), each.label)
        for each in graph.edges
    ]
    return Graph(title=graph.title, nodes=tuple(nodes), edges=tuple(dict.fromkeys(edges)))
