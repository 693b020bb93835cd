"""The summary of a plan as coloured text for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen._text import printable
from mngen.terraform._keys import effects_of, key_text
from mngen.terraform._summary import Change, Kind, PlanSummary

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
_VERBS = {Kind.DESTROY: "destroyed", Kind.REPLACE: "replaced", Kind.UPDATE: "changed"}


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
    head = f"{mark} {printable(change.address)}"
    if change.kind is Kind.UPDATE and change.attributes:
        head += f"  ({', '.join(change.attributes)})"
    elif change.kind is Kind.REPLACE:
        head += (
            "  is replaced: the new one is made before the old one is destroyed"
            if change.create_before_destroy
            else "  is replaced: the old one is destroyed before the new one is made"
        )
    elif change.kind is Kind.MOVE:
        head += f"  (was {printable(change.previous_address or '')})"
    elif change.kind is Kind.FORGET:
        head += "  (left as it is, and no longer managed)"
    return [
        Text(head, style=style),
        *(Text(f"    {reason}", style=style) for reason in change.reasons),
    ]


def _stake_line(change: Change) -> Text:
    from rich.text import Text

    verb = _VERBS[change.kind]
    return Text(f"  {printable(change.address)} is {verb}: {change.consequence}", style="bold red")


def _tally(summary: PlanSummary) -> Text:
    from rich.text import Text

    if not summary.changes:
        if summary.keys and not summary.outputs:
            return Text("No resource changes; the record of the spec changes.", style="bold")
        if summary.outputs:
            names = ", ".join(printable(name) for name in summary.outputs)
            return Text(f"No resource changes; outputs change: {names}", style="bold")
        return Text("No changes: the deployment matches the configuration.", style="bold")
    counts = (
        (summary.added, "to add"),
        (summary.changed, "to change"),
        (summary.replaced, "to replace"),
        (summary.destroyed, "to destroy"),
    )
    rare = (
        (summary.of(Kind.IMPORT), "to import"),
        (summary.of(Kind.MOVE), "to move"),
        (summary.of(Kind.FORGET), "to forget"),
    )
    parts = [f"{len(changes)} {word}" for changes, word in counts]
    parts += [f"{len(changes)} {word}" for changes, word in rare if changes]
    return Text("Plan: " + ", ".join(parts) + ".", style="bold")
