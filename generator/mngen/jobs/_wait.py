"""Waiting for the end of a job, with few calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.errors import ToolError
from mngen.jobs import _clock
from mngen.jobs._arrays import counts_of, look_up
from mngen.jobs._types import ENDED

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_batch.client import BatchClient
    from mypy_boto3_batch.type_defs import JobDetailTypeDef

    from mngen.jobs._retry import RetryPolicy

_FIRST_PAUSE = 1.0  # seconds; grows by half from one look to the next
_LONGEST_PAUSE = 30.0


class WaitedTooLongError(ToolError):
    """The job had not ended in time; it goes on."""


def wait_for(
    batch: BatchClient,
    job: JobDetailTypeDef,
    retry: RetryPolicy,
    *,
    timeout: float | None = None,
    on_progress: Callable[[JobDetailTypeDef], None] | None = None,
    look: Callable[[JobDetailTypeDef], None] | None = None,
) -> JobDetailTypeDef:
    """Returns a job once it has ended.

    Args:
        batch: The client.
        job: The job as it was last seen.
        retry: What to do when AWS does not answer.
        timeout: Seconds after which to give up; None for never.
        on_progress: Is called with the job each time that its state has changed, of an array also
            how many of its jobs are in each, and at first.
        look: Is called with the job each time that it was asked for.

    Raises:
        WaitedTooLongError: It had not ended in time.
        ToolError: Batch no longer has a record of it, or does not answer.
    """
    deadline = None if timeout is None else _clock.monotonic() + timeout
    pause = _FIRST_PAUSE
    identifier = job["jobId"]
    seen = None
    while True:
        state = job["status"]
        if (state, counts_of(job)) != seen:
            seen = (state, counts_of(job))
            if on_progress is not None:
                on_progress(job)
        if look is not None:
            look(job)
        if state in ENDED:
            return job
        if deadline is not None and _clock.monotonic() >= deadline:
            raise WaitedTooLongError(
                f"the job is {state} after {timeout:g} seconds",
                hint="the job continues; wait longer, or run mngen cancel",
            )
        left = pause if deadline is None else max(0.0, deadline - _clock.monotonic())
        _clock.sleep(min(pause, left))
        pause = min(1.5 * pause, _LONGEST_PAUSE)
        found = retry.call(lambda: look_up(batch, identifier))
        if found is None:
            raise ToolError(
                f"AWS Batch no longer has a record of job {identifier}",
                hint="it keeps a job for a week after it has finished; its log may still exist",
            )
        job = found
