"""`mngen jobs`: the jobs of the deployment."""

from typing import TYPE_CHECKING, Annotated

import typer

from mngen.cli._console import console, print_json, report, report_problem, table
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
from mngen.errors import Problem, Severity, ToolError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mngen.jobs import Jobs, JobSummary, Turns


def jobs(
    status: JobStatusOption = None,
    queue: JobQueueOption = None,
    name: JobNameOption = None,
    since: JobSinceOption = None,
    tag: JobTagOption = None,
    array: Annotated[
        str | None, typer.Option("--array", metavar="ID", help="Jobs of this array")
    ] = None,
    file: FileOption = DEFAULT_FILE,
    sandbox: SandboxOption = False,
    output_format: FormatOption = Format.PRETTY,
) -> None:
    """List the jobs of the deployment.

    The newest comes first. A PENDING job is shown with the jobs that it waits for. AWS Batch keeps
    a job for a week after it has finished.

    An array is one job, with its size in brackets, and stays PENDING while its jobs run. The state
    shows how far they are; `--array ID` lists them.

    With --queue, the column `turn` shows the order in which the first 100 RUNNABLE jobs start. For
    a fair-share queue, each job's share and the vCPUs that each share uses are shown as well.
    """
    if array is not None:
        if any(each is not None for each in (queue, name, since)) or tag:
            raise typer.BadParameter("not with filters other than --status", param_hint="--array")
        with opened_jobs(file, sandbox=sandbox) as opened:
            found = opened.list_array(array, states=[each.upper() for each in status or ()])
        _show(found, None, output_format)
        return
    with opened_jobs(file, sandbox=sandbox) as opened:
        found = opened.list(
            queue=queue,
            states=[each.upper() for each in status or ()],
            name=name,
            since=moment(since),
            tags=dict(parse_pair(each, "--tag") for each in tag or ()),
        )
        turns = _turns(opened, queue) if queue is not None and found else None
    if turns is not None:
        found = tuple(_with_turn(each, turns) for each in found)
    _show(found, turns, output_format)


def _show(found: "Sequence[JobSummary]", turns: "Turns | None", output_format: Format) -> None:
    if output_format is Format.JSON:
        print_json(found)
    elif found:
        show_jobs(found, turns)
    else:
        report("No jobs found.")


def _turns(opened: "Jobs", queue: str) -> "Turns | None":
    """Asks whose turn it is; where that is denied, the list has to do without it."""
    try:
        return opened.turns(queue)
    except ToolError as error:
        for problem in error.problems:
            report_problem(
                Problem(
                    f"cannot show whose turn it is: {problem.message}",
                    severity=Severity.INFO,
                    hint=problem.hint,
                )
            )
        return None


def _with_turn(job: "JobSummary", turns: "Turns") -> "JobSummary":
    from msgspec.structs import replace

    # Of an array, the first of its jobs that is RUNNABLE.
    places = [
        place
        for place, each in enumerate(turns.jobs, start=1)
        if each == job.id or each.startswith(f"{job.id}:")
    ]
    if not places or (job.state != "RUNNABLE" and "RUNNABLE" not in job.children):
        return job
    return replace(job, turn=places[0])


def _name(job: "JobSummary") -> str:
    return job.name if job.size is None else f"{job.name}[{job.size}]"


def show_jobs(
    found: "Sequence[JobSummary]", turns: "Turns | None" = None, *, err: bool = False
) -> None:
    """Shows a list of jobs.

    Args:
        found: The jobs.
        turns: Whose turn it is in their queue; None if that was not asked.
        err: Whether it goes to standard error.
    """
    from rich.markup import escape

    waits = any(each.awaits for each in found)
    shared = any(each.share for each in found) and turns is not None
    headings = ["id", "name", "queue", "nodes", "state", "submitted", "ran"]
    if turns is not None:
        headings[5:5] = ["turn", "share"] if shared else ["turn"]
    headings += ["waits for"] if waits else []
    right = tuple(each for each in ("nodes", "turn", "submitted", "ran") if each in headings)
    shown = table(*headings, right=right, whole=("id",))
    for each in found:
        awaited = escape("\n".join(f"{one.name} {one.id}" for one in each.awaits))
        ran = "-"
        if each.started is not None:
            ran = (
                ago(each.started) if each.stopped is None else duration(each.stopped - each.started)
            )
        shown.add_row(
            each.id,
            f"[bold]{escape(_name(each))}[/bold]",
            escape(each.queue),
            str(each.nodes),
            "\n".join(
                [coloured_state(each.state), *(f"{n} {s}" for s, n in each.children.items())]
            ),
            *([] if turns is None else [str(each.turn or "-")]),
            *([escape(each.share or "-")] if shared else []),
            ago(each.created),
            ran,
            *([awaited or "-"] if waits else ()),
        )
    console(err=err).print(shown)
    if turns is not None and turns.shares:
        uses = ", ".join(f"{each.share} {each.vcpus:g}" for each in turns.shares)
        report(f"vCPUs in use: {uses}; {turns.vcpus:g} in all")
