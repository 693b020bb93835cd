"""The picture of a deployment: its geometry, read back from the SVG."""

from __future__ import annotations

import re
from itertools import combinations
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from mngen.graph import Edge, Graph, Group, Kind, Node, graph_of, to_svg
from tests.support.golden import SPECS
from tests.support.specs import FRAGMENTS, make_spec, pairwise, to_cluster
from tests.unit.graph.test_graph_mermaid import NASTY, cluster_of

if TYPE_CHECKING:
    from pathlib import Path

SVG = "{http://www.w3.org/2000/svg}"
# Of 12 pixels, what the widest of the usual monospaced fonts has: 1233 of 2048 units of an em in
# DejaVu Sans Mono (https://dejavu-fonts.github.io), as in Menlo; Courier New and Liberation Mono
# have 1229, Consolas 1126.
LETTER = 12 * 1233 / 2048
ROUNDING = 0.11

Box = tuple[float, float, float, float]
"""Left, top, right and bottom."""
Point = tuple[float, float]


class Picture:
    """A picture that was read back.

    Attributes:
        frames: The frames of groups.
        boxes: The boxes of nodes, with the lines of text in each.
        arrows: The points of each arrow, from its start to its end.
        heads: The three corners of each arrow's head, the tip first.
        words: All other text, with the room that it takes.
    """

    def __init__(self, graph: Graph) -> None:
        drawn = to_svg(graph)
        assert drawn == to_svg(graph)
        self.root = ET.fromstring(drawn.encode())
        self.width, self.height = (float(each) for each in self.root.attrib["viewBox"].split()[2:])
        self.frames = [box(each) for each in self.root.findall(f"{SVG}rect[@class='frame']")]
        self.boxes: list[tuple[Box, list[tuple[str, Box]]]] = []
        for group in self.root.findall(f"{SVG}g"):
            [rectangle] = group.findall(f"{SVG}rect")
            lines = [(str(each.text), room(each)) for each in group.findall(f"{SVG}text")]
            self.boxes.append((box(rectangle), lines))
        paths = self.root.findall(f"{SVG}path")
        self.arrows = [points(each.attrib["d"]) for each in paths if each.get("class") == "arrow"]
        self.heads = [head(each.attrib["d"]) for each in paths if each.get("class") == "head"]
        self.words = [(str(each.text), room(each)) for each in self.root.findall(f"{SVG}text")]

    def check(self) -> None:
        """Nothing overlaps or leaves its place, and each arrow leads from a box to a box."""
        view = (0.0, 0.0, self.width, self.height)
        for frame in self.frames:
            assert inside(frame, view)
        for one, other in combinations(self.frames, 2):
            assert apart(one, other), (one, other)
        for one, lines in self.boxes:
            assert [inside(one, frame) for frame in self.frames].count(True) == 1
            for line, place in lines:
                assert inside(place, one), line
            for (first, above), (second, below) in combinations(lines, 2):
                assert apart(above, below), (first, second)
        for (one, _), (other, _) in combinations(self.boxes, 2):
            assert apart(one, other), (one, other)
        for line, place in self.words:
            assert inside(place, view), line
            assert all(apart(place, each) for each, _ in self.boxes), line
        for (one_text, one), (other_text, other) in combinations(self.words, 2):
            assert apart(one, other), (one_text, other_text)
        ends = [*self.frames, *(each for each, _ in self.boxes)]
        assert len(self.heads) == len(self.arrows)
        for arrow, corners in zip(self.arrows, self.heads, strict=True):
            assert any(on_border(arrow[0], each) for each in ends), arrow[0]
            assert any(on_border(arrow[-1], each) for each in ends), arrow[-1]
            assert corners[0] == pytest.approx(arrow[-1])
            for point in (*arrow[1:-1], *corners[1:]):
                assert not any(within(point, each) for each, _ in self.boxes), point
                assert inside((*point, *point), view)


def box(element: ET.Element) -> Box:
    x, y, width, height = (float(element.attrib[key]) for key in ("x", "y", "width", "height"))
    return x, y, x + width, y + height


def room(element: ET.Element) -> Box:
    """Return what a line of text takes: its letters, and the height of the font."""
    x, y = float(element.attrib["x"]), float(element.attrib["y"])
    return x, y - 9.5, x + len(str(element.text or "")) * LETTER, y + 3


def points(path: str) -> list[Point]:
    """Return points along an arrow: a line down, or a cubic curve."""
    numbers = [float(each) for each in re.findall(r"-?[\d.]+", path)]
    if found := re.fullmatch(r"M(\S+) (\S+)V(\S+)", path):
        x, y, end = (float(each) for each in found.groups())
        return [(x, y + (end - y) * step / 20) for step in range(21)]
    assert re.fullmatch(r"M\S+ \S+C\S+ \S+ \S+ \S+ \S+ \S+", path), path
    corners = list(zip(numbers[::2], numbers[1::2], strict=True))
    weights = [
        ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3)
        for t in (step / 20 for step in range(21))
    ]
    return [
        (
            sum(weight * x for weight, (x, _) in zip(each, corners, strict=True)),
            sum(weight * y for weight, (_, y) in zip(each, corners, strict=True)),
        )
        for each in weights
    ]


def head(path: str) -> list[Point]:
    found = re.fullmatch(r"M(\S+) (\S+)l(-\S+) (-\S+)(h|v)(\S+)z", path)
    assert found is not None, path
    x, y, along, across, length = (float(found[each]) for each in (1, 2, 3, 4, 6))
    first = (x + along, y + across)
    last = (first[0] + length, first[1]) if found[5] == "h" else (first[0], first[1] + length)
    return [(x, y), first, last]


def inside(one: Box, other: Box) -> bool:
    return (
        other[0] - ROUNDING <= one[0] <= one[2] <= other[2] + ROUNDING
        and other[1] - ROUNDING <= one[1] <= one[3] <= other[3] + ROUNDING
    )


def apart(one: Box, other: Box) -> bool:
    return (
        one[2] <= other[0] + ROUNDING
        or other[2] <= one[0] + ROUNDING
        or one[3] <= other[1] + ROUNDING
        or other[3] <= one[1] + ROUNDING
    )


def within(point: Point, of: Box) -> bool:
    return of[0] + ROUNDING < point[0] < of[2] - ROUNDING and (
        of[1] + ROUNDING < point[1] < of[3] - ROUNDING
    )


def on_border(point: Point, of: Box) -> bool:
    x, y = point
    if not inside((x, y, x, y), of):
        return False
    edges = (x - of[0], x - of[2], y - of[1], y - of[3])
    return min(map(abs, edges)) <= ROUNDING


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_the_picture_of_a_spec_is_sound(path: Path) -> None:
    graph = graph_of(cluster_of(path))
    picture = Picture(graph)
    picture.check()
    assert len(picture.boxes) == len(graph.nodes)
    assert len(picture.arrows) == len(graph.edges)
    for node, (_, lines) in zip(graph.nodes, picture.boxes, strict=True):
        assert [len(each) <= 36 for each, _ in lines] == [True] * len(node.text)
        assert [each for each in node.text if len(each) <= 36] == [
            shown for (shown, _), each in zip(lines, node.text, strict=True) if len(each) <= 36
        ]
    assert picture.words[0][0] == graph.title


@pytest.mark.parametrize("choice", pairwise(), ids=lambda choice: choice["machines"])
def test_every_feature_gives_a_sound_picture(choice: dict[str, str]) -> None:
    Picture(graph_of(to_cluster(make_spec(choice)))).check()


def test_any_text_is_text_and_stays_in_its_box() -> None:
    nodes = tuple(
        Node(kind=Kind.JOB, name=f"{number} {text}", lines=(text, text * 20))
        for number, text in enumerate((*NASTY, *(each for each in FRAGMENTS if each.isascii())))
    )
    queue = Node(kind=Kind.QUEUE, name="q")
    edges = tuple(Edge(node.key, queue.key) for node in nodes)
    picture = Picture(Graph(title="<t> & \"'", nodes=(*nodes, queue), edges=edges))
    picture.check()
    tags = {each.tag.removeprefix(SVG) for each in picture.root.iter()}
    assert tags == {"svg", "style", "title", "rect", "text", "path", "g"}


def test_a_title_that_is_longer_than_all_else_fits() -> None:
    graph = Graph(title="x" * 100, nodes=(Node(kind=Kind.EFS),), edges=())
    Picture(graph).check()


def test_frames_of_one_column_are_joined_by_a_line() -> None:
    nodes = (Node(kind=Kind.ENVIRONMENT, name="e"), Node(kind=Kind.EFS), Node(kind=Kind.VPC))
    edges = (
        Edge(Group.ENVIRONMENTS, Group.STORAGE, "mount"),
        Edge(Group.ENVIRONMENTS, Group.NETWORK, "in"),
    )
    picture = Picture(Graph(title="t", nodes=nodes, edges=edges))
    picture.check()
    assert {text for text, _ in picture.words} >= {"mount", "in", "Storage", "Network"}
    down, across = picture.arrows
    assert len({x for x, _ in down}) == 1
    assert across[0][0] < across[-1][0]
    assert across[0][1] < across[-1][1]


def test_a_picture_loads_nothing() -> None:
    drawn = to_svg(graph_of(cluster_of(SPECS[0])))
    assert re.findall(r"https?://[^\"]*", drawn) == ["http://www.w3.org/2000/svg"]
    assert "href" not in drawn
    assert "url(" not in drawn
    assert "prefers-color-scheme: dark" in drawn
