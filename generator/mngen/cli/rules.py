"""`mngen rules`: what `mngen check` and `mngen submit` look at, and why."""

import json
from pathlib import Path
from typing import Annotated

import typer

from mngen.cli._terraform import Format, FormatOption, report


def rules(
    rule: Annotated[str | None, typer.Argument(help="A rule to explain, such as MN101.")] = None,
    write: Annotated[
        Path | None, typer.Option("--write", help="Write a page for each rule into this folder.")
    ] = None,
    output: FormatOption = Format.PRETTY,
) -> None:
    """List the rules of `mngen check` and `mngen submit`, or explain one of them."""
    from mngen.rules import RULES, page_of, write_pages

    if write is not None:
        changed = write_pages(write)
        report(f"{write}: {len(changed)} of {len(RULES) + 1} pages written or removed")
    elif rule is not None:
        typer.echo(page_of(rule.upper()), nl=False)
    elif output is Format.JSON:
        typer.echo(json.dumps([each.as_dict() for each in RULES], indent=2))
    else:
        for each in RULES:
            typer.echo(f"{each.id}  {each.severity.value:<7}  {each.title}")
