"""Running a container engine: its output line by line, and nothing left running."""

from __future__ import annotations

import logging
import os
import subprocess
import tempfile
import time
from collections import deque
from typing import TYPE_CHECKING

from mngen import _process
from mngen._signals import ENDINGS, Caught, take_signals
from mngen.errors import InterruptedRunError, ToolError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from subprocess import Popen

_LOG = logging.getLogger(__name__)
_GRACE = 10.0  # seconds between SIGINT and SIGKILL for an engine
_SHOWN = 12  # last lines of a failed engine
_ANSWER_SECONDS = 60.0


class EngineError(ToolError):
    """An engine failed or took too long.

    Attributes:
        last: The last line that it wrote, if it was logged and is not in the message.
    """

    def __init__(self, message: str, last: str = "") -> None:
        super().__init__(message)
        self.last = last


def run(
    command: Sequence[str],
    *,
    doing: str,
    logged: bool = False,
    stdin: str = "",
    environment: Mapping[str, str] | None = None,
    seconds: float | None = None,
) -> None:
    """Runs an engine to its end, in its own session.

    Args:
        command: Program and arguments; never a secret, which others could read in `ps`.
        doing: What it does, for the message: `building localhost/mpi:v1`.
        logged: Whether each line that it writes is logged.
        stdin: What it reads.
        environment: Its whole environment; this process's own by default.
        seconds: After how long it is ended; None lets it take its time.

    Raises:
        EngineError: It failed or took too long.
        ToolError: It could not be started.
        InterruptedRunError: This process received SIGINT, SIGTERM or SIGHUP; the engine has
            ended.
    """
    last: deque[str] = deque(maxlen=_SHOWN)
    caught = Caught()
    deadline = None if seconds is None else time.monotonic() + seconds

    def shown() -> str:
        """Returns the last line, if the user has seen it."""
        is_shown = logged and _LOG.isEnabledFor(logging.INFO)
        return next((line for line in reversed(last) if line), "") if is_shown else ""

    def show(line: str) -> None:
        text = line.rstrip()
        last.append(text)
        if logged:
            _LOG.info("%s", text)

    def heed(_child: Popen[bytes]) -> None:
        if caught.count:
            raise InterruptedRunError(f"interrupted while {doing}")
        if deadline is not None and time.monotonic() > deadline:
            raise EngineError(f"{doing} took longer than {seconds:g} s", shown())

    with tempfile.TemporaryFile() as output, take_signals(caught, ENDINGS):
        try:
            code = _process.run(
                _process.supervised(command, os.getpid()),
                outputs=[_process.Output(output, show)],
                on_poll=heed,
                environment=environment,
                stdin=stdin,
                end=_end,
            )
        except OSError as error:
            raise ToolError(f"cannot run {command[0]}: {error.strerror}") from None
    # One that came as the engine ended counts, too: its caller is to go no further.
    if caught.count:
        raise InterruptedRunError(f"interrupted while {doing}")
    if code != 0:
        said = "\n  ".join(line for line in last if line)
        # What was shown already is not repeated.
        details = f": {said}" if said and not shown() else ""
        raise EngineError(f"{doing} failed (exit code {code}){details}", shown())


def _end(process: Popen[bytes]) -> None:
    """Stops an engine, and if it is not done also what it has started."""
    # What an engine that is done leaves running is meant to, such as podman's pause process.
    _process.end_group(process, ask=True, seconds=_GRACE, rest=process.poll() is None)


def ask(command: Sequence[str], *, environment: Mapping[str, str] | None = None) -> str | None:
    """Runs an engine that answers at once; returns what it prints, None where it fails.

    Raises:
        ToolError: It cannot be started, or gives no answer.
    """
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            env=None if environment is None else dict(environment),
            timeout=_ANSWER_SECONDS,
        )
    except OSError as error:
        raise ToolError(f"cannot run {command[0]}: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        shown = " ".join(command[:2])
        raise ToolError(f"`{shown}` did not respond within {_ANSWER_SECONDS:g} s") from None
    return done.stdout if done.returncode == 0 else None
