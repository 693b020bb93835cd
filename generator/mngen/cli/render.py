"""`mngen render`: the spec into reviewable Terraform."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mngen.cli._shared import DEFAULT_FILE, FileOption, wants_colour
from mngen.cli._terraform import DEFAULT_OUT, Format, FormatOption, OutOption, report
from mngen.errors import OutOfDateError, Problem, format_problem

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
        bool, typer.Option("--overwrite", help="Overwrite files that were edited by hand")
    ] = False,
    output_format: FormatOption = Format.PRETTY,
) -> None:
    """Render the spec to Terraform.

    The same spec renders to the same bytes. All files are written or none. Files that were edited
    by hand are left alone and listed; your own files in the same folder are never touched.
    """
    from mngen.cli._bake import stale_images_of
    from mngen.render import Deployment
    from mngen.render import render as tree_of
    from mngen.rules import open_cluster

    tree = tree_of(
        open_cluster(file, warn=_warn),
        provider=int(provider.value) if provider else None,
        source=file.name,
    )
    deployment = Deployment(out)
    if check or diff:
        changes = deployment.compare(tree)
    else:
        changes = deployment.write(tree, overwrite=overwrite)
    if output_format is Format.JSON:
        _show_json(changes)
    elif check or diff:
        typer.echo(_coloured(changes.diff), nl=False)
    else:
        report(_summary(changes, len(tree), out))
    for problem in stale_images_of(file, out):
        _warn(problem)
    if check and changes:
        raise OutOfDateError(
            f"{out} is not what {file} renders to: {_counts(changes)}",
            hint=f"run `mngen render --file {file} --out {out}` and commit the result",
        )


def _warn(problem: Problem) -> None:
    report(format_problem(problem, colour=wants_colour(sys.stderr)) + "\n")


def _show_json(changes: "Changes") -> None:
    import msgspec

    typer.echo(msgspec.json.format(msgspec.json.encode(changes)).decode())


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
