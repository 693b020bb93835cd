"""`mngen fetch`: the outputs of jobs, downloaded or copied."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mngen._text import counted
from mngen.cli._console import print_json, progress_of, report, report_problem
from mngen.cli._options import DEFAULT_FILE, FileOption, Format, FormatOption, SandboxOption
from mngen.cli._session import opened_jobs
from mngen.errors import Problem, Severity

if TYPE_CHECKING:
    from mngen.jobs import Fetched, Jobs
    from mngen.jobs._outputs import Outputs

_INCOMPLETE = 3


def fetch(
    jobs: Annotated[list[str], typer.Argument(metavar="ID", help="Job IDs")],
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="FOLDER", help="Folder; of several jobs, their folders"),
    ] = None,
    attempt: Annotated[
        int | None, typer.Option("--attempt", min=1, help="Attempt; by default the last one")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite files in an existing folder")
    ] = False,
    file: FileOption = DEFAULT_FILE,
    sandbox: SandboxOption = False,
    output_format: FormatOption = Format.PRETTY,
) -> None:
    """Fetch the outputs of jobs.

    They are what the job had in the folder `outputs` of the spec when its command ended: in the
    bucket, or without one on the shared file system, if that is mounted on this machine. By
    default they go to a new folder named after the job ID. It appears once it is complete; to
    continue after an interruption, repeat the command.

    Of an array, the folder has one for each of its jobs, named after its index.

    If outputs are incomplete, what there is of them is downloaded, and the exit code is 3.
    """
    found = []
    with opened_jobs(file, sandbox=sandbox) as opened, progress_of("files") as progress:
        # Nothing is downloaded before all of them are found.
        wanted, problems = _find(opened, list(dict.fromkeys(jobs)), to, attempt)
        for outputs, folder in wanted:
            fetched = opened.fetch(outputs, folder, force=force, progress=progress)
            found.append(fetched)
            if output_format is not Format.JSON:
                _show(fetched, outputs.source)
    if output_format is Format.JSON:
        print_json(found)
    for each in found:
        if not each.complete:
            _warn(each)
    for problem in problems:
        report_problem(replace(problem, severity=Severity.WARNING))
    if problems or not all(each.complete for each in found):
        raise typer.Exit(_INCOMPLETE)


def _find(
    opened: "Jobs", jobs: list[str], to: Path | None, attempt: int | None
) -> "tuple[list[tuple[Outputs, Path]], list[Problem]]":
    """Returns all outputs with their folders, and why jobs of arrays have none."""
    from mngen.jobs import folder_name

    found: list[tuple[Outputs, Path]] = []
    problems: list[Problem] = []
    for job in jobs:
        array = opened.find_array_outputs(job, attempt=attempt)
        if array is None:
            outputs = opened.find_outputs(job, attempt=attempt)
            found.append((outputs, _folder(to, folder_name(outputs.id), many=len(jobs) > 1)))
            continue
        folder = _folder(to, array.id, many=len(jobs) > 1)
        found += [(each, folder / each.id.rpartition(":")[2]) for each in array.jobs]
        problems += array.problems
    return found, problems


def _folder(to: Path | None, name: str, *, many: bool) -> Path:
    return (to or Path()) / name if many or to is None else to


def _show(fetched: "Fetched", source: str | None) -> None:
    if fetched.folder is None:
        report(f"{fetched.id}: the job wrote no files to {source}")
        return
    files = counted(fetched.files, "file")
    links = f"; {fetched.left_out} links and special files left out" if fetched.left_out else ""
    report(f"{fetched.folder}: {files}, {fetched.bytes} bytes from {fetched.url}{links}")


def _warn(fetched: "Fetched") -> None:
    if fetched.missing:
        problem = Problem(
            f"{fetched.missing} files of job `{fetched.id}` are no longer in {fetched.url}",
            severity=Severity.WARNING,
            hint="a lifecycle rule of the bucket, or someone, has deleted them",
        )
    else:
        problem = Problem(
            f"the upload of job `{fetched.id}` was not finished: files may be missing",
            severity=Severity.WARNING,
            hint=f"mngen logs {fetched.id} shows why",
        )
    report_problem(problem)
