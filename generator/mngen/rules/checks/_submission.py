"""Judges a submission by every rule of its kind."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mngen._aws import translated
from mngen.errors import Severity, ToolError
from mngen.rules._rule import Waiting
from mngen.rules.account import AWS_RULES
from mngen.rules.checks._judge import make_problem
from mngen.rules.submission import SUBMISSION_RULES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mngen.account import Target
    from mngen.errors import Problem
    from mngen.rules.account import AwsRule
    from mngen.rules.submission import SubmissionRule


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a submitted job may wait.

    Attributes:
        problem: What a rule found.
        certain: Whether the job waits until it is solved.
    """

    problem: Problem
    certain: bool


def check_submission(target: Target, *, offline: bool = False) -> tuple[Problem, ...]:
    """Returns all that speaks against a submission.

    A rule that AWS does not answer, for example for lack of permission, is left out: Batch itself
    checks the request in the end.

    Args:
        target: What is about to be submitted, and where it would go.
        offline: Whether to leave out the rules that ask AWS.

    Raises:
        ToolError: AWS answers no rule that asks it: nothing can be submitted either.
    """
    rules = [rule for rule in SUBMISSION_RULES if not (offline and rule.calls)]
    refused: list[ToolError] = []
    problems = tuple(_judged(rules, target, refused))
    if refused and len(refused) == sum(bool(rule.calls) for rule in rules):
        raise refused[0]
    return problems


def check_waiting(target: Target) -> tuple[Obstacle, ...]:
    """Returns what the rules find about a job that waits: those that matter to it.

    A rule that AWS does not answer is left out.

    Args:
        target: The job as if it were about to be submitted.
    """
    found: list[Obstacle] = []
    for rule in SUBMISSION_RULES:
        if rule.waiting is not Waiting.NOTHING:
            found += (_obstacle(rule, each) for each in _judged([rule], target, []))
    for asking in _waiting_rules():
        with suppress(ToolError), translated():
            problems = [make_problem(asking, each, None) for each in asking.matches(target.account)]
            found += (_obstacle(asking, each) for each in problems)
    return tuple(found)


def submission_calls() -> tuple[str, ...]:
    """Returns the IAM actions that judging jobs needs, before and after they are submitted."""
    calls = {call for rule in SUBMISSION_RULES for call in rule.calls}
    return tuple(sorted(calls.union(*(rule.calls for rule in _waiting_rules()))))


def _waiting_rules() -> list[type[AwsRule]]:
    """Returns the rules that ask AWS and matter to a job that waits."""
    return [rule for rule in AWS_RULES if rule.waiting is not Waiting.NOTHING]


def _obstacle(rule: type[AwsRule | SubmissionRule], problem: Problem) -> Obstacle:
    certain = problem.severity is Severity.ERROR and rule.waiting is Waiting.CAUSE
    return Obstacle(problem, certain)


def _judged(
    rules: Iterable[type[SubmissionRule]], target: Target, refused: list[ToolError]
) -> Iterator[Problem]:
    for rule in rules:
        try:
            with translated():
                found = [make_problem(rule, match, None) for match in rule.matches(target)]
        except ToolError as error:
            refused.append(error)
        else:
            yield from found
