"""Run a command beside another, and show its output when the other has succeeded.

`make test` runs the end-to-end tests beside `make check`, which uses the time that they wait. The
output of `make check` is shown at once. If it fails, the end-to-end tests are interrupted and none
of their output is shown.

Usage::

    python scripts/side_by_side.py FIRST... -- SECOND...

Exits as the first command does if that fails, else as the second does. SIGINT, SIGTERM and SIGHUP
interrupt both commands and all that they started; the exit code is 130 then.
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

_INTERRUPTED = 130
# Seconds between two looks at the output of the second command.
_LOOK = 0.2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; see the module's docstring."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    middle = words.index("--")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Also where it is ignored from the start, as in the background of a script: the commands
        # would ignore it as well, and nothing would stop the second.
        signal.signal(number, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        return _both(words[:middle], words[middle + 1 :])
    return _INTERRUPTED


def _both(first: Sequence[str], second: Sequence[str]) -> int:
    with tempfile.NamedTemporaryFile() as said, _running(second, said) as behind:
        with _running(first, None) as front:
            if code := front.wait():
                return _exit_code(code)
        _show(Path(said.name), behind)
        return _exit_code(behind.wait())


@contextmanager
def _running(command: Sequence[str], output: IO[bytes] | None) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command in a new process group; interrupt the group at the end if it still runs."""
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output and subprocess.STDOUT,
        process_group=0,
    )
    try:
        yield child
    finally:
        while child.poll() is None:
            # Again at each further Ctrl-C.
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGINT)
            with suppress(KeyboardInterrupt):
                child.wait()


def _show(file: Path, child: subprocess.Popen[bytes]) -> None:
    """Show what a command writes to a file until it has ended."""
    with file.open("rb") as text:
        while True:
            ended = child.poll() is not None
            shutil.copyfileobj(text, sys.stdout.buffer)
            sys.stdout.flush()
            if ended:
                return
            with suppress(subprocess.TimeoutExpired):
                child.wait(_LOOK)


def _exit_code(code: int) -> int:
    """Return the exit code as a shell does: 128 plus the number of a signal that ended it."""
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
