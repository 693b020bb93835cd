"""`mngen logs`: what a job writes."""

import json
import os
import re
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from mngen.cli._console import report, wants_colour
from mngen.cli._jobs import moment
from mngen.cli._options import (
    DEFAULT_FILE,
    FileOption,
    Format,
    FormatOption,
    JobArgument,
    SandboxOption,
)
from mngen.cli._session import opened_jobs

if TYPE_CHECKING:
    from mngen.jobs import Jobs, LogLine

_COLOURS = (36, 33, 35, 32, 34, 31, 96, 93, 95, 92, 94, 91)
_CONTROL = re.compile(r"(\x1b\[[0-9;]*m)|[\x00-\x08\x0b-\x1f\x7f]")
_FAILED = 1


def logs(
    job: JobArgument,
    node: Annotated[int | None, typer.Option("--node", min=0, help="Only this node")] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Follow the job until it has finished")
    ] = False,
    since: Annotated[
        str | None,
        typer.Option("--since", help="Only newer lines: age (90s, 15m, 2h, 3d) or ISO time"),
    ] = None,
    timestamps: Annotated[
        bool, typer.Option("--timestamps", "-t", help="Show the time of each line")
    ] = False,
    file: FileOption = DEFAULT_FILE,
    sandbox: SandboxOption = False,
    output_format: FormatOption = Format.PRETTY,
) -> None:
    """Show what a job writes.

    Lines of all nodes are ordered by time, each node in its own colour and with the name of its
    node group. With --follow, Ctrl-C stops
    following and the job continues; the exit code is 0 if the job succeeded and 1 if it failed.
    `--format json` prints an object per line.
    """
    show = Printer(timestamps=timestamps, json_wanted=output_format is Format.JSON)
    with opened_jobs(file, sandbox=sandbox) as opened:
        if follow:
            follow_job(opened, job, show, node=node, since=moment(since))
            return
        for line in opened.logs(job, node=node, since=moment(since)):
            show.line(line)


def follow_job(
    opened: "Jobs",
    job: str,
    show: "Printer",
    *,
    node: int | None = None,
    since: float | None = None,
) -> None:
    """Shows what a job writes until it has ended; exits with 1 if it failed.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed; how to resume has been shown.
        typer.Exit: The job failed.
    """
    from mngen.jobs import resume_command

    states: set[str] = set()
    try:
        for line in opened.follow(
            job, node=node, since=since, on_progress=lambda state, _: states.add(state)
        ):
            show.line(line)
    except KeyboardInterrupt:
        report(f"the job continues; to resume: {resume_command(job, show.last)}")
        raise
    if "FAILED" in states:
        raise typer.Exit(_FAILED)


class Printer:
    """Prints lines, and keeps the time of the latest."""

    def __init__(self, *, timestamps: bool = False, json_wanted: bool = False) -> None:
        self.last = 0
        self._timestamps = timestamps
        self._json = json_wanted
        self._terminal = sys.stdout.isatty()
        self._colour = wants_colour(sys.stdout)

    def line(self, line: "LogLine") -> None:
        """Prints a line at once.

        Raises:
            typer.Exit: The reader has closed the pipe.
        """
        self.last = max(self.last, line.time)
        if self._json:
            group = {"group": line.group} if line.group else {}
            text = json.dumps({"node": line.node, **group, "time": line.time, "text": line.text})
        else:
            text = self._prefixed(line)
        try:
            sys.stdout.write(text + "\n")
            sys.stdout.flush()
        except BrokenPipeError:
            # The reader has seen enough, as `head` does; what is buffered goes nowhere.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit from None

    def _prefixed(self, line: "LogLine") -> str:
        prefix = f"{line.node:>3} {line.group} |" if line.group else f"{line.node:>3} |"
        if self._colour:
            prefix = f"\x1b[{_COLOURS[line.node % len(_COLOURS)]}m{prefix}\x1b[0m"
        if self._timestamps:
            from datetime import UTC, datetime

            when = datetime.fromtimestamp(line.time / 1000, UTC)
            prefix = f"{when:%Y-%m-%dT%H:%M:%S}.{line.time % 1000:03}Z {prefix}"
        # Of a job's output a terminal obeys colours alone.
        text = _CONTROL.sub(_harmless, line.text) if self._terminal else line.text
        return f"{prefix} {text}"


def _harmless(match: re.Match[str]) -> str:
    return match[1] or ascii(match[0])[1:-1]
