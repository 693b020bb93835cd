"""`mngen check`: the spec against every rule, before it costs anything."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mngen.cli._console import print_json, wants_colour
from mngen.cli._options import DEFAULT_FILE, DEFAULT_OUT, FileOption, OutOption
from mngen.cli._session import account_of, stale_amis
from mngen.errors import Severity, format_problems

if TYPE_CHECKING:
    from mngen.rules import Report


class CheckFormat(StrEnum):
    """Output formats of problems."""

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
    from mngen.rules import at_level, check_file

    with account_of(_region(file) if sandbox else None, sandbox=sandbox):
        found = check_file(
            file,
            skip=frozenset(each.upper() for each in skip or ()),
            level=level,
            aws=aws or sandbox,
            out=out,
        )
    if not found.count(Severity.ERROR):
        found = found.with_more(at_level(stale_amis(file, out), level))
    _show(found, output_format)
    if found.exit_code:
        raise typer.Exit(found.exit_code)


def _region(file: Path) -> str | None:
    from mngen.spec import load

    spec = load(file).spec
    return spec.region if spec else None


def _show(found: "Report", output_format: CheckFormat) -> None:
    if output_format is CheckFormat.JSON:
        print_json(found.as_dict())
    elif output_format is CheckFormat.SARIF:
        from mngen.rules import to_sarif

        print_json(to_sarif(found.everything))
    else:
        if found.everything:
            typer.echo(format_problems(found.everything, colour=wants_colour(sys.stdout)) + "\n")
        typer.echo(found.summary)
