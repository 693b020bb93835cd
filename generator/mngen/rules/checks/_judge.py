"""From rules and what they match to problems, of whatever kind the rules are."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from mngen._json_text import pointer
from mngen.errors import InputError, Problem, Severity, did_you_mean
from mngen.spec import JobFromFile, dotted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from mngen.rules._rule import Match, Rule
    from mngen.spec import Document, Spec

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


def make_problem(
    rule: type[Rule], match: Match, document: Document | None, spec: Spec | None = None
) -> Problem:
    """Makes a problem of a match, placed where its value is.

    Args:
        rule: The rule.
        match: What it found.
        document: The spec's document; None if the place does not matter, or there is none.
        spec: The spec, for values from the files that define jobs;
            None if the match is of none of them.
    """
    problem = Problem(
        match.message,
        severity=rule.severity,
        path=dotted(match.path),
        hint=match.hint or rule.remedy,
        rule=rule.id,
        source_url=rule.source_url,
    )
    in_file = _in_definition(problem, match, spec) if spec else None
    if in_file is not None or document is None:
        return in_file or problem
    return document.locate(problem, match.path, key=match.key)


def _in_definition(problem: Problem, match: Match, spec: Spec) -> Problem | None:
    """Returns the problem of a value from a job's definition, placed there; None of any other."""
    section, name, key, *below = (*match.path, "", "", "")[: max(3, len(match.path))]
    job = spec.jobs.get(str(name)) if section == "jobs" else None
    if not isinstance(job, JobFromFile):
        return None
    path = tuple(below) if key == "definition" and below else job.paths.get(str(key))
    if path is None:
        return None
    # The rule's own remedy is about the key.
    hint = problem.hint if match.hint or below else f"change it in {job.definition}"
    message = f"{pointer(path)}: {problem.message}"
    moved = replace(problem, message=message, path=f"jobs.{name}.definition", hint=hint)
    return job.from_file.locate(moved, path)
