"""`mngen timeline`: a job's nodes against time."""

import dataclasses
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from mngen.cli._console import print_json, report, wants_colour, write_picture
from mngen.cli._options import (
    DEFAULT_FILE,
    FileOption,
    Format,
    FormatOption,
    JobArgument,
    SandboxOption,
)
from mngen.cli._session import opened_jobs


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

    with opened_jobs(file, sandbox=sandbox) as opened:
        found = opened.timeline(job)
    if svg is not None:
        write_picture(svg, to_svg(found))
    if output_format is Format.JSON:
        print_json(dataclasses.asdict(found))
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
        report(f"timeline: {svg}")
