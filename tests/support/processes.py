"""Running a function in a process that is then killed, or unprivileged.

All of it is the kernel's own doing: nothing of the code under test is replaced.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

NOBODY = 65534

TIDY = """
import os, signal, sys, time
def tidy(*_):
    print("tidying", flush=True)
    sys.exit(7)
signal.signal(signal.SIGINT, tidy)
print(os.getpid(), flush=True)
time.sleep(60)
"""
"""A program that prints its process ID, and cleans up and exits with 7 when it is interrupted."""

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.ptrace.argtypes = [ctypes.c_long] * 4
_LIBC.ptrace.restype = ctypes.c_long
_TRACEME, _SYSCALL, _SETOPTIONS, _EXITKILL = 0, 24, 0x4200, 0x100000


def outcome(function: Callable[[], object]) -> str:
    """Run a function in a child process; return its result or exception as text."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        text = ""
        try:
            text = repr(function())
        finally:
            error = sys.exception()
            if error is not None:
                text = f"{type(error).__name__}: {error}"
            os.write(writer, text.encode())
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        text = pipe.read().decode()
    os.waitpid(child, 0)
    return text


def state_of(process: int) -> str:
    """Return the letter of a process's state, such as S, or Z where nothing has waited for its end.

    Empty where there is none. Source: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
    """
    return next(iter(_status(process)), "")


def has_ended(process: int) -> bool:
    """Whether a process has ended, or never was; what nothing waits for may stay as it ended."""
    return state_of(process) in {"", "Z"}


def children_of(process: int) -> list[int]:
    """Find the processes that a process began, with those that nothing has waited for yet."""
    numbers = [int(folder.name) for folder in Path("/proc").glob("[0-9]*")]
    return [each for each in numbers if _status(each)[1:2] == [str(process)]]


def _status(process: int) -> list[str]:
    """Return the fields about a process, from its state and its parent on; empty where none is."""
    try:
        text = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    # The name in brackets may have anything in it.
    return text.rpartition(")")[2].split()


def mentioned(word: str) -> list[int]:
    """Find the processes whose command line, with a NUL after each argument, holds a word."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if word.encode() in file.read_bytes():
                found.append(int(file.parent.name))
    return found


def as_nobody(function: Callable[[], object]) -> str:
    """Run a function in a child process without root's rights; return its outcome as text."""

    def unprivileged() -> object:
        become_nobody()
        return function()

    return outcome(unprivileged)


def become_nobody() -> None:
    """Give up root's rights, for good."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


class CannotTraceError(Exception):
    """The kernel lets no process trace its child here."""


def killed_when(function: Callable[[], object], moment: Callable[[], bool]) -> bool:
    """Run a function in a child process, and kill it with SIGKILL when the moment has come.

    Args:
        function: What to run.
        moment: Is asked before and after each of the child's system calls.

    Returns:
        Whether it was killed; False if the function returned before.

    Raises:
        CannotTraceError: Tracing is not allowed here.
        AssertionError: The function failed.
    """
    child = os.fork()
    if child == 0:
        code = 1
        try:
            if _LIBC.ptrace(_TRACEME, 0, 0, 0) == 0:
                os.kill(os.getpid(), signal.SIGSTOP)
                function()
                code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if not os.WIFSTOPPED(status):
        raise CannotTraceError
    _LIBC.ptrace(_SETOPTIONS, child, 0, _EXITKILL)
    while not moment():
        _LIBC.ptrace(_SYSCALL, child, 0, 0)
        _, status = os.waitpid(child, 0)
        if not os.WIFSTOPPED(status):
            assert os.waitstatus_to_exitcode(status) == 0
            return False
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True
