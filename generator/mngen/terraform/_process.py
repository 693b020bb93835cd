"""One Terraform process: its output line by line, its graceful interruption, its sure end.

python-terraform starts its processes with `communicate()`: nothing can be shown before the end,
Ctrl-C reaches Terraform through the terminal but leaves the caller with a traceback, and the
environment is always that of this process. So mngen starts the process itself and leaves to
python-terraform what it does well, the command lines (see `_commands`).

Output goes through files without a name rather than pipes. A pipe breaks when its reader dies,
and Terraform, writing into a broken pipe in the middle of an apply, would die before it has
written its state.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from mngen._signals import INTERRUPTS, Caught, signal_group, take_signals

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    LineHandler = Callable[[str], None]
    InterruptHandler = Callable[[int], None]

_POLL_SECONDS = 0.05
FORCE_AT = 3


@dataclass(frozen=True, slots=True)
class Finished:
    """How a process ended.

    Attributes:
        code: Its exit code; the negative number of the signal that killed it.
        stdout: All that it wrote there.
        stderr: All that it wrote there.
        interrupts: How often it was interrupted while it ran.
    """

    code: int
    stdout: str
    stderr: str
    interrupts: int


def run(
    command: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    on_line: LineHandler,
    on_error_line: LineHandler,
    on_interrupt: InterruptHandler,
    descriptors: Sequence[int] = (),
) -> Finished:
    """Runs a command to its end, in a session of its own and with no standard input.

    The first SIGINT or SIGTERM that this process receives is passed on as one SIGINT to the
    command's process group, which asks Terraform to stop after its current step. The second is
    only reported; the third is passed on again, upon which Terraform exits at once; any further
    one kills the group. Outside the main thread no signal is caught.

    Args:
        command: The argument list.
        folder: Its working directory.
        environment: Its entire environment.
        on_line: Called with each line of standard output as it comes, without its end.
        on_error_line: The same for standard error.
        on_interrupt: Called with 1, 2, … as interrupts come in.
        descriptors: File descriptors that the command inherits under the same number.

    Raises:
        OSError: The command cannot be started.
    """
    caught = Caught()
    with (
        tempfile.TemporaryFile() as stdout,
        tempfile.TemporaryFile() as stderr,
        take_signals(caught),
    ):
        tails = (_Tail(stdout, on_line), _Tail(stderr, on_error_line))
        process = _start(command, folder, environment, stdout, stderr, descriptors)
        try:
            passed_on = 0
            while _is_running(process):
                while passed_on < caught.count:
                    passed_on += 1
                    _interrupt(process, passed_on)
                    on_interrupt(passed_on)
                for tail in tails:
                    tail.drain()
            for tail in tails:
                tail.drain(last=True)
        finally:
            _end(process)
        return Finished(process.returncode, _read(stdout), _read(stderr), caught.count)


def _start(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    stdout: IO[bytes],
    stderr: IO[bytes],
    descriptors: Sequence[int],
) -> subprocess.Popen[bytes]:
    # Blocked in the child too, until it has put Python's handlers away (see _leash).
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTS)
    try:
        return subprocess.Popen(
            command,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            pass_fds=tuple(descriptors),
            start_new_session=True,
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _is_running(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(_POLL_SECONDS)
    except subprocess.TimeoutExpired:
        return True
    return False


def _interrupt(process: subprocess.Popen[bytes], number: int) -> None:
    if number in (1, FORCE_AT):
        signal_group(process.pid, signal.SIGINT)
    elif number > FORCE_AT:
        signal_group(process.pid, signal.SIGKILL)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Leaves nothing running, whatever happened to this process in the meantime."""
    if process.poll() is None:
        signal_group(process.pid, signal.SIGINT)
        process.wait()
    if process.returncode < 0:
        # Killed, so it could not end its provider plugins itself.
        signal_group(process.pid, signal.SIGKILL)


@dataclass(slots=True)
class _Tail:
    """Follows a growing file and hands out its complete lines."""

    file: IO[bytes]
    on_line: LineHandler
    _position: int = 0
    _rest: bytes = field(default=b"")

    def drain(self, *, last: bool = False) -> None:
        # pread: the position of the shared file description belongs to the writer.
        while chunk := os.pread(self.file.fileno(), 65536, self._position):
            self._position += len(chunk)
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            for line in lines:
                self.on_line(line.decode(errors="replace").rstrip("\r"))
        if last and self._rest:
            rest, self._rest = self._rest, b""
            self.on_line(rest.decode(errors="replace"))


def _read(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")
