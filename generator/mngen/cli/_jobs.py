"""What the commands that deal with jobs share on the command line."""

import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mngen.cli._shared import wants_colour
from mngen.cli._terraform import report
from mngen.errors import InputError, Problem, format_problem

if TYPE_CHECKING:
    from mngen.jobs import Jobs

JobArgument = Annotated[str, typer.Argument(metavar="ID", help="Job ID")]
SandboxOption = Annotated[bool, typer.Option("--sandbox", help="Use the emulated AWS")]


@contextmanager
def opened_jobs(file: Path, *, sandbox: bool) -> Iterator["Jobs"]:
    """Opens the jobs of a spec's deployment, on AWS or on the emulated one."""
    from mngen.jobs import Jobs

    jobs = Jobs.of(file)
    if not sandbox:
        yield jobs
        return
    from mngen.sandbox import open_sandbox

    with open_sandbox(tell=report) as box, box.applied(jobs.cluster.spec.region):
        yield jobs


def show_warning(problem: Problem) -> None:
    """Shows a warning on standard error."""
    report(format_problem(problem, colour=wants_colour(sys.stderr)) + "\n")


def show_json(value: Any) -> None:
    """Prints structs, or what holds them, as JSON."""
    from mngen.jobs import as_data

    typer.echo(json.dumps(as_data(value), indent=2))


_AGES = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_STATE_STYLES = {"SUCCEEDED": "green", "FAILED": "red", "RUNNING": "cyan", "STARTING": "cyan"}
_SLOW = 1.0  # seconds


def ago(when: float | None) -> str:
    """Returns how long ago something was: `3 min`; `-` for never."""
    return "-" if when is None else duration(time.time() - when)


def duration(seconds: float) -> str:
    """Returns a length of time in its largest whole unit: `42 s`, `3 min`, `5 h`, `2 d`."""
    for length, unit in _AGES:
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return "0 s"


def moment(text: str | None) -> float | None:
    """Returns a moment in seconds since the epoch: from these, an age (`90s`, `2h`, `3d`) or ISO.

    Raises:
        InputError: It is none of these.
    """
    if text is None:
        return None
    match = re.fullmatch(r"(\d+)\s*(s|m|min|h|d)", text.strip())
    if match:
        unit = {"s": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400}[match[2]]
        return time.time() - int(match[1]) * unit
    if re.fullmatch(r"\d{9,11}(\.\d+)?", text):
        return float(text)
    from datetime import datetime

    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise InputError(
            f"`{text}` is no time",
            hint="write an age, as in 90s, 15m, 2h or 3d, or 2026-11-24T15:00",
        ) from None


def coloured_state(state: str) -> str:
    """Returns a state in the markup of rich."""
    style = _STATE_STYLES.get(state, "yellow")
    return f"[{style}]{state}[/{style}]"


@contextmanager
def progress_of(what: str) -> Iterator["Callable[[int, int], None]"]:
    """Yields what to call with how much is done and of how much; shows a bar if it takes long."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None, visible=False)
        begun = time.monotonic()

        def step(done: int, total: int) -> None:
            slow = time.monotonic() - begun > _SLOW
            bar.update(task, completed=done, total=total, visible=slow)

        yield step
