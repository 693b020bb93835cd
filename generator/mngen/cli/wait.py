"""`mngen wait`: until a job has finished."""

from typing import Annotated

import typer

from mngen.cli._console import print_json, report
from mngen.cli._options import (
    DEFAULT_FILE,
    FileOption,
    Format,
    FormatOption,
    JobArgument,
    SandboxOption,
)
from mngen.cli._session import opened_jobs

_FAILED = 1


def wait(
    job: JobArgument,
    timeout: Annotated[
        float | None, typer.Option("--timeout", min=0, help="Timeout in seconds")
    ] = None,
    file: FileOption = DEFAULT_FILE,
    sandbox: SandboxOption = False,
    output_format: FormatOption = Format.PRETTY,
) -> None:
    """Wait until a job has finished.

    Ctrl-C stops waiting; the job continues. Exit codes: 0 the job succeeded, 1 it failed or was
    cancelled, 3 it timed out or AWS does not answer.
    """
    with opened_jobs(file, sandbox=sandbox) as opened:
        try:
            found = opened.wait(job, timeout=timeout)
        except KeyboardInterrupt:
            report(f"the job continues; to wait again: mngen wait {job}")
            raise
    if output_format is Format.JSON:
        print_json(found)
    elif found.exit_code is not None:
        report(f"exit code {found.exit_code}")
    if found.state != "SUCCEEDED":
        raise typer.Exit(_FAILED)
