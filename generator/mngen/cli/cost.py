"""`mngen cost`: what jobs cost, from the time that they used instances."""

import os
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mngen._text import counted
from mngen.cli._console import console, print_json, report, require_suffix, table, write_picture
from mngen.cli._jobs import moment
from mngen.cli._options import DEFAULT_FILE, FileOption, SandboxOption
from mngen.cli._session import opened_jobs
from mngen.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mngen.catalog import Prices
    from mngen.cost import JobReport, Origin, Place, Report, Spent
    from mngen.jobs import Usage

_KEPT_SECONDS = 7 * 86_400
_SHOWN = 32


class CostFormat(StrEnum):
    """Output formats of costs."""

    PRETTY = "pretty"
    JSON = "json"
    CSV = "csv"


class SumBy(StrEnum):
    """What costs are summed by."""

    USER = "user"
    JOB = "job"
    QUEUE = "queue"


def cost(
    job: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Job ID; default: all jobs, summed")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", help="Only newer jobs: age (2h, 3d, 30d) or ISO time"),
    ] = None,
    by: Annotated[
        SumBy | None, typer.Option("--by", help="Sum by user, job or queue; default: job")
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(
            "--keep",
            metavar="FILE",
            help="CSV file or s3://BUCKET/KEY to keep finished jobs in, and to sum as well",
        ),
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option("--picture", help="SVG file for costs by week and user, or as --by has it"),
    ] = None,
    file: FileOption = DEFAULT_FILE,
    sandbox: SandboxOption = False,
    output_format: Annotated[
        CostFormat, typer.Option("--format", help="Output format")
    ] = CostFormat.PRETTY,
) -> None:
    """Show what jobs cost, by user, job or queue.

    The time of all attempts on all nodes, from the start of the containers to their end, at the
    price on demand. What AWS bills besides is named below the table. AWS Batch keeps a job for a
    week after it has finished.

    With an ID, each node of the job is read. Without, a multi-node job counts with the time of the
    job on all of its nodes, and a single-node job with the part of an instance that it asked for.

    With --keep, finished jobs that the file does not have are added to it, and those that only the
    file has are summed as well, at the prices that mngen knew when they were added. AWS Batch lists
    no jobs of a deleted queue: run it before `mngen destroy`.
    """
    from mngen._aws import client
    from mngen.catalog import load_prices
    from mngen.cost import By, Origin, costs_of, job_report, place_of, summed

    given = {"--since": since, "--by": by, "--keep": keep, "--picture": picture}
    if job is not None and any(given.values()):
        option = next(name for name, value in given.items() if value)
        raise typer.BadParameter("not with a job ID", param_hint=option)
    if keep is not None and sandbox:
        # Its deployments are called as those on AWS: the jobs would be summed together.
        raise typer.BadParameter("not with --sandbox", param_hint="--keep")
    if picture is not None:
        _refuse_other(picture, keep)
    prices = load_prices(file)
    after = moment(since)
    with opened_jobs(file, sandbox=sandbox) as opened:
        region = opened.cluster.spec.region
        if job is not None:
            _print(job_report(opened.usage_of(job), prices, region), region, output_format)
            return
        place = None if keep is None else place_of(keep, lambda: client("s3", region))
        # All that is remembered is kept; what is shown may be less.
        usages = opened.usage(since=None if place else after)
        deployment = opened.cluster.spec.name
        account = opened.account_id() if place else ""
    if place is None:
        spent = costs_of(usages, prices, region)
    else:
        spent = _with_kept(usages, prices, place, Origin(deployment, account, region), after)
    found = summed(spent, prices, region, By((by or SumBy.JOB).value))
    _print(found, region, output_format)
    if picture is not None:
        from mngen.cost import to_svg, weeks_of

        weeks = weeks_of(spent, deployment, By((by or SumBy.USER).value), found.currency)
        write_picture(picture, to_svg(weeks))
        report(f"picture: {picture}")
    if after is not None and after < time.time() - _KEPT_SECONDS and keep is None:
        report(
            "AWS Batch keeps a job for a week after it has finished: older ones may be missing; "
            "to keep them: mngen cost --keep FILE.csv"
        )


def _with_kept(
    usages: "Sequence[Usage]",
    prices: "Prices",
    place: "Place",
    origin: "Origin",
    after: float | None,
) -> "list[tuple[Usage, Spent]]":
    """Returns what jobs cost, with those that a file keeps, to which finished ones are added."""
    from mngen.cost import costs_of, spent_when_kept
    from mngen.cost import keep as kept_in

    kept = kept_in(place, usages, prices, origin)
    total = f"{len(kept.jobs)} of {origin.deployment} in all"
    report(f"{place}: {counted(kept.added, 'job')} added, {total}")
    ids = {each.usage.id for each in kept.jobs}
    spent = costs_of((each for each in usages if each.id not in ids), prices, origin.region)
    spent += [(each.usage, spent_when_kept(each, prices)) for each in kept.jobs]
    return [each for each in spent if after is None or each[0].created >= after]


def _refuse_other(picture: Path, keep: str | None) -> None:
    """Refuses to write a picture over what is none, above all over the kept jobs.

    Raises:
        InputError: The file, or what a link of this name points to, is not named as a picture, or
            is the one to keep jobs in.
    """
    require_suffix(picture, ".svg", "--picture takes an SVG file")
    if keep is not None and os.path.realpath(picture) == os.path.realpath(keep):
        raise InputError(
            f"--picture and --keep are the same file: {picture}", hint="pass two different files"
        )


def _print(found: "Report | JobReport", region: str, output_format: CostFormat) -> None:
    from mngen.cost import JobReport

    if output_format is CostFormat.JSON:
        print_json(found)
    elif output_format is CostFormat.CSV:
        typer.echo(found.csv(), nl=False)
    elif isinstance(found, JobReport):
        _show_job(found, region)
    else:
        _show(found)


def _show(found: "Report") -> None:
    if not found.rows:
        report("No jobs found.")
        return
    from rich.markup import escape

    heading = found.currency or "cost"
    shown = table(
        found.by.value, "jobs", "node hours", heading, right=("jobs", "node hours", heading)
    )
    for each in (*found.rows, found.total):
        name = escape(each.name) or "unknown"
        amount = "?" if each.amount is None else f"{each.amount:,.2f}"
        if each.amount is not None and each.unpriced:
            amount += " + ?"
        style = "[bold]{}[/bold]" if each is found.total else "{}"
        shown.add_row(*map(style.format, (name, str(each.jobs), f"{each.node_hours:,.2f}", amount)))
    console().print(shown)
    for reason, count in found.reasons.items():
        report(f"? = {counted(count, 'job')} not counted: {reason}")
    if found.dearest:
        jobs = counted(found.dearest, "job")
        report(f"{jobs} counted at the dearest of several possible instance types")
    _tell_rest(found, found.region)


def _show_job(found: "JobReport", region: str) -> None:
    heading = found.currency or "cost"
    what = "node" if found.usage.size is None else "index"
    shown = table(what, "instance", "hours", heading, right=(what, "hours", heading))
    dearest = sorted(found.nodes, key=lambda each: -(each.amount or 0.0))
    rows = found.nodes if found.usage.size is None else dearest[:_SHOWN]
    for each in rows:
        instance = each.instance or "-"
        if each.share < 1 and each.instance:
            instance = f"{each.share:.3g} of {instance}"
        shown.add_row(each.name, instance, f"{each.hours:,.4f}", _amount(each.amount))
    shown.add_row("total", "", f"{found.total.hours:,.4f}", _amount(found.total.amount))
    console().print(shown)
    if len(rows) < len(found.nodes):
        report(f"the {len(rows)} dearest of {len(found.nodes)} jobs; --format csv has all of them")
    if found.total.reason:
        report(f"? = {found.total.reason}")
    for possible in sorted({each.possible for each in found.nodes if each.possible}):
        report(f"of the possible instance types {', '.join(possible)}, the dearest counts")
    _tell_rest(found, region)


def _amount(amount: float | None) -> str:
    return "?" if amount is None else f"{amount:,.4f}"


def _tell_rest(found: "Report | JobReport", region: str) -> None:
    """Prints when the prices were read, and what is not counted."""
    from mngen.cost import no_prices

    if found.date is None:
        report(no_prices(region))
    else:
        report(f"prices on demand of {found.date}")
    report(f"not counted: {'; '.join(found.not_counted)}")
