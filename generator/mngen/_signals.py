"""Taking the user's signals for a while, and sending them to a whole process group."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

INTERRUPTS = (signal.SIGINT, signal.SIGTERM)
"""How a user, a scheduler or CI asks a program to end."""

ENDINGS = (*INTERRUPTS, signal.SIGHUP)
"""And a terminal that is closed: for what costs money, or is left behind, if nobody ends it."""


class Caught:
    """Counts signals; it is what `take_signals` calls where that is enough.

    Attributes:
        count: How many came.
    """

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        """Counts one."""
        self.count += 1


@contextmanager
def take_signals(
    take: Callable[[], None], numbers: tuple[signal.Signals, ...] = INTERRUPTS
) -> Iterator[None]:
    """Calls a function at each signal, instead of what this process does about it.

    Outside the main thread, where no signal arrives, none is taken. A hang-up that is ignored from
    the start, as under nohup, stays so.

    Args:
        take: Is called at each.
        numbers: The signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(_number: int, _frame: object) -> None:
        take()

    before = {
        number: signal.signal(number, handle)
        for number in numbers
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def signal_group(leader: int, number: signal.Signals) -> None:
    """Sends a signal to every process of a group, if any is left.

    Args:
        leader: Process id of the one that began the group.
        number: The signal.
    """
    with suppress(ProcessLookupError):
        os.killpg(leader, number)
