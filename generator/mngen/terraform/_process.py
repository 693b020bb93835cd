"""One Terraform process: its output line by line, its graceful interruption, its sure end.

python-terraform starts its processes with `communicate()`: nothing can be shown before the end,
Ctrl-C reaches Terraform through the terminal but leaves the caller with a traceback, and the
environment is always that of this process. So mngen starts the process itself and leaves to
python-terraform what it does well, the command lines (see `_commands`).
"""

from __future__ import annotations

import signal
import tempfile
from dataclasses import dataclass
from functools import partial
from typing import IO, TYPE_CHECKING

from mngen import _process
from mngen._signals import Caught, signal_group, take_signals

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from subprocess import Popen

    LineHandler = Callable[[str], None]
    InterruptHandler = Callable[[int], None]

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
    """Runs a command to its end, in its own session and with no standard input.

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
    passed_on = 0

    def heed(process: Popen[bytes]) -> None:
        nonlocal passed_on
        while passed_on < caught.count:
            passed_on += 1
            if passed_on in (1, FORCE_AT):
                signal_group(process.pid, signal.SIGINT)
            elif passed_on > FORCE_AT:
                signal_group(process.pid, signal.SIGKILL)
            on_interrupt(passed_on)

    with (
        tempfile.TemporaryFile() as stdout,
        tempfile.TemporaryFile() as stderr,
        take_signals(caught),
    ):
        code = _process.run(
            command,
            outputs=[_process.Output(stdout, on_line), _process.Output(stderr, on_error_line)],
            on_poll=heed,
            folder=folder,
            environment=environment,
            descriptors=descriptors,
            end=partial(_process.end_group, ask=True, seconds=None, rest=False),
        )
        return Finished(code, _read(stdout), _read(stderr), caught.count)


def _read(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")
