"""Lines of a job with node groups bear the names of the groups."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from mngen.cli.logs import Printer
from mngen.jobs import JobStatus, LogLine, NodeStatus
from mngen.jobs._logs import in_groups

if TYPE_CHECKING:
    import pytest

LINES = [LogLine(0, 1000, "first"), LogLine(12, 2000, "second")]


def status(*groups: str | None) -> JobStatus:
    nodes = [
        NodeStatus(index=index, main=index == 0, state="RUNNING", group=group)
        for index, group in zip((0, 12), groups, strict=True)
    ]
    return JobStatus(
        id="1",
        name="wave",
        queue="mpi",
        definition="wave:1",
        state="RUNNING",
        created=0.0,
        log_group="/mngen/seismic/jobs",
        nodes=tuple(nodes),
    )


def test_a_line_has_the_group_of_its_node(capsys: pytest.CaptureFixture[str]) -> None:
    show = Printer()
    for line in in_groups(LINES, status("head", "rest")):
        show.line(line)
    assert capsys.readouterr().out == "  0 head | first\n 12 rest | second\n"
    show = Printer(json_wanted=True)
    for line in in_groups(LINES[:1], status("head", "rest")):
        show.line(line)
    expected = {"node": 0, "group": "head", "time": 1000, "text": "first"}
    assert json.loads(capsys.readouterr().out) == expected


def test_without_groups_nothing_changes(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(in_groups(LINES, status(None, None))) == LINES
    Printer(json_wanted=True).line(LINES[0])
    assert json.loads(capsys.readouterr().out) == {"node": 0, "time": 1000, "text": "first"}
