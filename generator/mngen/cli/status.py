"""`mngen status`: a job, its nodes, and why it waits."""

import sys
from collections import Counter
from typing import TYPE_CHECKING

import typer

from mngen.cli._console import console, print_json, progress_of, table, wants_colour
from mngen.cli._jobs import ago, coloured_state
from mngen.cli._options import (
    DEFAULT_FILE,
    FileOption,
    Format,
    FormatOption,
    JobArgument,
    SandboxOption,
)
from mngen.cli._session import opened_jobs
from mngen.errors import Problem, Severity, format_problem

if TYPE_CHECKING:
    from mngen.jobs import Cause, JobStatus, NodeStatus

_SHOWN = 32


def status(
    job: JobArgument,
    file: FileOption = DEFAULT_FILE,
    sandbox: SandboxOption = False,
    output_format: FormatOption = Format.PRETTY,
) -> None:
    """Show a job's nodes and why it waits.

    Of an array, it shows how many of its jobs are in each state; `mngen jobs --array ID` lists
    them. A job that failed because it depends on one that did shows which. Each cause comes with
    what to do about it. Of a job with many nodes, only those are shown that differ from the
    majority.
    """
    with opened_jobs(file, sandbox=sandbox) as opened, progress_of("nodes") as progress:
        found = opened.status(job, progress=progress)
    if output_format is Format.JSON:
        print_json(found)
        return
    _show(found)
    for cause in found.causes:
        typer.echo("\n" + format_problem(_problem(cause), colour=wants_colour(sys.stdout)))
        if cause.console:
            typer.echo("  on the console:")
            for line in cause.console:
                typer.echo(f"    {line}")


def _show(found: "JobStatus") -> None:
    from rich.markup import escape

    page = console()
    page.print(f"[bold]{escape(found.name)}[/bold] {found.id}")
    reason = f": {escape(found.reason)}" if found.reason and not found.causes else ""
    page.print(f"{coloured_state(found.state)}{reason}")
    attempt = f", attempt {found.attempt} of {found.attempts}" if found.attempts > 1 else ""
    code = "" if found.exit_code is None else f", exit code {found.exit_code}"
    page.print(
        f"{escape(found.definition)} in {escape(found.queue)}, "
        f"submitted {ago(found.created)} ago{attempt}{code}"
    )
    if found.retried:
        page.print(escape(found.retried))
    if found.size is not None:
        states = ", ".join(f"{n} {s}" for s, n in found.children.items()) or "no counts yet"
        page.print(f"array of {found.size} jobs: {states}")
        return
    page.print(_table(_chosen(found.nodes)))
    if len(found.nodes) > _SHOWN:
        counts = Counter(each.state for each in found.nodes).most_common()
        page.print(f"{len(found.nodes)} nodes: " + ", ".join(f"{n} {s}" for s, n in counts))


def _chosen(nodes: "tuple[NodeStatus, ...]") -> "list[NodeStatus]":
    """Returns the nodes to show: all, or of many the main one and those that are in trouble."""
    if len(nodes) <= _SHOWN:
        return list(nodes)
    usual = Counter(each.state for each in nodes).most_common(1)[0][0]
    rare = [each for each in nodes if each.main or each.state != usual or each.exit_code]
    return rare[:_SHOWN]


def _table(nodes: "list[NodeStatus]") -> object:
    from rich.markup import escape

    headings = ("node", "state", "since", "instance", "address", "exit", "reason")
    made = table(*headings, right=("node", "since", "exit"), whole=("instance",))
    for each in nodes:
        made.add_row(
            " ".join(
                filter(None, [str(each.index), "main" if each.main else "", each.group or ""])
            ),
            coloured_state(each.state),
            ago(each.since),
            " ".join(filter(None, [each.instance_type, each.instance])) or "-",
            each.address or "-",
            "-" if each.exit_code is None else str(each.exit_code),
            escape(each.reason or ""),
        )
    return made


def _problem(cause: "Cause") -> Problem:
    return Problem(
        cause.what,
        severity=Severity.ERROR if cause.certain else Severity.INFO,
        hint=cause.remedy or None,
        rule=cause.rule,
        source_url=cause.see,
    )
