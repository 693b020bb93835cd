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
"""And a closed terminal: for what costs money, or is left behind, until it is stopped."""


def settle_signals() -> None:
    """Prepares this process's signals; for a command's start, in the main thread.

    SIGTERM interrupts like Ctrl-C from now on. Python's default exits at once and skips
    all cleaning up.

    A SIGINT that is ignored from the start, as in the background of a script, stays ignored. The
    programs that this process starts do not inherit that: SIGINT is how mngen stops Terraform,
    Packer and container engines. Exec resets a signal that has a handler, and no other.
    Source: https://pubs.opengroup.org/onlinepubs/9699919799/functions/execve.html
    """
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, pay_no_attention)


def pay_no_attention(_number: int, _frame: object) -> None:
    """Handles a signal by ignoring it, without the programs started from here ignoring it too."""


def is_ignored(number: signal.Signals) -> bool:
    """Returns whether this process ignores a signal, as when it was started so."""
    return signal.getsignal(number) in (signal.SIG_IGN, pay_no_attention)


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

    Outside the main thread, where no signal arrives, none is taken. What is ignored from the start
    stays so: a hang-up under nohup, Ctrl-C in the background of a script. SIGTERM is always taken.

    Args:
        take: Is called at each.
        numbers: The signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(_number: int, _frame: object) -> None:
        take()

    before = {}
    for number in numbers:
        if number == signal.SIGTERM or not is_ignored(number):
            before[number] = signal.signal(number, handle)
        elif number == signal.SIGINT:
            # What is started meanwhile has to be interrupted all the same.
            before[number] = signal.signal(number, pay_no_attention)
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
