"""Stopping what several threads do, from the one that receives the signals."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from mngen.errors import InterruptedRunError, ToolError

if TYPE_CHECKING:
    from collections.abc import Callable


class Cancel:
    """A flag that the user's interrupt raises, and that every wait looks at.

    A second interrupt does not stop sooner: what a step has
    started is deleted in any case. The third gives up on that; see `abandoned`.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self._count = 0

    def __call__(self) -> None:
        """Is called at every interrupt."""
        self._count += 1
        self._event.set()

    @property
    def wanted(self) -> bool:
        """Whether the user interrupted."""
        return self._event.is_set()

    @property
    def abandoned(self) -> bool:
        """Whether the user insisted on stopping at once, cleaned up or not."""
        return self._count >= _INSISTS

    def check(self) -> None:
        """Stops the step here if the user interrupted.

        Raises:
            InterruptedRunError: The user interrupted.
        """
        if self.wanted:
            raise InterruptedRunError("interrupted")

    def sleep(self, seconds: float) -> None:
        """Waits, and stops the step as soon as the user interrupts.

        Raises:
            InterruptedRunError: The user interrupted.
        """
        self._event.wait(seconds)
        self.check()

    def wait_until(
        self, condition: Callable[[], bool], what: str, *, seconds: float, every: float
    ) -> None:
        """Waits for something on AWS to become true.

        Args:
            condition: Is asked at once, and then again and again.
            what: What is waited for, such as `i-0123 to run`.
            seconds: How long to wait at most.
            every: Seconds between two questions.

        Raises:
            InterruptedRunError: The user interrupted.
            ToolError: It did not become true in time.
        """
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise ToolError(f"timed out after {seconds / 60:g} min waiting for {what}")
            self.sleep(every)


_INSISTS = 3
