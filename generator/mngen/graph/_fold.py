"""Graphs with fewer nodes, where a picture of all would be too large."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen._text import counted
from mngen.graph._model import Edge, Graph, Group, Key, Kind, Mark, Node, in_numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator


def levels(graph: Graph, most: int | None = None) -> Iterator[Graph]:
    """Yields a graph, then ever fewer nodes: the jobs of each queue as one, then one for each kind.

    What a plan changes is folded last, when all else is. The last graph has a node for each kind at
    most, however large the deployment is.

    Args:
        graph: The whole graph.
        most: With more nodes than these, what stays as it is is folded; None for any number.
    """
    queues = {edge.start: edge.end for edge in graph.edges}

    def by_queue(node: Node) -> Hashable:
        return queues.get(node.key) if node.kind is Kind.JOB else node.key

    def by_kind(node: Node) -> Hashable:
        return None if node.kind.is_named else node.key

    def unless_changed(part: Callable[[Node], Hashable]) -> Graph:
        return _folded(graph, lambda node: node.key if node.mark else part(node))

    detailed = (graph, unless_changed(by_queue))
    small = [each for each in detailed if most is None or len(each.nodes) <= most]
    fewest = None
    for each in (
        *small,
        unless_changed(by_kind),
        _folded(graph, by_queue),
        _folded(graph, by_kind),
    ):
        if fewest is None or len(each.nodes) < fewest:
            yield each
            fewest = len(each.nodes)


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
