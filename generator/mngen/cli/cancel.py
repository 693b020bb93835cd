"""`mngen cancel`: a job, stopped."""

from typing import Annotated

import typer

from mngen.cli._console import ask, print_json, report, require_terminal
from mngen.cli._options import (
    DEFAULT_FILE,
    FileOption,
    Format,
    FormatOption,
    JobArgument,
    SandboxOption,
    YesOption,
)
from mngen.cli._session import opened_jobs


def cancel(
    job: JobArgument,
    reason: Annotated[
        str, typer.Option("--reason", help="Reason that AWS Batch records")
    ] = "cancelled with mngen cancel",
    yes: YesOption = False,
    file: FileOption = DEFAULT_FILE,
    sandbox: SandboxOption = False,
    output_format: FormatOption = Format.PRETTY,
) -> None:
    """Cancel a job on all its nodes."""
    if not yes:
        require_terminal(f"run mngen status {job} to see the job")
    with opened_jobs(file, sandbox=sandbox) as opened:
        if not yes:
            found = opened.status(job, why=False, instances=False)
            nodes = f" on {len(found.nodes)} nodes" if len(found.nodes) > 1 else ""
            ask(f"Cancel {found.name}, which is {found.state}{nodes}?")
        ended = opened.cancel(job, reason or "cancelled with mngen cancel")
        if output_format is Format.JSON:
            print_json({"id": job, "ended": ended})
        else:
            report("The job is being cancelled." if ended else "The job has already finished.")
