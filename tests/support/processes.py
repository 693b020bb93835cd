"""Running a function in a process that is then killed, unprivileged, or refused a system call.

All of it is the kernel's own doing: nothing of the code under test is replaced.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import signal
import struct
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
_NO_NEW_PRIVS, _SECCOMP, _FILTER = 38, 22, 2
_RENAMEAT2 = {"x86_64": 316, "aarch64": 276}


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
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        return function()

    return outcome(unprivileged)


def can_refuse_exchange() -> bool:
    """Whether `refuse_exchange` knows this machine."""
    return platform.machine() in _RENAMEAT2


def refuse_exchange() -> None:
    """Make the kernel refuse renameat2 to this process for good, as an old kernel does.

    Raises:
        OSError: The kernel takes no filter.
    """

    def instruction(code: int, true: int, false: int, value: int) -> bytes:
        return struct.pack("HBBI", code, true, false, value)

    load_number, jump_if_equal, answer = 0x20, 0x15, 0x06
    program = ctypes.create_string_buffer(
        instruction(load_number, 0, 0, 0)
        + instruction(jump_if_equal, 0, 1, _RENAMEAT2[platform.machine()])
        + instruction(answer, 0, 0, 0x00050000 | errno.ENOSYS)
        + instruction(answer, 0, 0, 0x7FFF0000)
    )
    header = struct.pack("HxxxxxxQ", 4, ctypes.addressof(program))
    if _LIBC.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0) or _LIBC.prctl(_SECCOMP, _FILTER, header, 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp")


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
