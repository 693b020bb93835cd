"""`mngen jobs`: the jobs of the deployment."""

from typing import TYPE_CHECKING, Annotated

import typer

from mngen.cli._console import console, print_json, report, table
from mngen.cli._jobs import ago, coloured_state, duration, moment
from mngen.cli._options import DEFAULT_FILE, FileOption, Format, FormatOption, SandboxOption
from mngen.cli._session import opened_jobs

if TYPE_CHECKING:
    from mngen.jobs import JobSummary


def jobs(
    status: Annotated[
        list[str] | None,
        typer.Option("--status", "-s", help="Only this state, such as RUNNING; repeatable"),
    ] = None,
    queue: Annotated[str | None, typer.Option("--queue", "-q", help="Only this queue")] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Only matching names; * and ? are wildcards")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", help="Only newer ones: age (90s, 15m, 2h, 3d) or ISO time"),
    ] = None,
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
        )
    if output_format is Format.JSON:
        print_json(found)
    elif found:
        _show(found)
    else:
        report("No jobs found.")


def _show(found: "tuple[JobSummary, ...]") -> None:
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
    console().print(shown)
