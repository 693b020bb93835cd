"""The clock of the emulated Batch: what follows when a test moves it, and returns to present."""

from __future__ import annotations

import json
import time
from http.client import HTTPConnection
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.batch import Deployed

HOUR = 3600


@pytest.fixture(autouse=True)
def present(deployed: Deployed) -> Iterator[None]:
    """Leave the clock as it was."""
    yield
    deployed.control(present=True)


def submitted(deployed: Deployed, seconds: int, **more: Any) -> str:
    """Submit a job of one node that runs for so long."""
    variables = [{"name": "MNGEN_SANDBOX_SECONDS", "value": str(seconds)}]
    answer = deployed.batch.submit_job(
        jobName="clock",
        jobQueue=f"{deployed.name}-small",
        jobDefinition=f"{deployed.name}-one",
        containerOverrides={"environment": variables},
        **more,
    )
    return str(answer["jobId"])


def times(deployed: Deployed, job: str) -> list[float]:
    """Return when a job that has ended was submitted, started and ended, in seconds."""
    found = deployed.job(job)
    return [found[key] / 1000 for key in ("createdAt", "startedAt", "stoppedAt")]


def lines(deployed: Deployed, job: str) -> list[float]:
    """Return when a job wrote its lines, in seconds."""
    found = deployed.logs.get_log_events(
        logGroupName=f"/mngen/{deployed.name}/jobs",
        logStreamName=deployed.job(job)["container"]["logStreamName"],
    )
    return [each["timestamp"] / 1000 for each in found["events"]]


def near(seconds: float) -> Any:
    """Return what equals a time that Batch shows, which is rounded to milliseconds."""
    return pytest.approx(seconds, rel=0, abs=0.0015)


def test_a_job_of_an_hour_ends_at_once(deployed: Deployed) -> None:
    job = submitted(deployed, HOUR)
    running = deployed.reached(job, "RUNNING")
    deployed.control(forward=HOUR / 2)
    assert deployed.job(job)["status"] == "RUNNING"
    deployed.control(forward=HOUR / 2)
    created, started, stopped = times(deployed, job)
    # What was read before is still so.
    assert [created, started] == [running["createdAt"] / 1000, running["startedAt"] / 1000]
    assert created <= started
    assert stopped - started == near(HOUR)
    assert stopped <= time.time() + HOUR


def test_what_happens_then_happens_by_the_clock(deployed: Deployed) -> None:
    deployed.control(forward=HOUR)
    before = time.time() + HOUR
    job = submitted(deployed, HOUR)
    deployed.reached(job, "RUNNING")
    # What the control writes comes after the lines of the start, which take a moment.
    deployed.control(forward=1)
    deployed.batch.terminate_job(jobId=job, reason="test")
    deployed.control(jobs={job: {"log": {0: ["a line"]}}})
    created, started, stopped = times(deployed, job)
    written = lines(deployed, job)[-1]
    moments = [before, created, started, stopped, written, time.time() + HOUR + 1]
    for one, following in pairwise(moments):
        assert one <= following or one == near(following)


def test_in_the_present_all_of_it_is_past(deployed: Deployed) -> None:
    """How long anything took, and what was before what, stays."""
    jobs = [submitted(deployed, 0)]
    deployed.reached(jobs[0], "SUCCEEDED")
    jobs.append(submitted(deployed, 60))
    deployed.reached(jobs[1], "RUNNING")
    deployed.control(forward=90)
    jobs.append(submitted(deployed, 0))
    deployed.reached(jobs[2], "SUCCEEDED")
    array = submitted(deployed, HOUR, arrayProperties={"size": 2})
    deployed.reached(f"{array}:1", "RUNNING")

    before = [[*times(deployed, each), *lines(deployed, each)] for each in jobs]
    deployed.control(present=True)
    after = [[*times(deployed, each), *lines(deployed, each)] for each in jobs]
    for old, new in zip(before, after, strict=True):
        assert [each + 90 for each in new] == [near(each) for each in old]
        assert sorted(new[:3]) == new[:3]
        assert max(new) <= time.time()
    child = deployed.job(f"{array}:1")
    assert child["status"] == "RUNNING"
    assert child["createdAt"] <= child["startedAt"] <= time.time() * 1000


def test_what_jobs_have_in_common_is_moved_once(deployed: Deployed) -> None:
    job = submitted(deployed, 0)
    deployed.reached(job, "SUCCEEDED")
    deployed.control(copies={job: 2}, forward=10.1)
    before = times(deployed, job)
    deployed.control(present=True)
    # By whole quarters of a second, so that every time is rounded as before.
    assert [round(each * 1000) for each in times(deployed, job)] == [
        round(each * 1000) - 10_250 for each in before
    ]


@pytest.mark.parametrize("seconds", [-1, 7200, float("nan")])
def test_it_goes_neither_back_nor_too_far(deployed: Deployed, seconds: float) -> None:
    deployed.control(forward=5)
    parts = urlsplit(deployed.sandbox.endpoint)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=180)
    connection.request("POST", "/_mngen/batch", json.dumps({"forward": seconds}).encode())
    answer = connection.getresponse()
    assert (answer.status, b"the clock cannot be" in answer.read()) == (400, True)
    connection.close()
    before = time.time() + 5
    created = deployed.job(submitted(deployed, 0))["createdAt"] / 1000
    assert before - 0.0015 <= created <= time.time() + 5
