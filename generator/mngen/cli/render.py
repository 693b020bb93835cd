"""`mngen render`: the spec into reviewable Terraform."""

import sys
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mngen.cli._console import print_json, report, report_problem, wants_colour
from mngen.cli._options import (
    DEFAULT_FILE,
    DEFAULT_OUT,
    FileOption,
    Format,
    FormatOption,
    OutOption,
)
from mngen.cli._session import stale_amis
from mngen.errors import OutOfDateError, Severity

if TYPE_CHECKING:
    from mngen.render import Changes


class Provider(StrEnum):
    """Major versions of the Terraform AWS provider."""

    FIVE = "5"
    SIX = "6"


def render(
    file: FileOption = DEFAULT_FILE,
    out: OutOption = DEFAULT_OUT,
    provider: Annotated[
        Provider | None,
        typer.Option(help="Major version of the AWS provider; default: the spec's"),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit with 4 if anything would change")
    ] = False,
    diff: Annotated[
        bool, typer.Option("--diff", help="Write nothing; show what would change")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Overwrite hand-edited files, or another deployment")
    ] = False,
    output_format: FormatOption = Format.PRETTY,
) -> None:
    """Render the spec to Terraform.

    The same spec renders to the same bytes. All files are written or none; after a kill, Terraform
    refuses the folder until the next render completes it. Files that were edited by hand are left
    alone and listed; your own files in the same folder are never touched.
    """
    from mngen.render import Deployment
    from mngen.render import render as tree_of
    from mngen.rules import open_cluster

    tree = tree_of(
        open_cluster(file, warn=report_problem),
        provider=int(provider.value) if provider else None,
        source=file.name,
    )
    deployment = Deployment(out)
    if check or diff:
        changes = deployment.compare(tree)
    else:
        changes = deployment.write(tree, overwrite=overwrite, diff=output_format is Format.JSON)
    if output_format is Format.JSON:
        print_json(changes)
    elif check or diff:
        typer.echo(_coloured(changes.diff), nl=False)
    else:
        report(_summary(changes, len(tree), out))
    for problem in stale_amis(file, out):
        # A bake mends what is an error to `check`, and needs the tree that was written.
        error = problem.severity is Severity.ERROR
        report_problem(replace(problem, severity=Severity.WARNING) if error else problem)
    if check and changes:
        raise OutOfDateError(
            f"{out} does not match {file}: {_counts(changes)}",
            hint=f"run mngen render --file {file} --out {out} and commit the result",
        )


def _coloured(diff: str) -> str:
    if not wants_colour(sys.stdout):
        return diff
    colours = {"+": typer.colors.GREEN, "-": typer.colors.RED, "@": typer.colors.CYAN}
    return "".join(
        typer.style(line, fg=colours.get(line[:1])) for line in diff.splitlines(keepends=True)
    )


def _counts(changes: "Changes") -> str:
    parts = [
        f"{len(paths)} {word}"
        for word, paths in (
            ("added", changes.added),
            ("changed", changes.changed),
            ("removed", changes.removed),
        )
        if paths
    ]
    return ", ".join(parts)


def _summary(changes: "Changes", total: int, out: Path) -> str:
    if not changes:
        return f"{out}: {total} files, up to date"
    return f"{out}: {total} files, {_counts(changes)}\nnext: mngen plan --out {out}"
