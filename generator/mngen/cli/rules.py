"""`mngen rules`: what `mngen check` and `mngen submit` check, and why."""

from pathlib import Path
from typing import Annotated

import typer

from mngen.cli._console import print_json, report
from mngen.cli._options import Format, FormatOption


def rules(
    rule: Annotated[str | None, typer.Argument(help="Rule to explain, such as MN101")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder to write a page for each rule to")
    ] = None,
    output_format: FormatOption = Format.PRETTY,
) -> None:
    """List the rules, or explain one."""
    from mngen.rules import RULES, page_of, write_pages

    if out is not None:
        changed = write_pages(out)
        report(f"{out}: {len(changed)} of {len(RULES) + 1} pages written or removed")
    elif rule is not None:
        typer.echo(page_of(rule.upper()), nl=False)
    elif output_format is Format.JSON:
        print_json([each.as_dict() for each in RULES])
    else:
        for each in RULES:
            typer.echo(f"{each.id}  {each.severity.value:<7}  {each.title}")
