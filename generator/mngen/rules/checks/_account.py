"""Judges a cluster by every rule that asks AWS."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mngen._aws import client, translated
from mngen.account import Account
from mngen.errors import Problem, ToolError
from mngen.rules.account import AWS_RULES
from mngen.rules.checks._judge import chosen, in_order, make_problem

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from mngen.cluster import AmiRecord, Cluster
    from mngen.rules.account._rule import AwsRule
    from mngen.spec import Document


@dataclass(frozen=True, slots=True)
class Answers:
    """What AWS answered.

    Attributes:
        problems: What the rules found, in the order of the file.
        unanswered: What AWS did not answer: one problem for each reason.
    """

    problems: tuple[Problem, ...]
    unanswered: tuple[Problem, ...]


def check_aws(
    cluster: Cluster,
    *,
    skip: Collection[str] = (),
    document: Document | None = None,
    images: Mapping[str, AmiRecord] | None = None,
    connect: Callable[[str, str], Any] = client,
) -> Answers:
    """Returns what is wrong with a cluster on the account that the environment's credentials open.

    A rule that AWS does not answer (no permission, throttled) hides no other: it is reported among
    `unanswered`, and the rest is judged.

    Args:
        cluster: A cluster without errors; see `require`.
        skip: Ids of rules to leave out.
        document: The spec's document, for the places of the problems; None without one.
        images: The record of the AMIs that were baked, by the images' names; None for
            none.
        connect: Makes a boto3 client of a service and a region, for example from another session.

    Raises:
        InputError: `skip` names a rule that there is not.
    """
    account = Account(cluster, images or {}, connect)
    problems: list[Problem] = []
    failed: dict[Problem, list[str]] = {}
    for rule in chosen(AWS_RULES, skip):
        try:
            with translated():
                problems += [
                    make_problem(rule, match, document, cluster.spec)
                    for match in rule.matches(account)
                ]
        except ToolError as error:
            for problem in error.problems:
                failed.setdefault(problem, []).append(rule.id)
    return Answers(
        tuple(sorted(problems, key=in_order)),
        tuple(_unanswered(problem, ids) for problem, ids in failed.items()),
    )


def aws_calls(rules: Collection[type[AwsRule]] = AWS_RULES) -> tuple[str, ...]:
    """Returns the IAM actions that the rules need, sorted, each once."""
    return tuple(sorted({call for rule in rules for call in rule.calls}))


def _unanswered(problem: Problem, ids: list[str]) -> Problem:
    """Names the rules that could not be checked for the same reason."""
    others = f" (also not checked: {', '.join(ids[1:])})" if len(ids) > 1 else ""
    return replace(problem, rule=ids[0], message=problem.message + others)
