"""`mngen cancel`: end a job."""

from typing import Annotated

import typer

from mngen.cli._jobs import JobArgument, SandboxOption, opened_jobs, show_json
from mngen.cli._shared import DEFAULT_FILE, FileOption
from mngen.cli._terraform import (
    Format,
    FormatOption,
    YesOption,
    ask,
    report,
    require_someone_to_ask,
)


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
        require_someone_to_ask()
    with opened_jobs(file, sandbox=sandbox) as room:
        if not yes:
            found = room.status(job, why=False, instances=False)
            nodes = f" on {len(found.nodes)} nodes" if len(found.nodes) > 1 else ""
            ask(f"End {found.name}, which is {found.state}{nodes}?")
        ended = room.cancel(job, reason or "cancelled with mngen cancel")
        if output_format is Format.JSON:
            show_json({"id": job, "ended": ended})
        else:
            report("The job is being ended." if ended else "The job had ended already.")
