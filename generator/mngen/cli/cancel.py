"""`mngen cancel`: a job, stopped, or all that a filter lists."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mngen._text import counted
from mngen.cli._console import ask, print_json, progress_of, report, require_terminal
from mngen.cli._jobs import moment
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
    YesOption,
    parse_pair,
)
from mngen.cli._session import opened_jobs

if TYPE_CHECKING:
    from mngen.jobs import Jobs, JobStatus, JobSummary

_REASON = "cancelled with mngen cancel"


def cancel(
    job: Annotated[str | None, typer.Argument(metavar="[ID]", help="Job ID")] = None,
    reason: Annotated[
        str, typer.Option("--reason", help="Reason that AWS Batch records")
    ] = _REASON,
    status: JobStatusOption = None,
    queue: JobQueueOption = None,
    name: JobNameOption = None,
    since: JobSinceOption = None,
    tag: JobTagOption = None,
    yes: YesOption = False,
    file: FileOption = DEFAULT_FILE,
    sandbox: SandboxOption = False,
    output_format: FormatOption = Format.PRETTY,
) -> None:
    """Cancel a job, or all that a filter lists.

    The filters are those of `mngen jobs`: --name 'run-*' cancels all jobs of the sweep `run` that
    have not finished. AWS Batch may cancel a PENDING job only when the jobs that it depends on have
    finished. An array is cancelled with all its jobs; `ID:INDEX` cancels one of them.

    If some jobs cannot be cancelled, they are listed, and the exit code is 3.
    """
    filtered = any(each is not None for each in (queue, name, since)) or bool(status or tag)
    if (job is not None) == filtered:
        raise typer.BadParameter(
            "pass a job ID, or filters such as --name 'run-*'"
            if job is None
            else "not with filters: pass a job ID or filters",
            param_hint="ID",
        )
    json_wanted = output_format is Format.JSON
    if job is not None:
        _cancel_one(job, reason or _REASON, file, yes=yes, sandbox=sandbox, json_wanted=json_wanted)
        return
    if not yes:
        require_terminal("run mngen jobs with the same options to see the jobs")
    with opened_jobs(file, sandbox=sandbox) as opened:
        states = [each.upper() for each in status or ()]
        found = opened.list(
            queue=queue,
            states=states,
            name=name,
            since=moment(since),
            tags=dict(parse_pair(each, "--tag") for each in tag or ()),
        )
        # An array with some jobs in the state is another state's as a whole, and stays.
        unfinished = [
            each
            for each in found
            if each.state not in ("SUCCEEDED", "FAILED") and (not states or each.state in states)
        ]
        _cancel_all(opened, unfinished, reason or _REASON, yes=yes, json_wanted=json_wanted)


def _cancel_one(
    job: str, reason: str, file: Path, *, yes: bool, sandbox: bool, json_wanted: bool
) -> None:
    if not yes:
        require_terminal(f"run mngen status {job} to see the job")
    with opened_jobs(file, sandbox=sandbox) as opened:
        if not yes:
            found = opened.status(job, why=False, instances=False)
            nodes = f" on {len(found.nodes)} nodes" if len(found.nodes) > 1 else ""
            jobs = "" if found.size is None else f", an array of {_left(found)}"
            ask(f"Cancel {found.name}, which is {found.state}{nodes}{jobs}?")
        ended = opened.cancel(job, reason)
        if json_wanted:
            print_json({"id": job, "ended": ended})
            return
        report("The job is being cancelled." if ended else "The job has already finished.")
        if ended and opened.status(job, why=False, instances=False).state == "PENDING":
            for cause in opened.status(job, instances=False).causes:
                report(cause.what)
                report(f"help: {cause.remedy}")


def _cancel_all(
    opened: "Jobs", found: "list[JobSummary]", reason: str, *, yes: bool, json_wanted: bool
) -> None:
    from mngen.cli.jobs import show_jobs
    from mngen.jobs import NotCancelledError

    if not found:
        if json_wanted:
            print_json([])
        else:
            report("No unfinished jobs found.")
        return
    arrays = [each for each in found if each.size is not None]
    many = f" ({counted(sum(map(_jobs_left, arrays)), 'job')} in arrays)" if arrays else ""
    count = counted(len(found), "job") + many
    if not yes:
        show_jobs(found, err=True)
        ask(f"Cancel {'this job' if len(found) == 1 else f'these {count}'}?")
    try:
        with progress_of("jobs") as progress:
            opened.cancel_many(found, reason, progress)
    except NotCancelledError as error:
        if json_wanted:
            print_json([_entry(each.id, error.refused.get(each.id)) for each in found])
        raise
    if json_wanted:
        print_json([_entry(each.id) for each in found])
    else:
        are = "is" if len(found) == 1 else "are"
        report(f"{count} {are} being cancelled.")
    _report_awaited(found)


def _jobs_left(array: "JobSummary | JobStatus") -> int:
    """Returns how many jobs of an array have not finished."""
    from mngen.jobs import UNFINISHED

    if not array.children:
        return array.size or 0
    return sum(array.children.get(state, 0) for state in UNFINISHED)


def _left(array: "JobStatus") -> str:
    left = _jobs_left(array)
    return f"{array.size} jobs" if left == array.size else f"{array.size} jobs, {left} unfinished"


def _report_awaited(cancelled: "list[JobSummary]") -> None:
    """Reports which jobs cancelled PENDING jobs wait for that are not cancelled themselves."""
    ids = {each.id for each in cancelled}
    awaited = {one.id: one.name for each in cancelled for one in each.awaits if one.id not in ids}
    if not awaited:
        return
    report(
        "AWS Batch may cancel PENDING jobs only when the jobs that they depend on have finished. "
        "To cancel these as well:"
    )
    for job, name in awaited.items():
        report(f"mngen cancel {job}  # {name}")


def _entry(job: str, refused: str | None = None) -> dict[str, str | bool]:
    """Returns what `--format json` shows of a job, and the reason if it could not be cancelled."""
    return {"id": job, "ended": refused is None, **({"reason": refused} if refused else {})}
