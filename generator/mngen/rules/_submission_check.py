"""Judges a submission by every rule of its kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen._aws import translated
from mngen.errors import ToolError
from mngen.rules._aws_registry import SUBMISSION_RULES
from mngen.rules._check import make_problem

if TYPE_CHECKING:
    from mngen.errors import Problem
    from mngen.rules._submission import Target


def check_submission(target: Target) -> tuple[Problem, ...]:
    """Returns all that speaks against a submission.

    A rule that AWS does not answer, for lack of permission, say, is left out: Batch itself judges
    the request in the end.

    Args:
        target: What is about to be submitted, and where it would go.

    Raises:
        ToolError: AWS answers no rule that asks it: nothing can be submitted either.
    """
    problems: list[Problem] = []
    refused: list[ToolError] = []
    asked = 0
    for rule in SUBMISSION_RULES:
        asked += bool(rule.calls)
        try:
            with translated():
                problems += [make_problem(rule, match, None) for match in rule.matches(target)]
        except ToolError as error:
            refused.append(error)
    if refused and len(refused) == asked:
        raise refused[0]
    return tuple(problems)


def submission_calls() -> tuple[str, ...]:
    """Returns the IAM actions that the rules of a submission need, sorted, each once."""
    return tuple(sorted({call for rule in SUBMISSION_RULES for call in rule.calls}))
