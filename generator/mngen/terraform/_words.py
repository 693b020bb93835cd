"""What a plan does, in words: one source for the terminal and for a comment on a pull request."""

from __future__ import annotations

from mngen._text import printable
from mngen.terraform._summary import Change, Kind, PlanSummary

_VERBS = {Kind.DESTROY: "destroyed", Kind.REPLACE: "replaced", Kind.UPDATE: "changed"}


def detail(change: Change) -> str:
    """Returns what happens to a resource beyond its kind; empty for nothing."""
    if change.kind is Kind.UPDATE and change.attributes:
        return f"({', '.join(change.attributes)})"
    if change.kind is Kind.REPLACE:
        return (
            "is replaced: the new one is made before the old one is destroyed"
            if change.create_before_destroy
            else "is replaced: the old one is destroyed before the new one is made"
        )
    if change.kind is Kind.MOVE:
        return f"(was {printable(change.previous_address or '')})"
    if change.kind is Kind.FORGET:
        return "(left as it is, and no longer managed)"
    return ""


def stake(change: Change) -> str:
    """Returns what a change that is at stake does to data or jobs, without its address."""
    return f"is {_VERBS[change.kind]}: {change.consequence}"


def tally(summary: PlanSummary) -> str:
    """Returns how many resources a plan adds, changes, replaces and destroys, in a sentence."""
    if not summary.changes:
        if summary.keys and not summary.outputs:
            return "No resource changes; the record of the spec changes."
        if summary.outputs:
            names = ", ".join(printable(name) for name in summary.outputs)
            return f"No resource changes; outputs change: {names}"
        return "No changes: the deployment matches the configuration."
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
    return "Plan: " + ", ".join(parts) + "."
