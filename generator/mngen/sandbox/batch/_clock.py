"""The clock of the emulated Batch, which a test can move forward instead of waiting.

The state of a job follows from the time that has passed, so a clock that has moved ends jobs at
once. While it is ahead of the real one, all that happens in Batch happens by it: what a client has
read stays true, and a client whose own clock moves as far sees what it would have seen after
waiting. If instead the past moved, what was read before would change: a reader that goes on from
the last line would miss those that seem older now.

`return_to_present` ends that. A client with the real clock must not see times that lie ahead of it:
so all that has happened then moves into the past by as much as the clock was ahead, up to the next
quarter of a second. How long anything took stays as it was.

Other services stay with the real clock, as EC2 does with the start of an instance and the dates of
a reservation.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mngen.sandbox.batch._job import Attempt, Job, Script

_FURTHEST = 7200.0
"""Seconds: CloudWatch Logs rejects events that lie further ahead of its clock.

Source: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html
"""


@dataclass(slots=True)
class Clock:
    """The clock of the Batch of one account and region.

    Attributes:
        ahead: How far it is ahead of the real one, in seconds.
    """

    ahead: float = 0.0

    def now(self) -> float:
        """Returns its time, in seconds since the epoch."""
        return time.time() + self.ahead

    def forward(self, seconds: float) -> None:
        """Moves it forward.

        Raises:
            ValueError: It would go back, or too far.
        """
        ahead = self.ahead + seconds
        if not self.ahead <= ahead <= _FURTHEST:
            raise ValueError(f"the clock cannot be {ahead:g} seconds ahead, now {self.ahead:g}")
        self.ahead = ahead


def clock_of(backend: Any) -> Clock:
    """Returns the clock of a Batch; moto's reset drops it with the jobs."""
    clock: Clock = backend.__dict__.setdefault("sandbox_clock", Clock())
    return clock


def return_to_present(backend: Any, jobs: Iterable[Job]) -> None:
    """Lets the clock show the real time again, and moves all that has happened into the past.

    Args:
        backend: The Batch of an account and region.
        jobs: All its jobs, up to date.
    """
    clock = clock_of(backend)
    if not clock.ahead:
        return
    # An even number of milliseconds that a float holds exactly: all that is shown, in whole
    # milliseconds, moves by as many.
    seconds = math.ceil(clock.ahead * 4) / 4
    # What is like another job (`copies` of the control) shares its attempts and its script.
    attempts: dict[int, Attempt] = {}
    scripts: dict[int, Script] = {}
    for job in jobs:
        job.created -= seconds
        scripts[id(job.script)] = job.script
        attempts |= {id(each): each for each in job.attempts}
        _move_lines(backend, job, int(seconds * 1000))
    for script in scripts.values():
        script.released = max(0.0, script.released - seconds)
    for attempt in attempts.values():
        attempt.placed -= seconds
        # 0 is not yet.
        attempt.started = max(0.0, attempt.started - seconds)
        attempt.stopped = max(0.0, attempt.stopped - seconds)
    clock.ahead = 0.0


def _move_lines(backend: Any, job: Job, milliseconds: int) -> None:
    for number in range(len(job.attempts)):
        for node in range(len(job.containers)):
            group = backend.logs_backend.groups.get(job.log_group(node))
            stream = None if group is None else group.streams.get(job.stream(node, number))
            for event in () if stream is None else stream.events:
                event.timestamp -= milliseconds
