"""A graph as a picture in SVG: frames in two rows, boxes in them, arrows in the space between.

The same graph always gives the same bytes. The picture has the colours of a light or a dark page,
as the reader's browser prefers, and loads nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from mngen._svg import number, text
from mngen.graph._cut import cut
from mngen.graph._model import Group

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.graph._model import Edge, Graph, Key, Node

# What a frame points to is below it or in the next column, so that no arrow crosses a box.
_PLACES = {
    Group.JOBS: (0, 0),
    Group.QUEUES: (1, 0),
    Group.ENVIRONMENTS: (2, 0),
    Group.AMIS: (3, 0),
    Group.CONTAINERS: (0, 1),
    Group.MESSAGES: (1, 1),
    Group.STORAGE: (2, 1),
    Group.NETWORK: (3, 1),
    Group.OTHER: (0, 2),
}
_STYLE = (
    "text { font: 12px ui-monospace, Menlo, Consolas, monospace; fill: #1f2328 } "
    ".title { font-weight: bold } .ground { fill: #ffffff } "
    ".frame { fill: #f6f8fa; stroke: #d0d7de } .box { fill: #ffffff; stroke: #57606a } "
    ".existing { stroke-dasharray: 4 3 } .arrow { fill: none; stroke: #57606a } "
    ".head { fill: #57606a } @media (prefers-color-scheme: dark) { text { fill: #e6edf3 } "
    ".ground { fill: #0d1117 } .frame { fill: #161b22; stroke: #30363d } "
    ".box { fill: #0d1117; stroke: #8b949e } .arrow { stroke: #8b949e } .head { fill: #8b949e } }"
)
_LETTER = 7.3
"""Width of a letter of 12 pixels in a monospaced font, which is 0.602 of its size at most."""
_LONGEST_LINE = 36
_LINE = 16.0
_PADDING = 10.0
_BETWEEN = 12.0
"""Between boxes, and between a box and its frame."""
_CAPTION = 30.0
_MARGIN, _TOP = 20.0, 52.0
_COLUMN_GAP, _ROW_GAP = 80.0, 48.0
_HEAD_LENGTH, _HEAD_WIDTH = 8.0, 4.0
_CORNER = 16.0
"""How far from the corner of a frame an arrow to another column starts or ends."""


class _Box(Struct, frozen=True):
    """A rectangle, in pixels."""

    x: float
    y: float
    width: float
    height: float

    @property
    def attributes(self) -> str:
        names = ("x", "y", "width", "height")
        return " ".join(f'{name}="{number(getattr(self, name))}"' for name in names)


def to_svg(graph: Graph) -> str:
    """Draws a graph. Each box shows its whole text when the pointer rests on it."""
    frames, boxes = _layout(graph)
    width = max(each.x + each.width for each in frames.values()) + _MARGIN
    width = max(width, 2 * _MARGIN + len(graph.title) * _LETTER)
    height = max(each.y + each.height for each in frames.values()) + _MARGIN
    size = f'width="{number(width)}" height="{number(height)}"'
    view = f"0 0 {number(width)} {number(height)}"
    title = text(graph.title)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{view}" {size} role="img">',
        f"<style>{_STYLE}</style>",
        f"<title>{title}</title>",
        f'<rect class="ground" {size}/>',
        f'<text class="title" x="{number(_MARGIN)}" y="32">{title}</text>',
    ]
    for group, frame in frames.items():
        lines.append(f'<rect class="frame" rx="6" {frame.attributes}/>')
        lines.append(_text(group.caption, frame.x + _BETWEEN, frame.y + 20))
    for edge in graph.edges:
        lines += _arrow(edge, frames, boxes)
    for node in graph.nodes:
        lines += _node(node, boxes[node.key])
    return "\n".join([*lines, "</svg>", ""])


def _layout(graph: Graph) -> tuple[dict[Group, _Box], dict[Key, _Box]]:
    """Returns where the frames and the boxes are."""
    groups = graph.groups
    widths: dict[int, float] = {}
    heights: dict[int, float] = {}
    for group, nodes in groups.items():
        column, row = _PLACES[group]
        longest = max(len(line) for node in nodes for line in _lines(node))
        wide = max(longest * _LETTER + 2 * _PADDING, len(group.caption) * _LETTER)
        widths[column] = max(widths.get(column, 0.0), wide + 2 * _BETWEEN)
        high = _CAPTION + sum(_height(node) + _BETWEEN for node in nodes)
        heights[row] = max(heights.get(row, 0.0), high)
    lefts = _starts(widths, _MARGIN, _COLUMN_GAP)
    tops = _starts(heights, _TOP, _ROW_GAP)
    frames, boxes = {}, {}
    for group, nodes in groups.items():
        column, row = _PLACES[group]
        frame = _Box(lefts[column], tops[row], widths[column], heights[row])
        frames[group] = frame
        y = frame.y + _CAPTION
        for node in nodes:
            inner = frame.width - 2 * _BETWEEN
            boxes[node.key] = _Box(frame.x + _BETWEEN, y, inner, _height(node))
            y += _height(node) + _BETWEEN
    return frames, boxes


def _starts(sizes: dict[int, float], first: float, gap: float) -> dict[int, float]:
    """Returns where each column or row starts."""
    starts = {}
    for place in sorted(sizes):
        starts[place] = first
        first += sizes[place] + gap
    return starts


def _lines(node: Node) -> list[str]:
    return [cut(line, _LONGEST_LINE) for line in node.text]


def _height(node: Node) -> float:
    return len(node.text) * _LINE + 2 * _PADDING


def _node(node: Node, box: _Box) -> Iterator[str]:
    existing = " existing" if node.existing else ""
    whole = text(", ".join(node.text))
    yield f'<g><title>{whole}</title><rect class="box{existing}" rx="4" {box.attributes}/>'
    for place, line in enumerate(_lines(node)):
        y = box.y + _PADDING + place * _LINE + 12
        yield _text(line, box.x + _PADDING, y, "title" if place == 0 else "")
    yield "</g>"


def _arrow(edge: Edge, frames: dict[Group, _Box], boxes: dict[Key, _Box]) -> Iterator[str]:
    ends = (edge.start, edge.end)
    start, end = (frames[each] if isinstance(each, Group) else boxes[each] for each in ends)
    if start.x == end.x:
        x, y = start.x + start.width / 2, start.y + start.height
        yield f'<path class="arrow" d="M{number(x)} {number(y)}V{number(end.y)}"/>'
        yield _head(x, end.y, down=True)
        yield _text(edge.label, x + 8, (y + end.y) / 2 + 4)
        return
    from_frame = isinstance(edge.start, Group)
    x, x2 = start.x + start.width, end.x
    y = start.y + (start.height - _CORNER if from_frame else start.height / 2)
    y2 = end.y + (_CORNER if from_frame else end.height / 2)
    middle = number((x + x2) / 2)
    curve = f"C{middle} {number(y)} {middle} {number(y2)} {number(x2)} {number(y2)}"
    yield f'<path class="arrow" d="M{number(x)} {number(y)}{curve}"/>'
    yield _head(x2, y2)
    if edge.label:
        yield _text(edge.label, (x + x2) / 2 + 8, (y + y2) / 2 + 4)


def _head(x: float, y: float, *, down: bool = False) -> str:
    along, across = number(_HEAD_LENGTH), number(_HEAD_WIDTH)
    if down:
        path = f"l-{across} -{along}h{number(2 * _HEAD_WIDTH)}z"
    else:
        path = f"l-{along} -{across}v{number(2 * _HEAD_WIDTH)}z"
    return f'<path class="head" d="M{number(x)} {number(y)}{path}"/>'


def _text(content: str, x: float, y: float, kind: str = "") -> str:
    name = f' class="{kind}"' if kind else ""
    return f'<text{name} x="{number(x)}" y="{number(y)}">{text(content)}</text>'
