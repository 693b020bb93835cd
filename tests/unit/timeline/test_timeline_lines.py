"""The wire-up's lines: what is read, and what is left alone."""

from __future__ import annotations

import pytest

from mngen.timeline import Stage, WireUpLine, clock_of, parse_line


@pytest.mark.parametrize("stage", list(Stage))
def test_every_stage_is_read(stage: Stage) -> None:
    line = parse_line(f"mngen[12] +3.05s {stage}: some: text")
    assert line == WireUpLine(12, 3.05, stage, "some: text")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "rank 0 of 2 runs on node0",
        "mngen[0] start: no time",
        "mngen[0] +1s start: no decimals",
        "mngen[0] +1.00s begin: no such stage",
        "mngen[-1] +1.00s start: no such node",
        "mngen[0] +1.00s start:nothing",
        " mngen[0] +1.00s start: indented",
        "[0] mngen[0] +1.00s start: labelled",
        "mngen[0] +1.00s start: two\nlines",
    ],
)
def test_other_lines_are_left_alone(text: str) -> None:
    assert parse_line(text) is None


def test_the_clock_is_told_by_the_line_that_was_fastest() -> None:
    lines = [
        (0.30, WireUpLine(0, 0.0, Stage.START, "")),
        (0.55, WireUpLine(0, 0.5, Stage.READY, "")),
        (2.00, WireUpLine(0, 1.5, Stage.END, "")),
    ]
    assert clock_of(lines) == pytest.approx(0.05)
    assert clock_of([]) == 0.0
