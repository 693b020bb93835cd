"""Timelines: phases from lines, and the two pictures of them."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from mngen.timeline import (
    Mark,
    NodeRecord,
    Phase,
    Segment,
    Stage,
    Timeline,
    WireUpLine,
    build,
    to_svg,
    to_text,
)

GOLDEN = Path(__file__).parent / "data"
_STAGES = (
    *((0.0, Stage.START), (0.1, Stage.CPUS), (0.2, Stage.RENDEZVOUS), (1.0, Stage.READY)),
    *((1.1, Stage.LAUNCH), (2.0, Stage.RUNNING), (8.0, Stage.END)),
)


def lines(node: int, *stages: tuple[float, Stage]) -> list[WireUpLine]:
    return [WireUpLine(node, seconds, stage, "") for seconds, stage in stages]


def record(node: int, **more: object) -> NodeRecord:
    given = {
        "start": 0.0,
        "clock": 0.5,
        "lines": lines(node, *_STAGES),
        "end": 8.5,
        "exit_code": 0,
        **more,
    }
    return NodeRecord(index=node, **given)  # type: ignore[arg-type]


def example() -> Timeline:
    queued = [Segment(Phase.QUEUED, 0.0, 1.0), Segment(Phase.STARTING, 1.0, 2.0)]
    killed = {
        "lines": lines(2, *_STAGES[:6]),
        "end": 5.0,
        "exit_code": 137,
        "marks": [Mark(5.0, "killed")],
    }
    return build(
        "mpi <example> & \x1b[31m",
        [
            record(0, end=10.5, exit_code=67, before=queued, start=2.0, clock=2.1),
            record(2, **killed),
            record(1, start=None, lines=(), end=None, exit_code=None),
            record(3, lines=lines(3, *_STAGES[:3]), end=None, exit_code=None),
        ],
        now=10.0,
    )


def test_phases_follow_from_the_lines() -> None:
    (row,) = build("job", [record(0)]).rows
    assert row.segments == (
        Segment(Phase.SETUP, 0.0, 0.7),
        Segment(Phase.RENDEZVOUS, 0.7, 1.5),
        Segment(Phase.LAUNCH, 1.5, 2.5),
        Segment(Phase.RUN, 2.5, 8.5),
    )
    assert (row.ending, row.failed) == ("exit 0", False)


def test_phases_never_go_back_or_beyond_the_end() -> None:
    stages = (
        *((0.0, Stage.START), (1.0, Stage.RENDEZVOUS), (2.0, Stage.RUNNING)),
        *((3.0, Stage.RENDEZVOUS), (4.0, Stage.LOST), (5.0, Stage.ERROR), (9.0, Stage.END)),
    )
    ended = record(0, clock=-0.5, lines=lines(0, *stages), end=5.0, exit_code=67)
    (row,) = build("job", [ended]).rows
    assert row.segments == (
        Segment(Phase.SETUP, 0.0, 0.5),
        Segment(Phase.RENDEZVOUS, 0.5, 1.5),
        Segment(Phase.RUN, 1.5, 3.5),
        Segment(Phase.TEARDOWN, 3.5, 5.0),
    )


def test_endings_are_told_apart() -> None:
    rows = {row.index: row for row in example().rows}
    assert [(rows[index].ending, rows[index].failed) for index in range(4)] == [
        ("exit 67", True),
        ("never came", True),
        ("exit 137", True),
        ("running", False),
    ]
    assert rows[3].segments[-1] == Segment(Phase.RENDEZVOUS, 0.7, 10.0)
    assert example().seconds == 10.5


def test_nothing_at_all_is_still_a_timeline() -> None:
    empty = build("", [NodeRecord(index=0, start=None)])
    assert "never came" in to_text(empty)
    assert "never came" in to_svg(empty)
    assert "nan" not in to_svg(build("nothing", []))


def test_golden_text(*, update_golden: bool) -> None:
    text = "\n\n".join(
        [
            to_text(example(), 80),
            to_text(example(), 60, ascii_only=True),
        ]
    )
    assert text + "\n" == expected("timeline.txt", text + "\n", update_golden=update_golden)


def test_golden_svg(*, update_golden: bool) -> None:
    svg = to_svg(example())
    assert svg == expected("timeline.svg", svg, update_golden=update_golden)


def expected(name: str, now: str, *, update_golden: bool) -> str:
    path = GOLDEN / name
    if update_golden:
        path.parent.mkdir(exist_ok=True)
        path.write_text(now, "utf-8")
    return path.read_text("utf-8")


@pytest.mark.parametrize("width", [1, 40, 80, 200])
def test_text_is_as_wide_as_the_terminal_but_never_unreadable(width: int) -> None:
    bars = [line for line in to_text(example(), width).splitlines() if "│" in line]
    assert len(bars) == 4
    assert max(map(len, bars)) <= max(width, 55)
    assert len({line.index("│") for line in bars}) == 1
    assert len({line.rindex("│") for line in bars}) == 1


def test_colours_are_only_on_the_bars_and_nothing_else_differs() -> None:
    plain = to_text(example(), 80)
    coloured = to_text(example(), 80, colour=True)
    title, rest = coloured.split("\n", 1)
    assert "\x1b[32m█" in rest
    assert title == plain.split("\n", 1)[0]
    assert re.sub(r"\x1b\[[0-9;]*m", "", rest) == re.sub(
        r"\x1b\[[0-9;]*m", "", plain.split("\n", 1)[1]
    )


def test_of_a_large_job_the_unusual_rows_are_shown() -> None:
    records = [record(index) for index in range(1000)]
    records[700] = record(700, exit_code=137, marks=[Mark(4.0, "killed")])
    text = to_text(build("large", records), 80)
    assert len(text.splitlines()) < 50
    assert "[0] main" in text
    assert "killed at 4.0 s, exit 137" in text
    assert "(960 more nodes: exit 0)" in text


def test_an_svg_of_a_large_job_stays_a_picture() -> None:
    records = [record(index) for index in range(1000)]
    root = ET.fromstring(to_svg(build("large", records)))
    assert float(root.attrib["height"]) < 3500
    labels = [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "node 0 main" in labels
    assert "node 500" not in labels


def test_an_svg_is_xml_whatever_the_texts_are() -> None:
    texts = "<&>\"']]> \x00\x08\x1b \ud800 \ufffe é 𝛑 <script>alert(1)</script>"
    marked = record(0, marks=[Mark(1.0, texts)])
    root = ET.fromstring(to_svg(build(texts, [marked])).encode())
    title = root.find("{http://www.w3.org/2000/svg}title")
    assert title is not None
    assert title.text is not None
    assert "<script>alert(1)</script>" in title.text
    assert not list(root.iter("{http://www.w3.org/2000/svg}script"))


def test_the_same_timeline_gives_the_same_picture() -> None:
    assert to_svg(example()) == to_svg(example())
