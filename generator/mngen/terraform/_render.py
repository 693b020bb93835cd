"""The summary of a plan as coloured text for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen._text import printable
from mngen.terraform._keys import effects_of, key_text
from mngen.terraform._summary import Change, Kind, PlanSummary
from mngen.terraform._words import detail, stake, tally

if TYPE_CHECKING:
    from rich.text import Text

_MARKS = {
    Kind.CREATE: ("+", "green"),
    Kind.IMPORT: ("<", "green"),
    Kind.MOVE: (">", "cyan"),
    Kind.FORGET: (".", "cyan"),
    Kind.UPDATE: ("~", "yellow"),
    Kind.DESTROY: ("-", "red"),
    Kind.REPLACE: ("!", "bold red"),
}


def render_summary(summary: PlanSummary) -> Text:
    """Renders a summary: one line a resource, the most dangerous changes last.

    Returns:
        Lines joined by newlines. Print it with `soft_wrap=True`: addresses must not be cut.
    """
    from rich.text import Text

    lines = [line for kind in _MARKS for change in summary.of(kind) for line in _lines(change)]
    lines += _spec_lines(summary)
    if summary.at_stake:
        lines += [Text(""), Text("Data or jobs at stake:", style="bold red")]
        lines += [_stake_line(change) for change in summary.at_stake]
    if lines:
        lines.append(Text(""))
    lines.append(_tally(summary))
    return Text("\n").join(lines)


def _spec_lines(summary: PlanSummary) -> list[Text]:
    from rich.text import Text

    if not summary.keys:
        return []
    return [
        Text(""),
        Text("Changed in the spec since the last apply:", style="bold"),
        *(Text(f"  {key_text(each)}") for each in summary.keys),
        Text(""),
        *(Text(f"  {each}: {each.meaning}") for each in effects_of(summary.keys)),
    ]


def _lines(change: Change) -> list[Text]:
    from rich.text import Text

    mark, style = _MARKS[change.kind]
    more = detail(change)
    head = f"{mark} {printable(change.address)}"
    if more:
        head += f"  {more}"
    return [
        Text(head, style=style),
        *(Text(f"    {reason}", style=style) for reason in change.reasons),
    ]


def _stake_line(change: Change) -> Text:
    from rich.text import Text

    return Text(f"  {printable(change.address)} {stake(change)}", style="bold red")


def _tally(summary: PlanSummary) -> Text:
    from rich.text import Text

    return Text(tally(summary), style="bold")
