"""The live page of `mngen top`: the terminal, the keys, and rounds in the background.

AWS is asked in a thread, so that `q` works and ages go on while a call hangs. Nothing waits for
that thread at the end: it only reads.
"""

import os
import select
import sys
import termios
import threading
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from mngen.cli._top_page import page
from mngen.errors import ToolError
from mngen.jobs import is_temporary

if TYPE_CHECKING:
    from rich.text import Text

    from mngen.jobs import Overview, Watcher

_TICK = 0.2  # seconds
_REDRAWN_AFTER = 1.0
_LONGEST_PAUSE = 60.0
_KEYS = frozenset(b"qQ")
_CONTROL_CHARACTERS = 6  # their place in the list of tcgetattr


class Round(threading.Thread):
    """One round in the background.

    Attributes:
        overview: What was found; None before the end, or if it failed.
        error: Why it failed.
    """

    def __init__(self, watcher: "Watcher") -> None:
        super().__init__(daemon=True)
        self.overview: Overview | None = None
        self.error: BaseException | None = None
        self._watcher = watcher

    def run(self) -> None:
        """Looks at the deployment."""
        with ExitStack() as stack:
            stack.push(self._keep)
            self.overview = self._watcher.look()

    def _keep(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        """Keeps an error for the thread that shows it."""
        self.error = error
        return True


class Pace:
    """When the next round is due, and what to show about the last one.

    Args:
        every: Seconds from the end of a round to the next.

    Attributes:
        note: What to show; empty for nothing.
    """

    def __init__(self, every: float) -> None:
        self.note = ""
        self._every = every
        self._pause = every

    def succeeded(self, *, complete: bool) -> float:
        """Returns after how many seconds the next round is due: at once until all is known."""
        self.note, self._pause = "", self._every
        return self._every if complete else 0.0

    def failed(self, error: BaseException) -> float:
        """Returns after how many seconds to try again, each time twice as many.

        Raises:
            BaseException: The error, if it does not pass.
        """
        if not isinstance(error, ToolError) or not is_temporary(error):
            raise error
        self._pause = min(2 * self._pause, max(_LONGEST_PAUSE, self._every))
        self.note = f"{error}; next attempt in {self._pause:.0f} s"
        return self._pause


def live(watcher: "Watcher", every: float) -> None:
    """Shows a deployment until the user presses `q` or Ctrl-C, and restores the terminal.

    Args:
        watcher: What looks at it.
        every: Seconds between rounds.

    Raises:
        ToolError: AWS refuses for good, such as with credentials that have expired.
    """
    with suppress(KeyboardInterrupt), _terminal() as show:
        pace = Pace(every)
        found: Overview | None = None
        current = Round(watcher)
        current.start()
        is_busy, due, drawn = True, 0.0, 0.0
        while not _is_quit_pressed():
            now = time.monotonic()
            if is_busy and current.error is not None:
                is_busy, due, drawn = False, now + pace.failed(current.error), 0.0
            elif is_busy and current.overview is not None:
                found = current.overview
                is_busy, due, drawn = False, now + pace.succeeded(complete=found.complete), 0.0
            if not is_busy and now >= due:
                current, is_busy = Round(watcher), True
                current.start()
            if now - drawn >= _REDRAWN_AFTER:
                show(found, pace.note)
                drawn = now


def _is_quit_pressed() -> bool:
    """Waits a moment for a key; returns whether it closes the page, as does a closed input."""
    ready, _, _ = select.select([sys.stdin.fileno()], [], [], _TICK)
    if not ready:
        return False
    typed = os.read(sys.stdin.fileno(), 64)
    return not typed or not _KEYS.isdisjoint(typed)


@contextmanager
def _terminal() -> Iterator[Callable[["Overview | None", str], None]]:
    """Takes the terminal for a page; yields what shows the page in it."""
    from rich.console import Console, ConsoleDimensions
    from rich.live import Live
    from rich.text import Text

    keyboard = sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)
    console = Console(highlight=False)

    def show(overview: "Overview | None", note: str) -> None:
        width, height = _size(sys.stdout.fileno())
        console.size = ConsoleDimensions(width, height)
        lines = _lines(overview, note, width, height)
        screen.update(Text("\n", no_wrap=True, overflow="crop").join(lines), refresh=True)

    try:
        tty.setcbreak(keyboard)
        # A shell does not clear the page of a program that Ctrl-Z stops.
        quiet: Any = termios.tcgetattr(keyboard)
        quiet[_CONTROL_CHARACTERS][termios.VSUSP] = os.fpathconf(keyboard, "PC_VDISABLE")
        termios.tcsetattr(keyboard, termios.TCSADRAIN, quiet)
        with Live(
            console=console,
            screen=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        ) as screen:
            yield show
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)


def _size(terminal: int) -> tuple[int, int]:
    """Returns the columns and rows of a terminal, of which a serial one knows none."""
    # Not what COLUMNS names: the terminal's size can change.
    width, height = os.get_terminal_size(terminal)
    return width or 80, height or 24


def _lines(overview: "Overview | None", note: str, width: int, height: int) -> "list[Text]":
    from rich.text import Text

    if overview is None:
        return [Text(note or "asking AWS ...")]
    return page(overview, width=width, height=height, now=time.time(), note=note)
