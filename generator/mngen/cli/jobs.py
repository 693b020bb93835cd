"""`mngen jobs`: the jobs of the deployment."""

from typing import TYPE_CHECKING

from mngen.cli._console import console, print_json, report, table
from mngen.cli._jobs import ago, coloured_state, duration, moment
from mngen.cli._options import (
    DEFAULT_FILE,
    FileOption,
    Format,
    FormatOption,
    JobNameOption,
    JobQueueOption,
    JobSinceOption,
    JobStatusOption,
    JobTagOption,
    SandboxOption,
    parse_pair,
)
from mngen.cli._session import opened_jobs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mngen.jobs import JobSummary


def jobs(
    status: JobStatusOption = None,
    queue: JobQueueOption = None,
    name: JobNameOption = None,
    since: JobSinceOption = None,
    tag: JobTagOption = None,
    file: FileOption = DEFAULT_FILE,
    sandbox: SandboxOption = False,
    output_format: FormatOption = Format.PRETTY,
) -> None:
    """List the jobs of the deployment.

    The newest comes first. A PENDING job is shown with the jobs that it waits for. AWS Batch keeps
    a job for a week after it has finished.
    """
    with opened_jobs(file, sandbox=sandbox) as opened:
        found = opened.list(
            queue=queue,
            states=[each.upper() for each in status or ()],
            name=name,
            since=moment(since),
            tags=dict(parse_pair(each, "--tag") for each in tag or ()),
        )
    if output_format is Format.JSON:
        print_json(found)
    elif found:
        show_jobs(found)
    else:
        report("No jobs found.")


def show_jobs(found: "Sequence[JobSummary]", *, err: bool = False) -> None:
    """Shows a list of jobs.

    Args:
        found: The jobs.
        err: Whether it goes to standard error.
    """
    from rich.markup import escape

    waits = any(each.awaits for each in found)
    headings = ["id", "name", "queue", "nodes", "state", "submitted", "ran"]
    headings += ["waits for"] if waits else []
    shown = table(*headings, right=("nodes", "submitted", "ran"), whole=("id",))
    for each in found:
        awaited = escape("\n".join(f"{one.name} {one.id}" for one in each.awaits))
        ran = "-"
        if each.started is not None:
            ran = (
                ago(each.started) if each.stopped is None else duration(each.stopped - each.started)
            )
        shown.add_row(
            each.id,
            f"[bold]{escape(each.name)}[/bold]",
            escape(each.queue),
            str(each.nodes),
            coloured_state(each.state),
            ago(each.created),
            ran,
            *([awaited or "-"] if waits else ()),
        )
    console(err=err).print(shown)
