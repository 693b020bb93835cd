"""The summary of a plan as Markdown, for a comment on a pull request or a merge request.

What comes from the spec or from AWS stands in code spans alone, where GitHub and GitLab take
neither markup nor names of users in it, and in the picture. Source:
https://github.github.com/gfm/#code-spans and, for the pipes of tables,
https://github.github.com/gfm/#tables-extension-

Both draw a block of code that is mermaid. Source: https://docs.github.com/en/get-started
(writing-on-github/working-with-advanced-formatting/creating-diagrams) and
https://docs.gitlab.com/user/markdown/#mermaid
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

_MARKER = "<!-- mngen plan -->"
"""By this first line, which no reader sees, a workflow finds the comment that it updates."""
_LONGEST = 65_000
"""A comment of GitHub has at most 65,536 characters; what a workflow adds needs some of them."""
_ROOM = 5_000
"""What is left at least to the list of resources."""
_MOST_RESOURCES = 200
_MOST_LINES = (100, 25, 6)
"""Of every other list; fewer where the comment would be too long with more."""
_MOST_REASONS = 5
_MOST_CHARACTERS = 300
"""Of one text in it."""
_PICTURE = """\
**What changes where**

```mermaid
{}```"""
_NO_PICTURE = "The picture does not fit into a comment; `mngen graph` draws the deployment."
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
    pictures: Iterable[str] = (),
) -> str:
    """Renders a summary: what is at stake first, the list of resources folded at the end.

    Where not all fits into a comment, the picture is left out first. What does not fit then is
    counted: the resources first, then all other lists.

    Args:
        summary: What the plan would do.
        prices: What jobs cost at most, and what is billed while none runs.
        price_note: Where the prices are from, in a sentence.
        problems: What is known about jobs that run now, and about what exists on AWS.
        pictures: The deployment with what changes, as mermaid; the most detailed first.
    """
    said = [_problem(each) for each in problems]

    def fitted(room: int) -> list[str]:
        for most in _MOST_LINES:
            text = "\n\n".join(_parts(summary, prices, price_note, said, most))
            if len(text) < room - _ROOM:
                break
        return [text, *([_resources(summary, room - len(text))] if summary.changes else [])]

    if not summary.changes:
        return "\n\n".join(fitted(_LONGEST)) + "\n"
    blocks = [_PICTURE.format(each) for each in pictures]
    text, resources = fitted(_LONGEST - (len(_NO_PICTURE) if blocks else 0))
    for block in blocks:
        # It takes room from nothing else.
        if fitted(_LONGEST - len(block)) == [text, resources]:
            break
    else:
        block = _NO_PICTURE if blocks else ""
    return "\n\n".join(filter(None, (text, block, resources))) + "\n"


def _parts(
    summary: PlanSummary, prices: Sequence[PriceRow], price_note: str, said: list[str], most: int
) -> list[str]:
    """Returns all but the resources, of each list at most so many lines."""
    parts = [_MARKER, f"### {_short(tally(summary))}"]
    if summary.at_stake:
        lines = [f"- {_code(each.address)} {stake(each)}" for each in summary.at_stake]
        parts.append(_section("Data or jobs at stake", lines, most))
    if said:
        parts.append(_section("Now on AWS", said, most))
    if summary.keys:
        keys = [_key(each) for each in summary.keys]
        parts.append(_table(("changed in the spec", "before", "after", "effect"), keys, most))
        meanings = [f"- **{each}**: {each.meaning}" for each in effects_of(summary.keys)]
        parts.append("\n".join(meanings))
    if prices:
        rows = [_row(*map(_cell, each)) for each in prices]
        parts.append(_table(("price", "before", "after"), rows, most))
    if price_note:
        parts.append(price_note)
    return parts


def _table(titles: Sequence[str], rows: list[str], most: int) -> str:
    lines = [_row(*titles), _row(*["---"] * len(titles)), *rows[:most]]
    if len(rows) > most:
        lines.append(_row(f"{len(rows) - most} more", *[""] * (len(titles) - 1)))
    return "\n".join(lines)


def _key(change: KeyChange) -> str:
    from mngen.spec import dotted

    before, after = value_texts(change)
    effects = ", ".join(change.effects)
    return _row(*(_cell(each) for each in (dotted(change.path), before, after)), effects)


def _resources(summary: PlanSummary, room: int) -> str:
    """Returns the list of the resources, of as many as fit into so many characters."""
    ordered = [each for kind in _MARKS for each in summary.of(kind)]
    head = f"<details>\n<summary>{counted(len(ordered), 'resource')}</summary>\n"
    # What follows the list is shorter.
    room -= len(head) + 100
    lines: list[str] = []
    for number, each in enumerate(ordered):
        own = _resource(each)
        room -= sum(len(line) + 1 for line in own)
        if number == _MOST_RESOURCES or room < 0:
            lines.append(f"- {len(ordered) - number} more; `mngen plan` shows them")
            break
        lines += own
    return "\n".join([head, *lines, "", "</details>"])


def _resource(change: Change) -> list[str]:
    more = detail(change)
    if change.kind is Kind.REPLACE:
        more = more.removeprefix("is replaced: ")
    text = f"- **{_MARKS[change.kind]}** {_code(change.address)}"
    if more:
        text += f" {_code(more) if change.kind is Kind.MOVE else _short(more)}"
    lines = [text, *(f"  - {_code(reason)}" for reason in change.reasons[:_MOST_REASONS])]
    if len(change.reasons) > _MOST_REASONS:
        lines.append(f"  - {len(change.reasons) - _MOST_REASONS} more")
    return lines


def _problem(problem: Problem) -> str:
    place = f"{_code(problem.path)}: " if problem.path else ""
    hint = f" ({_code(problem.hint)})" if problem.hint else ""
    return f"- {place}{_code(problem.message)}{hint}"


def _section(title: str, lines: list[str], most: int) -> str:
    more = [f"- {len(lines) - most} more"] if len(lines) > most else []
    return "\n".join([f"**{title}**", "", *lines[:most], *more])


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    """Returns a text as a code span in a table, where a pipe is the border even in code."""
    return _code(text).replace("|", "\\|") if text else ""


def _code(text: str) -> str:
    """Returns a text as a code span, fenced by more backticks than are in it."""
    text = _short(printable(text).replace("\n", " "))
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{space}{text}{space}{fence}"


def _short(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else text[: _MOST_CHARACTERS - 1] + "…"
