"""What the commands that deal with jobs share on the command line."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mngen.cli._shared import wants_colour
from mngen.cli._terraform import report
from mngen.errors import Problem, format_problem

if TYPE_CHECKING:
    from mngen.jobs import Jobs

JobArgument = Annotated[str, typer.Argument(metavar="ID", help="The job's id.")]
SandboxOption = Annotated[
    bool, typer.Option("--sandbox", help="Ask the emulated AWS instead of the real one.")
]


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
