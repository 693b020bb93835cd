"""The clock of what waits for jobs: real in the product, moved in most tests of jobs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from mngen.jobs import WaitedTooLongError, _clock
from tests.support.batch import hold

if TYPE_CHECKING:
    from mngen.jobs import Jobs
    from tests.support.clock import MovedClock

MINUTE = 60.0


def test_real_pauses_take_their_time() -> None:
    before = (time.time(), time.monotonic())
    began = (_clock.now(), _clock.monotonic())
    _clock.sleep(0.1)
    ended = (_clock.now(), _clock.monotonic())
    after = (time.time(), time.monotonic())
    assert before[1] <= began[1] <= ended[1] - 0.1 <= after[1] - 0.1
    assert before[0] <= began[0] <= ended[0] <= after[0]


@pytest.mark.parametrize("command", ["wait", "follow"])
def test_a_minute_passes_at_once(jobs: Jobs, clock: MovedClock, command: str) -> None:
    variables = {"MNGEN_SANDBOX_SECONDS": str(MINUTE)}
    identifier = jobs.submit("one", name=f"n{uuid4().hex[:10]}", environment=variables).id
    began = clock.monotonic()
    seen: list[str] = []
    if command == "wait":
        jobs.wait(identifier, on_progress=lambda state, _: seen.append(state))
    else:
        assert list(jobs.follow(identifier, on_progress=lambda state, _: seen.append(state)))
    assert seen[-2:] == ["RUNNING", "SUCCEEDED"]
    assert clock.monotonic() - began > MINUTE
    # The most of it was not waited for, however slow the machine is.
    assert clock.ahead > MINUTE / 6
    status = jobs.status(identifier)
    assert status.started is not None
    assert status.stopped is not None
    assert status.stopped - status.started == pytest.approx(MINUTE, abs=0.01)
    assert status.stopped <= clock.now()
    # What is not moved looks back at all of this.
    clock.return_to_present()
    status = jobs.status(identifier)
    assert status.stopped is not None
    assert status.created < status.stopped <= time.time()


def test_a_limit_passes_with_the_pauses(jobs: Jobs, clock: MovedClock) -> None:
    identifier = hold(jobs, "RUNNABLE", "one")
    with pytest.raises(WaitedTooLongError, match="RUNNABLE after 100 seconds"):
        jobs.wait(identifier, timeout=100)
    assert clock.ahead > 10
    jobs.cancel(identifier)
