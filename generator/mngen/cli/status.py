"""`mngen status`: a job, its nodes, and why it waits."""

import sys
from collections import Counter
from typing import TYPE_CHECKING

import typer

from mngen.cli._jobs import (
    JobArgument,
    SandboxOption,
    ago,
    coloured_state,
    opened_jobs,
    progress_of,
    show_json,
)
from mngen.cli._shared import DEFAULT_FILE, FileOption, wants_colour
from mngen.cli._terraform import Format, FormatOption
from mngen.errors import Problem, Severity, format_problem

if TYPE_CHECKING:
    from mngen.jobs import Cause, JobStatus, NodeStatus

_SHOWN = 32
_NARROWEST = 100


def status(
    job: JobArgument,
    file: FileOption = DEFAULT_FILE,
    sandbox: SandboxOption = False,
    output_format: FormatOption = Format.PRETTY,
) -> None:
    """Show a job's nodes and why it waits.

    Each cause comes with what to do about it. Of a job with many nodes, only those are shown that
    differ from the majority.
    """
    with opened_jobs(file, sandbox=sandbox) as room, progress_of("nodes") as progress:
        found = room.status(job, progress=progress)
    if output_format is Format.JSON:
        show_json(found)
        return
    _show(found)
    for cause in found.causes:
        typer.echo("\n" + format_problem(_problem(cause), colour=wants_colour(sys.stdout)))


def _show(found: "JobStatus") -> None:
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False)
    console.width = max(console.width, _NARROWEST)
    console.print(f"[bold]{escape(found.name)}[/bold] {found.id}")
    reason = f": {escape(found.reason)}" if found.reason and not found.causes else ""
    console.print(f"{coloured_state(found.state)}{reason}")
    attempt = f", attempt {found.attempt} of {found.attempts}" if found.attempts > 1 else ""
    code = "" if found.exit_code is None else f", exit code {found.exit_code}"
    console.print(
        f"{escape(found.definition)} in {escape(found.queue)}, "
        f"submitted {ago(found.created)} ago{attempt}{code}"
    )
    console.print(_table(_chosen(found.nodes)))
    if len(found.nodes) > _SHOWN:
        counts = Counter(each.state for each in found.nodes).most_common()
        console.print(f"{len(found.nodes)} nodes: " + ", ".join(f"{n} {s}" for s, n in counts))


def _chosen(nodes: "tuple[NodeStatus, ...]") -> "list[NodeStatus]":
    """Returns the nodes to show: all, or of many the main one and those that are in trouble."""
    if len(nodes) <= _SHOWN:
        return list(nodes)
    usual = Counter(each.state for each in nodes).most_common(1)[0][0]
    rare = [each for each in nodes if each.main or each.state != usual or each.exit_code]
    return rare[:_SHOWN]


def _table(nodes: "list[NodeStatus]") -> object:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("node", justify="right")
    table.add_column("state")
    table.add_column("since", justify="right")
    # An id that is cut short is of no use: in a narrow terminal, the reason wraps instead.
    table.add_column("instance", no_wrap=True)
    table.add_column("address")
    table.add_column("exit", justify="right")
    table.add_column("reason")
    for each in nodes:
        table.add_row(
            f"{each.index}{' main' if each.main else ''}",
            coloured_state(each.state),
            ago(each.since),
            " ".join(filter(None, [each.instance_type, each.instance])) or "-",
            each.address or "-",
            "-" if each.exit_code is None else str(each.exit_code),
            escape(each.reason or ""),
        )
    return table


def _problem(cause: "Cause") -> Problem:
    return Problem(
        cause.what,
        severity=Severity.ERROR if cause.certain else Severity.INFO,
        hint=cause.remedy or None,
        rule=cause.rule,
        source_url=cause.see,
    )
