"""`mngen check`: every rule that can be known before money is spent."""

import json
import sys
from contextlib import nullcontext
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mngen.cli._shared import DEFAULT_FILE, FileOption, wants_colour
from mngen.cli._terraform import DEFAULT_OUT, OutOption, report
from mngen.errors import Severity, format_problems

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from mngen.rules import Report


class CheckFormat(StrEnum):
    """How problems are shown."""

    PRETTY = "pretty"
    JSON = "json"
    SARIF = "sarif"


def check(
    file: FileOption = DEFAULT_FILE,
    level: Annotated[
        Severity, typer.Option("--level", help="Lowest severity to show")
    ] = Severity.INFO,
    skip: Annotated[
        list[str] | None, typer.Option("--skip", metavar="ID", help="Rule to skip; repeatable")
    ] = None,
    aws: Annotated[
        bool, typer.Option("--aws", help="Also check the AWS account; read-only")
    ] = False,
    sandbox: Annotated[bool, typer.Option("--sandbox", help="Use the emulated AWS")] = False,
    out: OutOption = DEFAULT_OUT,
    output_format: Annotated[
        CheckFormat, typer.Option("--format", help="Output format")
    ] = CheckFormat.PRETTY,
) -> None:
    """Check the spec against every rule.

    With --aws, rules that read the AWS account are checked too. Exit codes: 1 if there is an error,
    3 if there is none but AWS could not answer everything. `mngen rules ID` explains a rule.
    """
    from mngen.cli._bake import stale_images_of
    from mngen.rules import at_level, check_file

    with _emulated(file) if sandbox else nullcontext():
        found = check_file(
            file,
            skip=frozenset(each.upper() for each in skip or ()),
            level=level,
            aws=aws or sandbox,
            out=out,
        )
    if not found.count(Severity.ERROR):
        found = found.with_more(at_level(stale_images_of(file, out), level))
    _show(found, output_format)
    if found.exit_code:
        raise typer.Exit(found.exit_code)


def _emulated(file: Path) -> "AbstractContextManager[object]":
    from mngen.sandbox import open_sandbox
    from mngen.spec import load

    spec = load(file).spec
    return open_sandbox(tell=report).applied(spec.region if spec else "us-east-1")


def _show(found: "Report", output_format: CheckFormat) -> None:
    if output_format is CheckFormat.JSON:
        typer.echo(json.dumps(found.as_dict(), indent=2))
    elif output_format is CheckFormat.SARIF:
        from mngen.rules import to_sarif

        typer.echo(json.dumps(to_sarif(found.everything), indent=2))
    else:
        if found.everything:
            typer.echo(format_problems(found.everything, colour=wants_colour(sys.stdout)) + "\n")
        typer.echo(found.summary)
