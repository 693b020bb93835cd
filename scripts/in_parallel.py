"""Run two commands in parallel, and show the output of the second when the first has succeeded.

`make test` runs the end-to-end tests while `make check` runs, which uses the time that they wait.
The output of `make check` is shown at once. If it fails, the end-to-end tests are interrupted and
none of their output is shown.

Usage::

    python scripts/in_parallel.py FIRST... -- SECOND...

Exits as the first command does if that fails, else as the second does. SIGINT, SIGTERM and SIGHUP
interrupt both commands and all that they started; the exit code is 130 then.

Only the standard library is used, so that the script also runs before anything is installed.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_INTERRUPTED, _NO_READER = 130, 141
# Seconds between two looks at the output of the second command.
_LOOK = 0.2


class _Commands:
    """What runs, each in a new process group.

    Nothing is raised on a signal, which could arrive while a command is started or waited for.

    Attributes:
        are_interrupted: Whether a signal has come; what is started later is interrupted too.
    """

    def __init__(self) -> None:
        self._groups: list[int] = []
        self.are_interrupted = False

    def interrupt(self, *_signal: object) -> None:
        """Interrupt all that runs."""
        self.are_interrupted = True
        for group in self._groups:
            _interrupt(group)

    @contextmanager
    def running(
        self, command: Sequence[str], output: IO[bytes] | None
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Run a command; at the end, interrupt it if it still runs, and wait for it."""
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output and subprocess.STDOUT,
            process_group=0,
            # make hands its children the descriptors of its job server.
            close_fds=False,
        )
        self._groups.append(child.pid)
        try:
            if self.are_interrupted:
                _interrupt(child.pid)
            yield child
        finally:
            if child.poll() is None:
                _interrupt(child.pid)
            child.wait()
            self._groups.remove(child.pid)


def _interrupt(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGINT)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; see the module's docstring."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    middle = words.index("--")
    commands = _Commands()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Also if it is ignored from the start, as in the background of a script: the commands would
        # inherit that, and nothing would stop the second one.
        signal.signal(number, commands.interrupt)
    try:
        code = _both(commands, words[:middle], words[middle + 1 :])
    except BrokenPipeError:
        return _NO_READER
    return _INTERRUPTED if commands.are_interrupted else code


def _both(commands: _Commands, first: Sequence[str], second: Sequence[str]) -> int:
    with (
        tempfile.NamedTemporaryFile() as output,
        commands.running(second, output) as behind,
    ):
        with commands.running(first, None) as front:
            if code := front.wait():
                return _exit_code(code)
        _show(Path(output.name), behind)
        return _exit_code(behind.wait())


def _show(file: Path, child: subprocess.Popen[bytes]) -> None:
    """Show what a command writes to a file until it has ended."""
    with file.open("rb") as text, open(1, "wb", closefd=False) as output:
        while True:
            has_ended = child.poll() is not None
            shutil.copyfileobj(text, output)
            output.flush()
            if has_ended:
                return
            with suppress(subprocess.TimeoutExpired):
                child.wait(_LOOK)


def _exit_code(code: int) -> int:
    """Return the exit code as a shell does: 128 plus the number of a signal that ended it."""
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
