"""The summary of a plan as Markdown, for a comment on a pull request or a merge request.

What comes from the spec or from AWS stands in code spans alone, where GitHub and GitLab take
neither markup nor names of users in it. Source: https://github.github.com/gfm/#code-spans and, for
the pipes of tables, https://github.github.com/gfm/#tables-extension-
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mngen._text import counted, printable
from mngen.terraform._keys import effects_of, value_texts
from mngen.terraform._summary import Change, Kind, PlanSummary
from mngen.terraform._words import detail, stake, tally

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mngen.errors import Problem
    from mngen.spec import KeyChange

_MOST_KEYS = 100
_MOST_RESOURCES = 200
"""A comment of GitHub has at most 65,536 characters; an address rarely has more than 100."""
_MARKS = {
    Kind.REPLACE: "replace",
    Kind.DESTROY: "destroy",
    Kind.UPDATE: "change",
    Kind.CREATE: "add",
    Kind.IMPORT: "import",
    Kind.MOVE: "move",
    Kind.FORGET: "forget",
}

PriceRow = tuple[str, str, str]
"""What has a price, and its price before and after, in words."""


def render_markdown(
    summary: PlanSummary,
    *,
    prices: Sequence[PriceRow] = (),
    price_note: str = "",
    problems: Iterable[Problem] = (),
) -> str:
    """Renders a summary: what is at stake first, the list of resources folded at the end.

    Args:
        summary: What the plan would do.
        prices: What jobs cost at most, and what is billed while none runs.
        price_note: Where the prices are from, in a sentence.
        problems: What is known about jobs that run now, and about what exists on AWS.
    """
    parts = [f"### {tally(summary)}"]
    if summary.at_stake:
        lines = [f"- {_code(each.address)} {stake(each)}" for each in summary.at_stake]
        parts.append(_section("Data or jobs at stake", lines))
    said = [_problem(each) for each in problems]
    if said:
        parts.append(_section("Now on AWS", said))
    parts += _spec(summary)
    if prices:
        rows = [_row(*map(_cell, each)) for each in prices]
        parts.append("\n".join([_row("price", "before", "after"), _row(*["---"] * 3), *rows]))
    if price_note:
        parts.append(price_note)
    if summary.changes:
        parts.append(_resources(summary))
    return "\n\n".join(parts) + "\n"


def _spec(summary: PlanSummary) -> list[str]:
    if not summary.keys:
        return []
    shown = summary.keys[:_MOST_KEYS]
    table = [
        _row("changed in the spec", "before", "after", "effect"),
        _row(*["---"] * 4),
        *(_key(each) for each in shown),
    ]
    if len(summary.keys) > len(shown):
        table.append(_row(f"{len(summary.keys) - len(shown)} more keys", "", "", ""))
    meanings = [f"- **{each}**: {each.meaning}" for each in effects_of(summary.keys)]
    return ["\n".join(table), "\n".join(meanings)]


def _key(change: KeyChange) -> str:
    from mngen.spec import dotted

    before, after = value_texts(change)
    effects = ", ".join(change.effects)
    return _row(*(_cell(each) for each in (dotted(change.path), before, after)), effects)


def _resources(summary: PlanSummary) -> str:
    ordered = [each for kind in _MARKS for each in summary.of(kind)]
    lines = [line for each in ordered[:_MOST_RESOURCES] for line in _resource(each)]
    if len(ordered) > _MOST_RESOURCES:
        lines.append(f"- {len(ordered) - _MOST_RESOURCES} more; `mngen plan` shows them")
    count = counted(len(ordered), "resource")
    return "\n".join(["<details>", f"<summary>{count}</summary>", "", *lines, "", "</details>"])


def _resource(change: Change) -> list[str]:
    more = detail(change)
    if change.kind is Kind.REPLACE:
        more = more.removeprefix("is replaced: ")
    text = f"- **{_MARKS[change.kind]}** {_code(change.address)}"
    if more:
        text += f" {_code(more) if change.kind is Kind.MOVE else more}"
    return [text, *(f"  - {_code(reason)}" for reason in change.reasons)]


def _problem(problem: Problem) -> str:
    place = f"{_code(problem.path)}: " if problem.path else ""
    hint = f" ({_code(problem.hint)})" if problem.hint else ""
    return f"- {place}{_code(problem.message)}{hint}"


def _section(title: str, lines: list[str]) -> str:
    return "\n".join([f"**{title}**", "", *lines])


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    """Returns a text as a code span in a table, where a pipe is the border even in code."""
    return _code(text).replace("|", "\\|") if text else ""


def _code(text: str) -> str:
    """Returns a text as a code span, fenced by more backticks than are in it."""
    text = printable(text).replace("\n", " ")
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{space}{text}{space}{fence}"
