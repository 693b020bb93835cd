"""`mngen submit`: a job of the spec, to its job queue."""

import json
import shlex
import sys
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mngen.cli._console import print_json, progress_of, report, report_problem, wants_colour
from mngen.cli._options import (
    DEFAULT_FILE,
    FileOption,
    Format,
    FormatOption,
    SandboxOption,
    parse_pair,
)
from mngen.cli._session import opened_jobs, prices_beside
from mngen.cli.logs import Printer, follow_job
from mngen.errors import format_problems

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mngen.catalog import Prices
    from mngen.cost import Estimate
    from mngen.jobs import Inputs, Jobs, Order, Prepared, Submission


def submit(
    job: Annotated[str, typer.Argument(help="Job of the spec")],
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- COMMAND ...]", help="Command to run instead of the job's"),
    ] = None,
    nodes: Annotated[
        int | None, typer.Option("--nodes", "-n", help="Number of nodes of a multi-node job")
    ] = None,
    queue: Annotated[
        str | None, typer.Option("--queue", "-q", help="Job queue; default: the job's")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="Job name in AWS Batch")] = None,
    env: Annotated[
        list[str] | None,
        typer.Option("--env", "-e", metavar="NAME=VALUE", help="Environment variable; repeatable"),
    ] = None,
    vcpus: Annotated[int | None, typer.Option("--vcpus", help="vCPUs of each node")] = None,
    memory: Annotated[
        int | None, typer.Option("--memory", help="MiB of memory of each node")
    ] = None,
    gpus: Annotated[int | None, typer.Option("--gpus", help="GPUs of each node")] = None,
    attempts: Annotated[
        int | None, typer.Option("--attempts", help="Maximum number of attempts")
    ] = None,
    timeout: Annotated[
        int | None, typer.Option("--timeout", help="Timeout of an attempt in seconds")
    ] = None,
    share: Annotated[
        str | None,
        typer.Option(
            "--share", help="Share in a fair-share queue; default: the job's, or your user name"
        ),
    ] = None,
    priority: Annotated[
        int | None, typer.Option("--priority", help="Priority within the share, 0 to 9999")
    ] = None,
    after: Annotated[
        list[str] | None,
        typer.Option("--after", metavar="ID", help="Job that must succeed first; repeatable"),
    ] = None,
    flow: Annotated[
        bool, typer.Option("--flow", help="First submit the jobs that it is after in the spec")
    ] = False,
    tag: Annotated[
        list[str] | None,
        typer.Option("--tag", metavar="KEY=VALUE", help="Tag of the job; repeatable"),
    ] = None,
    upload: Annotated[
        Path | None,
        typer.Option("--upload", help="File or folder to copy to the job, to {inputs}"),
    ] = None,
    sweep: Annotated[
        Path | None,
        typer.Option("--sweep", help="CSV file with a job per row; columns are variables"),
    ] = None,
    register: Annotated[
        bool,
        typer.Option(
            "--register", help="First register the spec's job definition if it has changed"
        ),
    ] = False,
    array: Annotated[
        bool | None,
        typer.Option(
            "--array/--no-array",
            help="With --sweep, submit array jobs, or one job for each row; default: array jobs "
            "if the job runs the container image of the deployment",
        ),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Submit even if the same job was submitted before")
    ] = False,
    follow: Annotated[
        bool, typer.Option("--follow", help="Follow the job until it has finished")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check and show the request; submit nothing")
    ] = False,
    file: FileOption = DEFAULT_FILE,
    sandbox: SandboxOption = False,
    output_format: FormatOption = Format.PRETTY,
) -> None:
    """Submit a job and print its ID.

    The job is checked by every rule first. Submitting the same job twice returns the first one, as
    long as it waits, runs or has succeeded (AWS Batch keeps jobs for a week). Multi-node jobs get a
    new secret each time.

    With --after, the job stays PENDING until the jobs with these IDs (20 at most) have succeeded.
    If one of them fails, it fails too, without running.

    With --flow, all jobs that the job is `after` in the spec are submitted first, each once, and
    their IDs printed. --env, --upload, --tag and --share are for all of them, other options for
    the job itself. Repeating the command continues where it stopped.

    With --sweep, one job is submitted for each row of a CSV file: its columns are environment
    variables, and replace {column} in the command. Repeating the command continues where it
    stopped. Jobs of one node that run the container image of the deployment go into array jobs,
    with IDs such as ID:0; the image needs the wire-up of this version of mngen. Other images need
    --array for it, and the wire-up as their entrypoint. --dry-run shows the requests.
    With --flow, the earlier jobs are submitted once, and the jobs of all rows wait for them.

    With --upload, files are copied to the shared file system if it is mounted on this machine, and
    otherwise to the spec's bucket, from where the main node fetches them before the command
    starts. The job finds them in the folder MNGEN_INPUTS, which is {inputs} in the command.
    """
    from mngen.jobs import Order, as_data, require_all, with_inputs

    order = Order(
        job=job,
        nodes=nodes,
        queue=queue,
        name=name,
        command=tuple(command or ()),
        environment=dict(parse_pair(each, "--env") for each in env or []),
        vcpus=vcpus,
        memory=memory,
        gpus=gpus,
        attempts=attempts,
        timeout=timeout,
        share=share,
        after=tuple(after or ()),
        tags=dict(parse_pair(each, "--tag") for each in tag or []),
        priority=priority,
    )
    if sweep is not None and follow:
        raise typer.BadParameter(
            f"not with --sweep: run mngen jobs --name {_pattern(name or job)}",
            param_hint="--follow",
        )
    if array is not None and sweep is None:
        option = "--array" if array else "--no-array"
        raise typer.BadParameter("only with --sweep", param_hint=option)
    with opened_jobs(file, sandbox=sandbox) as jobs:
        inputs = None if upload is None else jobs.find_inputs(upload)
        if inputs is not None:
            order = with_inputs(order, inputs)
        prices = prices_beside(file)
        if dry_run:
            _show_plan(jobs, order, sweep, prices, register=register, flow=flow, arrays=array)
            return
        if sweep is not None:
            sweep_jobs = partial(
                jobs.sweep,
                register=register,
                again=again,
                arrays=array,
                flow=flow,
                inputs=inputs,
            )
            json_wanted = output_format is Format.JSON
            _sweep(sweep_jobs, order, sweep, prices, again=again, json_wanted=json_wanted)
            return
        if flow:
            planned = jobs.prepare_flow(order, register=register)
            require_all(planned, report_problem)
            _bring(jobs, inputs)
            last = _flow(
                partial(jobs.send_flow, planned, again=again),
                [_price(each, prices) for each in planned],
                again=again,
                json_wanted=output_format is Format.JSON,
            )
            if follow:
                follow_job(jobs, last, Printer(json_wanted=output_format is Format.JSON))
            return
        prepared = jobs.prepare(order, register=register)
        prepared.require(report_problem)
        price = _price(prepared, prices)
        _bring(jobs, inputs)
        submission = jobs.send(
            prepared,
            again=again,
            on_progress=lambda each: _on_progress(
                each, price, json_wanted=output_format is Format.JSON
            ),
        )
        if output_format is Format.JSON:
            print_json({**as_data(submission), "price": price and price.as_dict()})
        _report_earlier(prepared)
        if follow:
            follow_job(jobs, submission.id, Printer(json_wanted=output_format is Format.JSON))


def _sweep(
    send: "Callable[..., tuple[Submission, ...]]",
    order: "Order",
    file: Path,
    prices: "Prices",
    *,
    again: bool,
    json_wanted: bool,
) -> None:
    """Submits a job for each row, and prints IDs with names as they become known."""
    from mngen.jobs import read_rows

    rows = read_rows(file)
    count = len(rows)
    seen: list[Submission] = []
    with progress_of("jobs") as progress:

        def on_checked(prepared: "Sequence[Prepared]") -> None:
            nonlocal count
            count = sum(each.count for each in prepared)  # with --flow, more than rows
            _report_prices(prepared, prices)

        def on_progress(submission: "Submission") -> None:
            seen.append(submission)
            progress(len(seen), count)
            _show_id(submission, json_wanted=json_wanted)

        try:
            done = send(
                order, rows, on_checked=on_checked, on_progress=on_progress, warn=report_problem
            )
        finally:
            if seen:
                before = sum(each.existed for each in seen)
                report(f"{len(seen)} of {count} jobs, {before} of them submitted earlier")
            if 0 < len(seen) < count:
                _report_how_to_continue("submit the other rows from another file", again=again)
    if json_wanted:
        print_json(done)
    else:
        report(f"next: mngen jobs --name {_pattern(order.name or order.job)}")


def _pattern(name: str) -> str:
    """Returns the pattern of the names of a sweep's jobs, as a shell takes it."""
    return shlex.quote(f"{name}-*")


def _flow(
    send: "Callable[..., tuple[Submission, ...]]",
    prices: "Sequence[Estimate | None]",
    *,
    again: bool,
    json_wanted: bool,
) -> str:
    """Submits a flow, and prints IDs with names as they become known; returns the last ID."""
    from mngen.jobs import as_data

    seen: dict[str, Submission] = {}

    def on_progress(submission: "Submission") -> None:
        seen[submission.name] = submission
        _show_id(submission, json_wanted=json_wanted)
        _report_submission(submission, prices[len(seen) - 1])

    try:
        done = send(on_progress=on_progress)
    finally:
        if 0 < len(seen) < len(prices):
            _report_how_to_continue("submit the other jobs with --after", again=again)
    if json_wanted:
        print_json(
            [
                {**as_data(each), "price": price and price.as_dict()}
                for each, price in zip(done, prices, strict=True)
            ]
        )
    else:
        report(f"next: mngen status {done[-1].id}")
    return done[-1].id


def _show_id(submission: "Submission", *, json_wanted: bool) -> None:
    """Shows the ID and name of one of several jobs at once; for JSON, on standard error."""
    line = f"{submission.id}\t{submission.name}"
    if json_wanted:
        report(line)
        return
    typer.echo(line)
    sys.stdout.flush()


def _report_how_to_continue(others: str, *, again: bool) -> None:
    """Reports how to go on after an interruption: what was submitted with --again is not found.

    Args:
        others: How to submit the jobs that are left alone.
        again: Whether --again was given.
    """
    if again:
        report(f"to continue, {others}: repeated with --again, all are submitted once more")
    else:
        report("to continue, repeat the command")


def _bring(jobs: "Jobs", inputs: "Inputs | None") -> None:
    if inputs is not None:
        with progress_of("files") as progress:
            jobs.bring(inputs, progress)


def _report_earlier(prepared: "Prepared") -> None:
    """Reminds of the jobs that a job is after in the spec, where it waits for none."""
    earlier = prepared.intent.job.spec.predecessors
    if earlier and not prepared.intent.after:
        names = ", ".join(f"`{each}`" for each in earlier)
        report(
            f"`{prepared.intent.job.name}` is after {names} in the spec, but does not wait: "
            "--flow submits these jobs first, --after waits for submitted ones"
        )


def _price(prepared: "Prepared", prices: "Prices") -> "Estimate | None":
    """Returns what a job costs at most; None where that is unknown."""
    from mngen.cost import bound_of, estimate_of

    cluster = prepared.target.account.cluster
    bound = bound_of(
        cluster,
        prices,
        prepared.intent.job,
        queue=prepared.intent.queue,
        nodes=prepared.intent.nodes,
        attempts=prepared.order.attempts,
        timeout=prepared.order.timeout,
        described=prepared.definition,
    )
    return estimate_of(cluster, prices, bound) if bound else None


def _on_progress(submission: "Submission", price: "Estimate | None", *, json_wanted: bool) -> None:
    """Shows the ID first, before anything else can be interrupted; for JSON, on standard error."""
    if json_wanted:
        report(submission.id)
        return
    typer.echo(submission.id)
    sys.stdout.flush()
    _report_submission(submission, price)
    report(f"next: mngen status {submission.id}")


def _report_submission(submission: "Submission", price: "Estimate | None") -> None:
    if submission.existed:
        by = f" by {submission.by}" if submission.by else ""
        report(
            f"the same job was submitted earlier{by} and is {submission.state}; "
            "--again submits another one"
        )
    else:
        nodes = f", {submission.nodes} nodes" if submission.nodes > 1 else ""
        after = f", after {', '.join(submission.after)}" if submission.after else ""
        report(
            f"submitted {submission.name} ({submission.definition}{nodes}) to "
            f"{submission.queue}{after}"
        )
        _report_price(price)


def _report_price(price: "Estimate | None", count: int = 1) -> None:
    line = price.job_line() if price else None
    if line is not None:
        report(line if count == 1 else f"{line}; times {count} jobs")


def _report_prices(prepared: "Sequence[Prepared]", prices: "Prices") -> None:
    """Reports what several jobs cost at most: a line for all that are of one job of the spec."""
    for _, group in groupby(prepared, key=lambda each: each.intent.job.name):
        first, *others = group
        count = first.count + sum(each.count for each in others)
        _report_price(_price(first, prices), count)


def _show_plan(
    jobs: "Jobs",
    order: "Order",
    sweep: Path | None,
    prices: "Prices",
    *,
    register: bool,
    flow: bool,
    arrays: bool | None,
) -> None:
    """Shows the request, or those of a sweep or flow, and the problems found in it.

    Raises:
        InputError: One of the problems is an error.
    """
    from mngen.jobs import read_rows, require_all, rows_in_words

    if sweep is not None:
        rows = read_rows(sweep)
        prepared = jobs.prepare_sweep(order, rows, register=register, arrays=arrays, flow=flow)
    elif flow:
        prepared = jobs.prepare_flow(order, register=register)
    else:
        prepared = (jobs.prepare(order, register=register),)
    shown = [each.shown for each in prepared]
    several = flow or sweep is not None
    typer.echo(json.dumps(shown if several else shown[0], indent=2, ensure_ascii=False))
    problems = dict.fromkeys(problem for each in prepared for problem in each.problems)
    if problems:
        report(format_problems(list(problems), colour=wants_colour(sys.stderr)))
    for line in filter(None, map(rows_in_words, prepared)):
        report(line)
    command = " ".join(shlex.quote(word) for word in order.command)
    _report_prices(prepared, prices)
    report("nothing was submitted" + (f"; command: {command}" if command else ""))
    require_all(prepared)
