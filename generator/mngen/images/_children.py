"""A program that bakes: its output in a log, its lines told, its sure end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from signal import SIGKILL
from typing import TYPE_CHECKING

from mngen._signals import signal_group

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mngen.images._cancel import Cancel

_WARDEN = Path(__file__).with_name("_warden.py")
_POLL_SECONDS = 0.1


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
    with log.open("ab") as output, log.open("rb") as reader:
        reader.seek(0, os.SEEK_END)
        process = subprocess.Popen(
            [sys.executable, "-I", str(_WARDEN), str(os.getpid()), *command],
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        rest = b""
        interrupted = False
        try:
            running = True
            while running:
                running = _is_running(process)
                *lines, rest = (rest + reader.read()).split(b"\n")
                for line in lines:
                    on_line(line.decode(errors="replace"))
                if cancel.wanted and not interrupted:
                    interrupted = True
                    process.terminate()
                if cancel.abandoned:
                    break
        finally:
            _end(process)
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


def _is_running(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(_POLL_SECONDS)
    except subprocess.TimeoutExpired:
        return True
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    """Leaves nothing of its session running: a killed program cannot end its own helpers."""
    signal_group(process.pid, SIGKILL)
    process.wait()
