"""A program that bakes: its output goes to a log and to a callback, and it always ends."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from mngen import _process

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from subprocess import Popen

    from mngen.images._cancel import Cancel


class _AbandonedError(Exception):
    """The user will not wait for the program to clean up."""


def run_logged(
    command: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    log: Path,
    cancel: Cancel,
    on_line: Callable[[str], None],
) -> int:
    """Runs a program to its end; at an interrupt it is given the time to clean up.

    Args:
        command: Program and arguments.
        folder: Where it runs.
        environment: Its entire environment.
        log: Is appended to.
        cancel: The user's interrupt.
        on_line: Is called with each line, soon after it was written.

    Returns:
        Its exit code; 128 and the signal's number where a signal ended it.
    """
    interrupted = False

    def heed(process: Popen[bytes]) -> None:
        nonlocal interrupted
        if cancel.wanted and not interrupted:
            interrupted = True
            # The supervisor interrupts the program's group.
            process.terminate()
        if cancel.abandoned:
            raise _AbandonedError

    with log.open("a+b") as output:
        try:
            code = _process.run(
                _process.supervised(command, os.getpid(), mode="watch"),
                outputs=[_process.Output(output, on_line, output.seek(0, os.SEEK_END))],
                on_poll=heed,
                folder=folder,
                environment=environment,
                # A killed program cannot stop its helpers, and the supervisor hides its end.
                end=partial(_process.end_group, ask=False, seconds=None, rest=True),
            )
        except _AbandonedError:
            return 128 + 9
    return code if code >= 0 else 128 - code
