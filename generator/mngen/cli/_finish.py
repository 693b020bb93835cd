"""`mngen import --finish`: delete what is left of the old setup, after asking."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from mngen._text import printable
from mngen.cli._console import ask, print_json, report, require_terminal
from mngen.cli._options import Format
from mngen.cli._session import account_of

if TYPE_CHECKING:
    from mngen.adoption import Finish, Leftover, Part
    from mngen.errors import Problem


def finish(
    file: Path,
    out: Path,
    *,
    yes: bool,
    dry_run: bool,
    sandbox: bool,
    output_format: Format,
    timeout: float | None = None,
) -> None:
    """Shows what is left of the old setup, asks, and deletes it; a failure does not stop the rest.

    Args:
        file: The spec.
        out: The rendered tree.
        yes: Whether to go on without asking.
        dry_run: Whether to show only.
        sandbox: Whether to use the emulated AWS.
        output_format: How to show it.
        timeout: Seconds to wait for jobs, in all; None for an hour.

    Raises:
        InputError: As for `Finish.plan`.
        ToolError: Parts could not be deleted; carries every such problem.
    """
    from mngen.adoption import LONGEST_WAIT, Fate, Finish
    from mngen.errors import ToolError

    if not (yes or dry_run):
        require_terminal("--dry-run shows what would be deleted")
    work = Finish(file, out, take_imports=not sandbox)
    with account_of(work.spec.region, sandbox=sandbox):
        parts = work.plan()
        pretty = output_format is Format.PRETTY
        if pretty:
            for each in parts:
                typer.echo(_text(each))
        failures: list[Problem] = []
        todo = [each for each in parts if each.fate is Fate.DELETE]
        if todo and not dry_run:
            if not yes:
                for each in () if pretty else todo:
                    # JSON is printed at the end; the question is about these.
                    report(_text(each))
                ask("Delete these, as soon as no job runs on them?")
            limit = LONGEST_WAIT if timeout is None else timeout
            failures = _delete(work, parts, limit, pretty=pretty)
        left = work.leftovers(parts)
    if pretty:
        _show(left, done=all(each.fate in (Fate.GONE, Fate.DELETED) for each in parts))
    else:
        print_json({"parts": parts, "left": left})
    if failures:
        raise ToolError(*dict.fromkeys(failures))


def _delete(
    work: "Finish", parts: "list[Part]", timeout: float, *, pretty: bool
) -> "list[Problem]":
    """Deletes parts and puts in place of each what became of it; returns what failed."""
    from mngen.adoption import Fate

    failures: list[Problem] = []
    numbers = {each.id: number for number, each in enumerate(parts)}
    try:
        for part, problems in work.run(list(parts), timeout=timeout):
            parts[numbers[part.id]] = part
            failures += problems
            if pretty:
                typer.echo(_text(part))
            elif part.fate is Fate.FAILED:
                # JSON is printed at the end, which an interrupted run does not reach.
                report(_text(part))
    except KeyboardInterrupt:
        report("interrupted; to continue: mngen import --finish")
        raise
    return failures


def _text(part: "Part") -> str:
    why = f": {part.why}" if part.why else ""
    return printable(f"{part.fate.value}: {part.what} ({part.id}){why}")


def _show(left: "list[Leftover]", *, done: bool) -> None:
    if left:
        typer.echo("mngen does not delete these. If nothing else uses them, run:")
    for each in left:
        typer.echo(printable(f"  {each.what}: {each.command}"))
    if done:
        report("adoption.md and adoption.json are no longer needed")
