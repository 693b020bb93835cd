"""Running a container engine: its output line by line, and nothing left running."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections import deque
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from mngen._signals import ENDINGS, signal_group, take_signals
from mngen.errors import InterruptedRunError, ToolError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_GRACE = 10.0  # seconds between asking an engine to end and killing it
_SHOWN = 12  # last lines of a failed engine
_ANSWER_SECONDS = 60.0


def run(
    command: Sequence[str],
    *,
    doing: str,
    report: Callable[[str], None] | None = None,
    stdin: str = "",
    environment: Mapping[str, str] | None = None,
    seconds: float | None = None,
) -> None:
    """Runs an engine to its end, in a session of its own.

    Args:
        command: Program and arguments; never a secret, which others could read in `ps`.
        doing: What it does, for the message: `building localhost/mpi:v1`.
        report: Called with each line that it writes; None keeps quiet.
        stdin: What it reads.
        environment: Its whole environment; this process's own by default.
        seconds: After how long it is ended; None lets it take its time.

    Raises:
        ToolError: It could not be started, failed (says what it wrote last), or took too long.
        InterruptedRunError: This process received SIGINT, SIGTERM or SIGHUP; the engine has
            ended.
    """
    last: deque[str] = deque(maxlen=_SHOWN)
    interrupt = _Interrupt()
    with take_signals(interrupt, ENDINGS):
        process = _start(command, environment)
        overdue = threading.Event()
        try:
            # The feeder closes the pipe, however soon the interrupt comes.
            feeder = threading.Thread(target=_feed, args=(process, stdin), daemon=True)
            feeder.start()
            interrupt.arm()
            with _ended_after(process, seconds, overdue):
                for line in process.stdout or ():
                    text = line.rstrip()
                    last.append(text)
                    if report is not None:
                        report(text)
                process.wait()
            feeder.join()
        except KeyboardInterrupt:
            interrupt.disarm()
            _end(process)
            # What the engine started and has not ended itself.
            signal_group(process.pid, signal.SIGKILL)
            raise InterruptedRunError(f"interrupted while {doing}") from None
        finally:
            interrupt.disarm()
            _end(process)
            if process.stdout is not None:
                process.stdout.close()
    if process.returncode != 0 and overdue.is_set():
        raise ToolError(f"{doing} took longer than {seconds:g} s")
    if process.returncode != 0:
        said = "\n  ".join(line for line in last if line)
        # What was shown already need not be said twice.
        told = f": {said}" if said and report is None else ""
        raise ToolError(f"{doing} failed (exit code {process.returncode}){told}")


class _Interrupt:
    """Raises KeyboardInterrupt at a signal, but only where that is caught.

    A process that has just started must not be lost, nor its end be cut short.
    """

    def __init__(self) -> None:
        self._came = False
        self._armed = False

    def __call__(self) -> None:
        self._came = True
        if self._armed:
            raise KeyboardInterrupt

    def arm(self) -> None:
        """Raises from now on, and at once if a signal has come already."""
        self._armed = True
        if self._came:
            raise KeyboardInterrupt

    def disarm(self) -> None:
        """Raises no more."""
        self._armed = False


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
        raise ToolError(f"`{shown}` gave no answer for {_ANSWER_SECONDS:g} s") from None
    return done.stdout if done.returncode == 0 else None


def _start(command: Sequence[str], environment: Mapping[str, str] | None) -> subprocess.Popen[str]:
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=None if environment is None else dict(environment),
            start_new_session=True,
        )
    except OSError as error:
        raise ToolError(f"cannot run {command[0]}: {error.strerror}") from None


def _feed(process: subprocess.Popen[str], text: str) -> None:
    if process.stdin is not None:
        with suppress(OSError, ValueError), process.stdin:
            process.stdin.write(text)


@contextmanager
def _ended_after(
    process: subprocess.Popen[str], seconds: float | None, overdue: threading.Event
) -> Iterator[None]:
    """Ends a process that still runs after so many seconds, and says so by the event."""
    if seconds is None:
        yield
        return

    def end() -> None:
        overdue.set()
        _end(process)
        # What it started would keep the pipe open that the caller reads.
        signal_group(process.pid, signal.SIGKILL)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _end(process: subprocess.Popen[str]) -> None:
    for number, seconds in ((signal.SIGINT, _GRACE), (signal.SIGKILL, None)):
        if process.poll() is not None:
            return
        signal_group(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
