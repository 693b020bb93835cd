"""From rules and what they match to problems, of whatever kind the rules are."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from mngen.errors import InputError, Problem, Severity, did_you_mean
from mngen.spec import dotted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from mngen.rules._rule import Match, Rule
    from mngen.spec import Document

_RuleClass = TypeVar("_RuleClass", bound="type[Rule]")

_WEIGHT = {severity: weight for weight, severity in enumerate(Severity)}


def at_level(problems: Iterable[Problem], level: Severity | None) -> list[Problem]:
    """Returns the problems that are at least as severe as `level`."""
    return [p for p in problems if level is None or _WEIGHT[p.severity] <= _WEIGHT[level]]


def chosen(rules: Iterable[_RuleClass], skip: Collection[str]) -> list[_RuleClass]:
    """Returns the rules without those to be skipped.

    Raises:
        InputError: `skip` names a rule that there is not.
    """
    refuse_unknown(skip)
    return [rule for rule in rules if rule.id not in skip]


def refuse_unknown(ids: Collection[str]) -> None:
    """Rejects the id of an unknown rule.

    Raises:
        InputError: Names every unknown id, each with the nearest known ones.
    """
    if not ids:
        return
    from mngen.rules._all import RULES

    known = [rule.id for rule in RULES]
    unknown = [
        Problem(
            f"there is no rule `{each}`",
            hint=did_you_mean(each.upper(), known) or "`mngen rules` lists them",
        )
        for each in ids
        if each not in known
    ]
    if unknown:
        raise InputError(*unknown)


def in_order(problem: Problem) -> tuple[int, int, int, str]:
    """A sort key: the place in the file, then the severity, then the rule."""
    position = problem.position
    line, column = (position.line, position.column) if position else (0, 0)
    return (line, column, _WEIGHT[problem.severity], problem.rule or "")


def make_problem(rule: type[Rule], match: Match, document: Document | None) -> Problem:
    """Makes a problem of a match, placed in the document where there is one."""
    problem = Problem(
        match.message,
        severity=rule.severity,
        path=dotted(match.path),
        hint=match.hint or rule.remedy,
        rule=rule.id,
        source_url=rule.source_url,
    )
    if document is None:
        return problem
    return document.locate(problem, match.path, key=match.key)
