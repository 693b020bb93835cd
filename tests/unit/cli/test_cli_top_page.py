"""The page of `mngen top`: no line is wider than the terminal; the least important goes first."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from mngen.cli._top_live import Pace, _size
from mngen.cli._top_page import page
from mngen.errors import ToolError
from mngen.jobs import UNFINISHED, ActiveJob, EnvironmentView, Overview, QueueView

if TYPE_CHECKING:
    from collections.abc import Sequence

NOW = 100_000.0
ID = "0f3b8a52-6d1c-4c66-9df1-9b7a5b5d2d10"


def queue(name: str = "big", **keys: Any) -> QueueView:
    known: dict[str, Any] = {
        "exists": True,
        "fault": None,
        "counts": dict.fromkeys(UNFINISHED, 12),
        "oldest": NOW - 720,
    }
    return QueueView(name=name, **known | keys)


def environment(name: str = "r5", **keys: Any) -> EnvironmentView:
    known: dict[str, Any] = {
        "fault": None,
        "types": ("r5.12xlarge",),
        "vcpus": 48,
        "desired_vcpus": 97,
        "max_vcpus": 480,
        "running": 2,
    }
    return EnvironmentView(name=name, **known | keys)


def job(name: str = "mpi-example", **keys: Any) -> ActiveJob:
    known: dict[str, Any] = {
        "id": ID,
        "queue": "big",
        "state": "RUNNING",
        "nodes": 16,
        "array": None,
        "created": NOW - 7300,
        "started": NOW - 600,
        "described": True,
        "timeout": 3600,
        "user": "ada",
    }
    return ActiveJob(name=name, **known | keys)


def overview(**keys: Any) -> Overview:
    known: dict[str, Any] = {
        "deployment": "lab",
        "region": "us-east-1",
        "time": NOW,
        "oldest_figure": NOW,
        "complete": True,
        "queues": (queue(),),
        "environments": (environment(),),
        "jobs": (job(),),
    }
    return Overview(**known | keys)


def lines(found: Overview, width: int = 250, **keys: Any) -> list[str]:
    return [each.plain for each in page(found, width=width, now=NOW, **keys)]


def row_after(heading: str, shown: Sequence[str]) -> dict[str, str]:
    """Read the first row of the table that begins with a heading, by column."""
    place = next(index for index, line in enumerate(shown) if line.split()[:1] == [heading])
    return dict(
        zip(
            [each for each in shown[place].split("  ") if each],
            [each for each in shown[place + 1].split("  ") if each],
            strict=True,
        )
    )


def test_what_a_wide_page_shows() -> None:
    shown = lines(overview())
    assert {key.strip(): text.strip() for key, text in row_after("queue", shown).items()} == {
        "queue": "big",
        **{state.lower(): "12" for state in UNFINISHED},
        "oldest": "12 min",
    }
    assert {key.strip(): text.strip() for key, text in row_after("environment", shown).items()} == {
        # 97 vCPUs are more than two instances of 48.
        "environment": "r5",
        "running": "2",
        "desired": "3",
        "max": "10",
        "instance": "r5.12xlarge",
    }
    assert {key.strip(): text.strip() for key, text in row_after("job", shown).items()} == {
        "job": "mpi-example",
        "id": ID,
        "nodes": "16",
        "state": "RUNNING",
        "age": "2 h",
        "left": "50 min",
        "user": "ada",
        "queue": "big",
    }


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (60, ["job", "nodes", "state", "age", "left", "user", "queue"]),
        (80, ["job", "id", "nodes", "state", "age", "left"]),
        (28, ["job", "nodes", "state"]),
    ],
)
def test_columns_of_jobs_go_by_importance(width: int, expected: list[str]) -> None:
    shown = lines(overview(), width)
    assert next(each for each in shown if each.startswith("job")).split() == expected
    assert max(map(len, shown)) <= width
    # An id that is cut off would be another one.
    assert not any(ID[:8] in each and ID not in each for each in shown)


def test_60_columns_show_how_jobs_of_a_queue_and_instances_are() -> None:
    shown = lines(overview(queues=(queue("a-queue-of-a-long-name" * 2),)), 60)
    headings = next(each for each in shown if each.startswith("queue")).split()
    assert {"queue", "runnable", "starting", "running", "oldest"} <= {*headings}
    headings = next(each for each in shown if each.startswith("environment")).split()
    assert headings == ["environment", "running", "desired", "max", "instance"]


def test_faults_are_told() -> None:
    found = overview(
        queues=(queue(fault="is disabled"), queue("new", exists=False, counts={}, oldest=None)),
        environments=(
            environment(fault="is INVALID: CLIENT_ERROR - \x1b[2J role"),
            environment("mixed", vcpus=None, types=("a", "b"), running=None),
        ),
    )
    shown = lines(found)
    assert "big is disabled" in shown
    assert "new does not exist: run mngen apply" in shown
    assert r"r5 is INVALID: CLIENT_ERROR - \x1b[2J role" in shown
    mixed = next(each for each in shown if each.startswith("mixed"))
    assert mixed.split() == ["mixed", "-", "97", "vCPU", "480", "vCPU", "a,", "b"]
    assert shown[0].startswith("lab  us-east-1  ")
    assert "figures of the last 9 s" in lines(overview(oldest_figure=NOW - 9.5))[0]
    assert lines(overview(), note="AWS is throttling ListJobs")[1] == "AWS is throttling ListJobs"


def test_a_page_is_as_high_as_the_terminal() -> None:
    found = overview(jobs=tuple(job(f"job-{number}") for number in range(500)))
    shown = lines(found, 80, height=24)
    assert len(shown) == 24
    assert shown[-1] == "and 486 more jobs"
    assert shown[-2].startswith("job-13")
    assert len(lines(found, 80)) == 500 + len(shown) - 15
    assert lines(overview(jobs=()))[-1] == "No jobs run or wait."
    assert lines(overview(jobs=(job(array=20),)))[-1].startswith("mpi-example[20]")


@pytest.mark.parametrize("count", [0, 1, 2, 3, 6, 14, 40])
@pytest.mark.parametrize("jobs", [0, 1, 5, 500])
def test_a_page_is_no_higher_than_the_terminal_and_has_jobs(count: int, jobs: int) -> None:
    idle: dict[str, Any] = {"counts": dict.fromkeys(UNFINISHED, 0), "oldest": None}
    found = overview(
        queues=(
            *(queue(f"q{number}", **idle) for number in range(count)),
            queue("used"),
            queue("broken", **idle, fault="is disabled"),
        ),
        environments=(
            *(environment(f"e{n}", running=0, desired_vcpus=0) for n in range(count)),
            environment("full"),
            environment("invalid", fault="is INVALID", running=0, desired_vcpus=0),
        ),
        jobs=tuple(job(f"job-{number}") for number in range(jobs)),
    )
    shown = lines(found, 80, height=24, note="AWS is throttling ListJobs")
    assert len(shown) <= 24
    first = [each.split()[0] if each else "" for each in shown]
    # What has a fault or is in use is never left out for what is idle.
    for name in ("used", "broken", "full", "invalid"):
        assert first.count(name) >= 1
    assert {"broken is disabled", "invalid is INVALID"} <= {*shown}
    for what, prefix, whole in (("queue", "q", count), ("environment", "e", count)):
        seen = sum(each[0:1] == prefix and each[1:].isdigit() for each in first)
        more = whole - seen
        said = f"and {more} more {what}{'s' * (more > 1)}"
        assert [each for each in shown if each == said] == [said] * (more > 0)
    seen = sum(each.startswith("job-") for each in first)
    assert seen >= min(jobs, 5)
    if jobs > seen:
        assert (len(shown), shown[-1]) == (24, f"and {jobs - seen} more jobs")


def test_a_terminal_that_knows_no_size_has_one() -> None:
    # Until it is told, a new one has neither columns nor rows, as a serial console.
    ours, theirs = os.openpty()
    try:
        assert os.get_terminal_size(theirs) == (0, 0)
        assert _size(theirs) == (80, 24)
    finally:
        os.close(ours)
        os.close(theirs)


_NAMES = st.text("abcdef-_", min_size=1, max_size=60)
# Tags hold letters of any script.
# Source: https://docs.aws.amazon.com/batch/latest/userguide/using-tags.html
_USERS = st.none() | st.text(min_size=1, max_size=40)
_JOBS = st.lists(
    st.builds(
        job,
        _NAMES,
        user=_USERS,
        queue=_NAMES,
        state=st.sampled_from(UNFINISHED),
        nodes=st.integers(1, 1000),
        created=st.floats(0, NOW),
        started=st.none() | st.floats(0, NOW),
        timeout=st.none() | st.integers(60, 10**7),
    ),
    max_size=5,
)
_PAGES = st.builds(
    lambda jobs, queues, faults: overview(
        jobs=tuple(jobs),
        queues=tuple(map(queue, queues)),
        environments=tuple(
            environment(f"e{index}", fault=each) for index, each in enumerate(faults)
        ),
    ),
    _JOBS,
    st.lists(_NAMES, min_size=1, max_size=3),
    st.lists(st.none() | st.text(max_size=300), max_size=3),
)


@given(_PAGES, st.integers(10, 200), st.text(max_size=300))
def test_no_line_is_wider_than_the_terminal_whatever_it_shows(
    found: Overview, width: int, note: str
) -> None:
    shown = lines(found, width, note=note)
    assert max(map(cell_len, shown)) <= width
    assert all(char.isprintable() for line in shown for char in line)


def failure(cause: Exception) -> ToolError:
    error = ToolError("AWS is throttling ListJobs (ThrottlingException)")
    error.__cause__ = cause
    return error


def test_rounds_become_rarer_while_aws_does_not_answer() -> None:
    from botocore.exceptions import ClientError, ConnectTimeoutError

    throttled = ClientError({"Error": {"Code": "ThrottlingException"}}, "ListJobs")
    pace = Pace(5.0)
    assert (pace.succeeded(complete=False), pace.succeeded(complete=True)) == (0.0, 5.0)
    assert [pace.failed(failure(throttled)) for _ in range(5)] == [10.0, 20.0, 40.0, 60.0, 60.0]
    assert pace.note.startswith("AWS is throttling ListJobs")
    assert pace.note.endswith("; next attempt in 60 s")
    assert (pace.succeeded(complete=True), pace.note) == (5.0, "")
    assert pace.failed(failure(ConnectTimeoutError(endpoint_url="http://x"))) == 10.0
    # A pause is never shorter than what the user asked for.
    assert Pace(900.0).failed(failure(throttled)) == 900.0
    expired = ClientError({"Error": {"Code": "ExpiredTokenException"}}, "ListJobs")
    with pytest.raises(ToolError):
        pace.failed(failure(expired))
    with pytest.raises(ZeroDivisionError):
        pace.failed(ZeroDivisionError())
