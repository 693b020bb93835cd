"""The clock of whatever waits for jobs: the time, and the pauses between two looks.

All modules of this package that look again after a while, or compare the time with Batch's, use
these functions by the module's name. So a test that replaces them moves the time in one place,
together with that of an emulated Batch, and need not wait.
"""

from __future__ import annotations

import time


def now() -> float:
    """Returns the time, in seconds since the epoch."""
    return time.time()


def monotonic() -> float:
    """Returns seconds that only increase, for limits and intervals."""
    return time.monotonic()


def sleep(seconds: float) -> None:
    """Waits for a number of seconds."""
    time.sleep(seconds)
