"""The one way to run a program: its lines as they come, its interruption, its sure end.

A program gets its own session, so that Ctrl-C in the terminal reaches mngen alone, which
passes it on as the program needs it; and it is tied to this process by `_supervisor`, should that
be killed.

Output goes through files rather than pipes. A pipe breaks when its reader dies, and Terraform,
writing into a broken pipe in the middle of an apply, would die before it has written its state.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

from mngen._signals import INTERRUPTS, signal_group

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_SUPERVISOR = str(Path(__file__).with_name("_supervisor.py"))
_POLL_SECONDS = 0.05

Mode = Literal["become", "watch", "script"]
"""What becomes of a program when mngen is killed; see `supervised`."""


@dataclass(slots=True)
class Output:
    """A file that a program writes to, and its complete lines.

    Attributes:
        file: Open for reading and writing, not in text mode.
        on_line: Is called with each line, soon after it was written, without its end.
        position: Where the program's own output begins.
    """

    file: IO[bytes]
    on_line: Callable[[str], None]
    position: int = 0
    _rest: bytes = field(default=b"")

    def drain(self, *, last: bool = False) -> None:
        """Hands out what was written since, with an unfinished line where it is the last."""
        # pread: the position of the shared file description belongs to the writer.
        while chunk := os.pread(self.file.fileno(), 65536, self.position):
            self.position += len(chunk)
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            for line in lines:
                self.on_line(line.decode(errors="replace").rstrip("\r"))
        if last and self._rest:
            rest, self._rest = self._rest, b""
            self.on_line(rest.decode(errors="replace"))


def supervised(command: Sequence[str], parent: int, *, mode: Mode = "become") -> list[str]:
    """Returns the argument list that runs a program, ended gracefully should `parent` die.

    Args:
        command: Program and arguments.
        parent: Process id of the process that starts it.
        mode: `become`: the program itself gets SIGINT then. `watch`: a supervisor stays, which
            interrupts the program's process group then, and on SIGTERM. `script`: as `become`; the
            program is a script for this interpreter, which finds the installed packages.
    """
    # -P: a folder with its own `json.py` must not shadow the standard library.
    isolation = ["-P"] if mode == "script" else ["-I", "-S"]
    return [sys.executable, *isolation, _SUPERVISOR, str(parent), mode, *command]


def run(
    command: Sequence[str],
    *,
    outputs: Sequence[Output],
    on_poll: Callable[[subprocess.Popen[bytes]], None],
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    stdin: str = "",
    descriptors: Sequence[int] = (),
    end: Callable[[subprocess.Popen[bytes]], None],
) -> int:
    """Runs a command to its end, in its own session.

    Args:
        command: See `supervised`.
        outputs: What standard output goes to, and standard error: the same, if there is one alone.
        on_poll: Is called with the process while it runs, several times a second. What it raises
            stops the process, and is raised here.
        folder: Its working directory; this process's own by default.
        environment: Its entire environment; this process's own by default.
        stdin: What it reads.
        descriptors: File descriptors that it inherits under the same number.
        end: Is called at last, and leaves nothing running; see `end_group`.

    Returns:
        Its exit code; the negative number of the signal that killed it.

    Raises:
        OSError: The command cannot be started.
    """
    process = _start(command, outputs, folder, environment, descriptors, reads=bool(stdin))
    try:
        if stdin:
            feeder = threading.Thread(target=_feed, args=(process, stdin.encode()), daemon=True)
            feeder.start()
        while _is_running(process):
            for each in outputs:
                each.drain()
            on_poll(process)
        for each in outputs:
            each.drain(last=True)
    finally:
        end(process)
        if process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()
    return process.returncode


def end_group(
    process: subprocess.Popen[bytes], *, ask: bool, seconds: float | None, rest: bool
) -> None:
    """Stops a program that still runs, and waits for it.

    Args:
        process: What `run` started.
        ask: Whether it is asked to end by a SIGINT to its process group first.
        seconds: How long it may take then until the group is killed; None for as long as it takes.
        rest: Whether to kill what is left of its group even if it ended on its own. One that was
            killed could not stop its helpers, so they are killed in any case.
    """
    if process.poll() is None and ask:
        signal_group(process.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
    if rest or process.returncode is None or process.returncode < 0:
        signal_group(process.pid, signal.SIGKILL)
        process.wait()


def _start(
    command: Sequence[str],
    outputs: Sequence[Output],
    folder: Path | None,
    environment: Mapping[str, str] | None,
    descriptors: Sequence[int],
    *,
    reads: bool,
) -> subprocess.Popen[bytes]:
    # Blocked in the child too, until the supervisor has put Python's handlers away.
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTS)
    try:
        return subprocess.Popen(
            command,
            cwd=folder,
            env=None if environment is None else dict(environment),
            stdin=subprocess.PIPE if reads else subprocess.DEVNULL,
            stdout=outputs[0].file,
            stderr=outputs[1].file if outputs[1:] else subprocess.STDOUT,
            pass_fds=tuple(descriptors),
            start_new_session=True,
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _feed(process: subprocess.Popen[bytes], content: bytes) -> None:
    """Writes what the program reads; one that does not read it has ended or does not need it."""
    if process.stdin is not None:
        with suppress(OSError, ValueError), process.stdin:
            process.stdin.write(content)


def _is_running(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(_POLL_SECONDS)
    except subprocess.TimeoutExpired:
        return True
    return False
