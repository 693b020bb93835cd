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
        Severity, typer.Option("--level", help="The least severity to show.")
    ] = Severity.INFO,
    skip: Annotated[
        list[str] | None, typer.Option("--skip", metavar="ID", help="A rule to leave out.")
    ] = None,
    aws: Annotated[bool, typer.Option("--aws", help="Ask AWS too; only reads.")] = False,
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="Ask the emulated AWS instead of the real one.")
    ] = False,
    out: OutOption = DEFAULT_OUT,
    output: Annotated[
        CheckFormat, typer.Option("--output", help="How problems are shown.")
    ] = CheckFormat.PRETTY,
) -> None:
    """Check the spec by every rule, without AWS or (--aws) with it.

    Exits with 1 if there is an error, and with 3 if there is none but AWS left something
    unanswered. `mngen rules ID` explains a rule.
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
    _show(found, output)
    if found.exit_code:
        raise typer.Exit(found.exit_code)


def _emulated(file: Path) -> "AbstractContextManager[object]":
    from mngen.sandbox import open_sandbox
    from mngen.spec import load

    spec = load(file).spec
    return open_sandbox(tell=report).applied(spec.region if spec else "us-east-1")


def _show(found: "Report", output: CheckFormat) -> None:
    if output is CheckFormat.JSON:
        typer.echo(json.dumps(found.as_dict(), indent=2))
    elif output is CheckFormat.SARIF:
        from mngen.rules import to_sarif

        typer.echo(json.dumps(to_sarif(found.everything), indent=2))
    else:
        if found.everything:
            typer.echo(format_problems(found.everything, colour=wants_colour(sys.stdout)) + "\n")
        typer.echo(found.summary)
