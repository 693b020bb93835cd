"""The report `adoption.md`: a line for each value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen._text import replaced
from mngen.adoption._lines import Line, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mngen.adoption._inventory import Inventory


def report_text(inventory: Inventory, lines: tuple[Line, ...]) -> str:
    """Returns the report as Markdown."""
    counts = ", ".join(
        f"{sum(line.outcome is outcome for line in lines)} {outcome.value}" for outcome in Outcome
    )
    text = [
        f"# What mngen import made of {_inline(inventory.source)}",
        "",
        f"{counts}. *Kept* means the same as before; *cannot* has no place in a spec.",
        "",
    ]
    text += _section("What may break a job", [line for line in lines if line.breaks])
    for outcome in Outcome:
        text += _section(
            outcome.value.capitalize(),
            [line for line in lines if line.outcome is outcome and not line.breaks],
        )
    return "\n".join(text)


def line_text(line: Line) -> str:
    """Returns a line as a person reads it: outcome, where from, where to, why, what to do."""
    target = f" -> {line.spec}" if line.spec else ""
    todo = f"; {line.todo}" if line.todo else ""
    return f"{line.outcome.value}: {line.place.file}#{line.place.pointer}{target}: {line.why}{todo}"


def _section(title: str, lines: Iterable[Line]) -> list[str]:
    rows = [_row(line) for line in lines]
    return [f"## {title}", "", *rows, ""] if rows else []


def _row(line: Line) -> str:
    place = f"{_code(line.place.file)} {_code(line.place.pointer or '/')}"
    target = f" → {_code(line.spec)}" if line.spec else ""
    todo = f" **{_inline(line.todo[0].upper() + line.todo[1:])}.**" if line.todo else ""
    return f"- {line.outcome.value}: {place}{target}: {_inline(line.why)}.{todo}"


def _code(text: str) -> str:
    # A span of code ends at a backtick.
    return "`" + replaced(text).replace("`", "'") + "`"


def _inline(text: str) -> str:
    return replaced(text).replace("<", "&lt;").replace("*", "\\*")
