"""Time that passes in a test without being waited for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.support.sandbox import control

if TYPE_CHECKING:
    from mngen.sandbox import Sandbox


class MovedClock:
    """A clock whose pauses move it, and that of a sandbox's Batch with it.

    Attributes:
        ahead: How far both are ahead of the real clock, in seconds.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self.ahead = 0.0
        self._sandbox = sandbox

    def now(self) -> float:
        """Return the time, in seconds since the epoch."""
        return time.time() + self.ahead

    def monotonic(self) -> float:
        """Return seconds that only increase."""
        return time.monotonic() + self.ahead

    def sleep(self, seconds: float) -> None:
        """Have the time pass at once."""
        control(self._sandbox, forward=seconds)
        self.ahead += seconds

    def return_to_present(self) -> None:
        """Show the real time again; what has happened in Batch is in the past then."""
        if self.ahead:
            control(self._sandbox, present=True)
            self.ahead = 0.0
