"""`mngen timeline`: a job's nodes against time."""

import dataclasses
import json
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from mngen.cli._jobs import JobArgument, SandboxOption, opened_jobs
from mngen.cli._shared import DEFAULT_FILE, FileOption, wants_colour
from mngen.cli._terraform import Format, FormatOption, report
from mngen.errors import InputError


def timeline(
    job: JobArgument,
    svg: Annotated[Path | None, typer.Option("--svg", help="SVG file for the timeline")] = None,
    file: FileOption = DEFAULT_FILE,
    sandbox: SandboxOption = False,
    output_format: FormatOption = Format.PRETTY,
) -> None:
    """Show when each node waited and ran.

    Starts at the submission and ends with the job, or now; the phases within a node are those that
    its wire-up has logged.
    """
    from mngen.timeline import to_svg, to_text

    with opened_jobs(file, sandbox=sandbox) as room:
        found = room.timeline(job)
    if svg is not None:
        try:
            svg.write_text(to_svg(found), encoding="utf-8")
        except OSError as error:
            raise InputError(f"{svg} cannot be written: {error.strerror}") from None
    if output_format is Format.JSON:
        typer.echo(json.dumps(dataclasses.asdict(found), indent=2))
        return
    encoding = (sys.stdout.encoding or "ascii").lower().replace("-", "")
    typer.echo(
        to_text(
            found,
            shutil.get_terminal_size((100, 24)).columns,
            colour=wants_colour(sys.stdout),
            ascii_only=not encoding.startswith("utf"),
        )
    )
    if svg is not None:
        report(f"the picture is in {svg}")
