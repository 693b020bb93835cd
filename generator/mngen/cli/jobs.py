"""`mngen jobs`: the jobs of the deployment."""

from typing import TYPE_CHECKING, Annotated

import typer

from mngen.cli._jobs import (
    SandboxOption,
    ago,
    coloured_state,
    duration,
    moment,
    opened_jobs,
    show_json,
)
from mngen.cli._shared import DEFAULT_FILE, FileOption
from mngen.cli._terraform import Format, FormatOption, report

if TYPE_CHECKING:
    from mngen.jobs import JobSummary

_NARROWEST = 100


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

    The newest comes first. AWS Batch keeps a job for a week after it has finished.
    """
    with opened_jobs(file, sandbox=sandbox) as room:
        found = room.list(
            queue=queue,
            states=[each.upper() for each in status or ()],
            name=name,
            since=moment(since),
        )
    if output_format is Format.JSON:
        show_json(found)
    elif found:
        _show(found)
    else:
        report("There are no such jobs.")


def _show(found: "tuple[JobSummary, ...]") -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False)
    # An id that is cut short is of no use: in a narrow terminal, lines wrap instead.
    console.width = max(console.width, _NARROWEST)
    table = Table(box=None, pad_edge=False)
    table.add_column("id", no_wrap=True)
    table.add_column("name", style="bold")
    table.add_column("queue")
    table.add_column("nodes", justify="right")
    table.add_column("state")
    table.add_column("submitted", justify="right")
    table.add_column("ran", justify="right")
    for each in found:
        ran = "-"
        if each.started is not None:
            ran = (
                ago(each.started) if each.stopped is None else duration(each.stopped - each.started)
            )
        table.add_row(
            each.id,
            escape(each.name),
            escape(each.queue),
            str(each.nodes),
            coloured_state(each.state),
            ago(each.created),
            ran,
        )
    console.print(table)
