"""Refuses a plan after which submissions that a budget denies could not be allowed again.

AWS Budgets detaches a policy from those whom its action names, when the action is reversed. AWS
does not document that it does so if the action is deleted, or is changed to name others. So both
are refused while the policy is attached.
Source: https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_budgets_DeleteBudgetAction.html,
https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_budgets_UpdateBudgetAction.html
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mngen._aws import client, translate
from mngen._budget_action import attached_to, detach_command, execute_command, named_in
from mngen.errors import InputError, Problem, Severity
from mngen.terraform._missing import region_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mngen.terraform._plan import Plan

_ACTION = "aws_budgets_budget_action"
_DETACHED = frozenset({"PENDING", "REVERSE_SUCCESS", "STANDBY"})
_REVERSIBLE = frozenset({"EXECUTION_SUCCESS", "REVERSE_FAILURE"})
_UNDER_WAY = "_IN_PROGRESS"
"""States of an action.

Source: https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_budgets_Action.html
"""


def refuse_denied(plan: Plan, connect: Callable[[str, str], Any] = client) -> None:
    """Refuses a plan that deletes or changes an action whose policy is attached.

    AWS is asked only for such a plan. Its own record of the action may be that of the last apply.

    Args:
        plan: The plan.
        connect: Makes a boto3 client of a service and a region.

    Raises:
        InputError: The policy is attached to someone whom the action names, or AWS does not show
            to whom; the hint has the command that detaches it.
    """
    problems = [replace(each, severity=Severity.ERROR) for each in denials(plan, connect)]
    if problems:
        raise InputError(*problems)


def denials(plan: Plan, connect: Callable[[str, str], Any] = client) -> Iterator[Problem]:
    """Yields a warning for an action that a plan must not delete or change for now.

    Args:
        plan: The plan.
        connect: Makes a boto3 client of a service and a region.
    """
    region = region_of(plan.data)
    for each in plan.data.get("resource_changes", []):
        if region is None or not _ends(each):
            continue
        status, denied, unknown = _asked(each["change"]["before"], region, connect)
        if status.endswith(_UNDER_WAY):
            yield Problem(
                "AWS Budgets is attaching or detaching the policy of the budget",
                severity=Severity.WARNING,
                path=each["address"],
                hint="run the command again in a few minutes",
            )
        elif denied:
            yield _problem(each, status, sorted(denied), unknown)


def _asked(
    before: Mapping[str, Any], region: str, connect: Callable[[str, str], Any]
) -> tuple[str, set[tuple[str, str]], str]:
    """Asks AWS about an action.

    Returns:
        Its state, who of those it names has its policy, and why that is not known, if so.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    policy, named = _definition(before)
    status = str(before.get("status"))
    try:
        status = connect("budgets", region).describe_budget_action(
            AccountId=before["account_id"],
            BudgetName=before["budget_name"],
            ActionId=before["action_id"],
        )["Action"]["Status"]
        if status not in _DETACHED and not status.endswith(_UNDER_WAY):
            named &= {*attached_to(connect("iam", region), policy)}
    except (BotoCoreError, ClientError) as error:
        why = f" (cannot check who has the policy: {translate(error).problems[0].message})"
        return status, set() if status in _DETACHED else named, why
    return status, set() if status in _DETACHED else named, ""


def _ends(resource: Mapping[str, Any]) -> bool:
    """Whether a planned change deletes an action, or changes by what AWS Budgets detaches."""
    change = resource["change"]
    before, after = change.get("before"), change.get("after")
    if resource["type"] != _ACTION or not before:
        return False
    if after is None or _definition(before) != _definition(after):
        return True
    return any(before[key] != after.get(key) for key in ("budget_name", "execution_role_arn"))


def _definition(values: Mapping[str, Any]) -> tuple[Any, set[tuple[str, str]]]:
    """Returns the policy of an action, None if it is not known yet, and whom the action names."""
    for outer in values.get("definition") or ():
        for definition in outer.get("iam_action_definition") or ():
            return definition.get("policy_arn"), named_in(definition)
    return None, set()


def _problem(
    resource: Mapping[str, Any], status: str, denied: list[tuple[str, str]], unknown: str
) -> Problem:
    before = resource["change"]["before"]
    policy, _ = _definition(before)
    who = ", ".join(f"{kind} {name}" for kind, name in denied)
    verb = "delete" if resource["change"].get("after") is None else "change"
    if status in _REVERSIBLE:
        first = "allow them first"
        action = before["account_id"], before["budget_name"], before["action_id"]
        commands = [execute_command(*action, "REVERSE")]
    else:
        first = "let an IAM administrator detach the policy first"
        commands = [detach_command(kind, name, policy) for kind, name in denied]
    return Problem(
        f"the budget denies submissions to {who}{unknown}: this plan would {verb} the action that "
        "allows them again",
        severity=Severity.WARNING,
        path=resource["address"],
        hint="\n  ".join([f"{first}, then run the command again:", *commands]),
    )
