"""Judges a submission by every rule of its kind."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from mngen._aws import translated
from mngen.errors import ToolError
from mngen.rules._aws_registry import SUBMISSION_RULES, WAITING_RULES
from mngen.rules._check import make_problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mngen.errors import Problem
    from mngen.rules._submission import SubmissionRule, Target


def check_submission(target: Target, *, offline: bool = False) -> tuple[Problem, ...]:
    """Returns all that speaks against a submission.

    A rule that AWS does not answer, for lack of permission, say, is left out: Batch itself judges
    the request in the end.

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


def check_waiting(target: Target) -> tuple[Problem, ...]:
    """Returns what the rules say of a job that waits: those of a submission, and some of AWS's.

    A rule that AWS does not answer is left out.

    Args:
        target: The job as if it were about to be submitted.
    """
    problems = list(_judged(SUBMISSION_RULES, target, []))
    for rule in WAITING_RULES:
        with suppress(ToolError), translated():
            problems += [make_problem(rule, match, None) for match in rule.matches(target.account)]
    return tuple(problems)


def submission_calls() -> tuple[str, ...]:
    """Returns the IAM actions that judging jobs needs, before and after they are submitted."""
    calls = {call for rule in SUBMISSION_RULES for call in rule.calls}
    return tuple(sorted(calls.union(*(rule.calls for rule in WAITING_RULES))))


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
