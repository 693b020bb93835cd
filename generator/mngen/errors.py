"""What went wrong, where, and what to do: one type for every problem, one renderer for people.

A `Problem` is a value: rules, the spec loader and the tools all produce them, and collect them
rather than stopping at the first. An exception carries a tuple of problems to the command line,
which prints them and exits with the exception's code.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

from mngen._text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

_MAX_SOURCE_WIDTH = 120
_LINES = "\n"


class Severity(StrEnum):
    """How much a problem matters; the order of definition is the order of weight."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a text file: line and column, both counted from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, in the user's words.

    Attributes:
        message: What is wrong, one sentence, no final stop needed.
        severity: Error, warning or info.
        path: The place in the spec in dotted form, such as `environments.r5.instance`.
        file: The file that holds the problem, as the user named it.
        position: Line and column in `file`.
        source_line: The text of that line, for the caret.
        hint: What to do about it.
        rule: The id of the rule that found it, such as `MN104`.
        source_url: Where the fact behind the rule is documented.
    """

    message: str
    severity: Severity = Severity.ERROR
    path: str = ""
    file: str | None = None
    position: Position | None = None
    source_line: str | None = None
    hint: str | None = None
    rule: str | None = None
    source_url: str | None = None

    def at(self, file: str, position: Position | None, source_line: str | None) -> Problem:
        """Returns the same problem, placed in a file."""
        return replace(self, file=file, position=position, source_line=source_line)

    def as_dict(self) -> dict[str, object]:
        """Returns the problem as JSON-ready data, without the keys that have no value."""
        data: dict[str, object] = {
            "severity": self.severity.value,
            "rule": self.rule,
            "message": self.message,
            "path": self.path or None,
            "file": self.file,
            "line": self.position.line if self.position else None,
            "column": self.position.column if self.position else None,
            "hint": self.hint,
            "source_url": self.source_url,
        }
        return {key: value for key, value in data.items() if value is not None}


class MngenError(Exception):
    """Base of every error that mngen raises on purpose.

    Attributes:
        problems: What went wrong; at least one.
        exit_code: What the command line exits with.
    """

    exit_code: ClassVar[int] = 3

    def __init__(self, *problems: Problem | str, hint: str | None = None) -> None:
        self.problems: tuple[Problem, ...] = tuple(
            Problem(problem, hint=hint) if isinstance(problem, str) else problem
            for problem in problems
        )
        super().__init__("; ".join(problem.message for problem in self.problems))


class InputError(MngenError):
    """The user's input is wrong or a check found an error: exit code 1."""

    exit_code = 1


class ToolError(MngenError):
    """AWS, Terraform or another tool failed or is missing: exit code 3."""

    exit_code = 3


class OutOfDateError(MngenError):
    """The rendered tree is not what the spec renders to: exit code 4."""

    exit_code = 4


class InterruptedRunError(MngenError):
    """The user interrupted a step that had to clean up first: exit code 130."""

    exit_code = 130


def nearest(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Returns up to `count` known names that look like `name`, the likeliest first.

    Near is what a third of the letters, or one, would mend, and what is only cut short: `gpus` is
    not a misspelt `vcpus`.
    """
    names = list(known)
    alike = difflib.get_close_matches(name, names, n=len(names) or 1, cutoff=0.6)
    most = max(1, len(name) // 3)
    near = [
        each
        for each in alike
        if each.startswith(name) or _slips(name.casefold(), each.casefold()) <= most
    ]
    return near[:count]


def _slips(first: str, second: str) -> int:
    """Counts the letters to insert, remove, replace or swap with the next, from one to the other.

    That is the restricted Damerau-Levenshtein distance.
    """
    before: list[int] = []
    last: list[int] = []
    row = list(range(len(second) + 1))
    for number, letter in enumerate(first, 1):
        before, last, row = last, row, [number]
        for place, other in enumerate(second, 1):
            cost = min(last[place] + 1, row[-1] + 1, last[place - 1] + (letter != other))
            swapped = place > 1 and number > 1 and letter == second[place - 2]
            if swapped and first[number - 2] == other:
                cost = min(cost, before[place - 2] + 1)
            row.append(cost)
    return row[-1]


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """Returns a hint naming the known names nearest to `name`, or None where none is near."""
    near = nearest(name, known)
    if not near:
        return None
    return "did you mean " + " or ".join(f"`{candidate}`" for candidate in near) + "?"


_COLOURS = {Severity.ERROR: "31", Severity.WARNING: "33", Severity.INFO: "36"}


def format_problem(problem: Problem, *, colour: bool = False) -> str:
    """Renders one problem for a person: severity, message, place, source line, caret, hint."""

    def paint(code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if colour else text

    label = problem.severity.value + (f"[{problem.rule}]" if problem.rule else "")
    said = printable(problem.message, keep=_LINES)
    lines = [f"{paint('1;' + _COLOURS[problem.severity], label)}: {said}"]
    gutter = ""
    if problem.file is not None:
        place = printable(problem.file, keep=_LINES)
        if problem.position is not None:
            place += f":{problem.position.line}:{problem.position.column}"
        if problem.path:
            place += f" ({_on_one_line(problem.path)})"
        lines.append(f"  {paint('34', '-->')} {place}")
    elif problem.path:
        lines.append(f"  {paint('34', '-->')} {_on_one_line(problem.path)}")
    if problem.position is not None and problem.source_line is not None:
        number = str(problem.position.line)
        gutter = " " * len(number)
        text, caret = _window(problem.source_line, problem.position.column)
        lines.append(f"{paint('34', number + ' |')} {text}")
        lines.append(f"{paint('34', gutter + ' |')} {paint('1;31', ' ' * caret + '^')}")
    if problem.hint:
        lines.append(f"  {paint('32', 'help')}: {printable(problem.hint, keep=_LINES)}")
    if problem.source_url:
        lines.append(f"  {paint('34', 'see')}: {problem.source_url}")
    return "\n".join(lines)


def format_problems(problems: Iterable[Problem], *, colour: bool = False) -> str:
    """Renders problems for a person, a blank line between them."""
    return "\n\n".join(format_problem(problem, colour=colour) for problem in problems)


def _on_one_line(text: str) -> str:
    shown = printable(text, keep="")
    return shown if len(shown) <= _MAX_SOURCE_WIDTH else shown[: _MAX_SOURCE_WIDTH - 1] + "…"


def _window(line: str, column: int) -> tuple[str, int]:
    """Cuts a long line to the part around the caret; returns it and the caret's offset."""
    offset = column - 1
    start = 0
    if offset > _MAX_SOURCE_WIDTH * 2 // 3:
        start = offset - _MAX_SOURCE_WIDTH // 2
    shown = line[start : start + _MAX_SOURCE_WIDTH].replace("\t", " ")
    head = "…" if start else ""
    tail = "…" if start + _MAX_SOURCE_WIDTH < len(line) else ""
    caret = len(head) + sum(len(printable(char, keep="")) for char in shown[: offset - start])
    return head + printable(shown, keep="") + tail, caret
