"""What the command line says of faults, and which of them make sense together."""

from __future__ import annotations

import re

import pytest

from mngen.rehearsal import Fault, FaultKind, check_faults, parse_fault
from mngen.timeline import Stage


@pytest.mark.parametrize(
    ("kind", "text", "fault", "words"),
    [
        (
            FaultKind.KILL,
            "2@running",
            Fault(FaultKind.KILL, 2, stage=Stage.RUNNING),
            "node 2 is killed at `running`",
        ),
        (
            FaultKind.CUT,
            "0@ready",
            Fault(FaultKind.CUT, 0, stage=Stage.READY),
            "node 0 is cut off at `ready`",
        ),
        (FaultKind.KILL, "2@5s", Fault(FaultKind.KILL, 2, 5.0), "node 2 is killed after 5 s"),
        (FaultKind.KILL, "0@0", Fault(FaultKind.KILL, 0, 0.0), "node 0 is killed after 0 s"),
        (FaultKind.CUT, "1@1.5s", Fault(FaultKind.CUT, 1, 1.5), "node 1 is cut off after 1.5 s"),
        (FaultKind.CUT, "1@500ms", Fault(FaultKind.CUT, 1, 0.5), "node 1 is cut off after 0.5 s"),
        (FaultKind.FREEZE, "999@2m", Fault(FaultKind.FREEZE, 999, 120.0), "node 999 is frozen aft"),
        (FaultKind.SLOW, "3@1m", Fault(FaultKind.SLOW, 3, 60.0), "node 3 starts 60 s late"),
        (FaultKind.MISSING, "3", Fault(FaultKind.MISSING, 3), "node 3 never comes"),
    ],
)
def test_faults_are_read_and_said(kind: FaultKind, text: str, fault: Fault, words: str) -> None:
    assert parse_fault(kind, text) == fault
    assert str(fault).startswith(words)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2",
        "2@",
        "@5s",
        "2@5h",
        "-1@5s",
        "2@-5s",
        "2@5 s",
        "2@1e3",
        "x@5s",
        "2@5s\n",
        "2@over",
        "2@end",
        "\u0662@5",
    ],
)
def test_what_is_no_fault_is_refused(text: str) -> None:
    expected = "NODE@TIME, such as 2@5s, or NODE@STAGE, such as 2@running"
    message = f"invalid fault `{text}`: expected {expected}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        parse_fault(FaultKind.KILL, text)


@pytest.mark.parametrize("text", ["2", "2@running", "2@5h"])
def test_a_slow_node_is_late_by_a_time(text: str) -> None:
    message = f"invalid fault `{text}`: expected NODE@TIME, such as 2@5s"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        parse_fault(FaultKind.SLOW, text)


@pytest.mark.parametrize("text", ["", "x", "1@5s", "-1", "\u0661"])
def test_a_missing_node_is_an_index(text: str) -> None:
    message = f"invalid node `{text}`: expected an index, such as 3"
    with pytest.raises(ValueError, match=re.escape(message)):
        parse_fault(FaultKind.MISSING, text)


@pytest.mark.parametrize(
    ("faults", "nodes", "message"),
    [
        ("kill 4@1", 4, "no node 4 in a job of 4 nodes: indexes start at 0"),
        ("missing 1", 1, "no node 1 in a job of 1 node: indexes start at 0"),
        ("missing 1, kill 1@2", 2, "node 1 is missing: it cannot be killed too"),
        ("slow 1@2, missing 1", 2, "node 1 is missing: it cannot be slow too"),
        ("missing 0, missing 1", 2, "no node to rehearse: all of them are missing"),
    ],
)
def test_faults_that_make_no_sense_are_refused(faults: str, nodes: int, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        check_faults(several(faults), nodes)


def test_a_node_may_suffer_more_than_once() -> None:
    check_faults(several("slow 1@2, cut 1@5, kill 1@9, missing 0"), 3)


def several(words: str) -> tuple[Fault, ...]:
    pairs = (each.split() for each in words.split(", "))
    return tuple(parse_fault(FaultKind(kind), text) for kind, text in pairs)
