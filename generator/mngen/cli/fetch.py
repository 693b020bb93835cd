"""`mngen fetch`: the outputs of jobs, downloaded or copied."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mngen._text import counted
from mngen.cli._console import print_json, progress_of, report, report_problem
from mngen.cli._options import DEFAULT_FILE, FileOption, Format, FormatOption, SandboxOption
from mngen.cli._session import opened_jobs

if TYPE_CHECKING:
    from mngen.jobs import Fetched

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

    If outputs are incomplete, what there is of them is downloaded, and the exit code is 3.
    """
    from mngen.jobs import folder_name

    many = len(jobs) > 1
    found = []
    with opened_jobs(file, sandbox=sandbox) as opened, progress_of("files") as progress:
        # Nothing is downloaded before all of them are found.
        for outputs in [opened.find_outputs(job, attempt=attempt) for job in dict.fromkeys(jobs)]:
            folder = (to or Path()) / folder_name(outputs.id) if many or to is None else to
            fetched = opened.fetch(outputs, folder, force=force, progress=progress)
            found.append(fetched)
            if output_format is not Format.JSON:
                _show(fetched, outputs.source)
    if output_format is Format.JSON:
        print_json(found)
    for each in found:
        if not each.complete:
            _warn(each)
    if not all(each.complete for each in found):
        raise typer.Exit(_INCOMPLETE)


def _show(fetched: "Fetched", source: str | None) -> None:
    if fetched.folder is None:
        report(f"{fetched.id}: the job wrote no files to {source}")
        return
    files = counted(fetched.files, "file")
    links = f"; {fetched.left_out} links and special files left out" if fetched.left_out else ""
    report(f"{fetched.folder}: {files}, {fetched.bytes} bytes from {fetched.url}{links}")


def _warn(fetched: "Fetched") -> None:
    from mngen.errors import Problem, Severity

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
