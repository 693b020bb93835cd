"""`mngen jobs`: whose turn it is, from what AWS Batch lists of a queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mngen.cli.jobs import _with_turn
from mngen.jobs import JobSummary, Turns

if TYPE_CHECKING:
    from mngen.jobs._types import State

TURNS = Turns(queue="small", jobs=("a", "b:7", "b:8", "c"))


@pytest.mark.parametrize(
    ("job", "state", "children", "turn"),
    [
        ("a", "RUNNABLE", {}, 1),
        ("c", "RUNNABLE", {}, 4),
        ("c", "RUNNING", {}, None),
        ("d", "RUNNABLE", {}, None),
        ("b", "PENDING", {"RUNNABLE": 2, "RUNNING": 7}, 2),
        ("b", "PENDING", {"RUNNING": 9}, None),
    ],
)
def test_the_turn_of_a_job_and_of_an_array(
    job: str, state: State, children: dict[str, int], turn: int | None
) -> None:
    """Of an array, the first of its jobs that AWS Batch lists counts."""
    summary = JobSummary(
        id=job, name="n", queue="small", state=state, nodes=1, created=0.0, children=children
    )
    assert _with_turn(summary, TURNS).turn == turn
