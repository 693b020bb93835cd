"""The actions of budgets, which moto does not have: policies that AWS Budgets attaches.

An action is refused for a budget that does not exist, a definition that its type does not have or
that names no one, more addresses than AWS takes, and a role that AWS Budgets may not assume. What a
budget has spent is set by the control of the sandbox; the actions whose threshold that exceeds
attach their policy then, and fail where IAM refuses it or the role may not. Each is executed once,
until it is reset.

Not here: actions that need an approval, policies of an organization, documents of Systems Manager,
and the next period. What is attached stays so if the action is deleted: AWS does not document it.

Source: the model `budgets` of botocore 1.44 and the API reference that is made from it,
https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_budgets_CreateBudgetAction.html,
API_budgets_ExecuteBudgetAction.html, API_budgets_IamActionDefinition.html; the states:
https://docs.aws.amazon.com/cost-management/latest/userguide/budgets-action-review.html. That a role
which cannot be assumed is answered with AccessDeniedException is known from the AWS provider, which
waits for it (`resourceBudgetActionCreate`).

Inferred: which actions are the same for DuplicateRecordException; the words of the refusals.
"""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from operator import eq
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from moto.core.exceptions import JsonRESTError
from moto.iam.exceptions import NoSuchEntity, NotFoundException
from moto.iam.models import iam_backends

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

SERVICE = "budgets.amazonaws.com"

_MOST_EMAILS = 10
_MOST_ATTACHED = 10
"""What IAM attaches to a role, group or user, unless the quota was raised.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
"""
_KINDS = {"Roles": "role", "Groups": "group", "Users": "user"}
_UNDER_WAY = "_IN_PROGRESS"
_NEXT = {
    "RETRY_BUDGET_ACTION": ({"EXECUTION_FAILURE"}, "EXECUTION"),
    "REVERSE_BUDGET_ACTION": ({"EXECUTION_SUCCESS", "REVERSE_FAILURE"}, "REVERSE"),
    "RESET_BUDGET_ACTION": ({"REVERSE_SUCCESS", "RESET_FAILURE"}, "RESET"),
}
"""What can be asked for in which states, and what its own states are called.

The reference names the states and what can be asked for, and not which fits which: the names
suggest it.
"""


class Actions:
    """What AWS Budgets does with the actions of a budget."""

    budgets: Any

    def create_action(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Makes an action that waits for its threshold."""
        action = {
            "ActionId": str(uuid4()),
            "Status": "STANDBY",
            **{key: value for key, value in asked.items() if key not in _ASIDE},
        }
        found = actions_of(self, asked["AccountId"], asked["BudgetName"])
        _require_sound(action, asked)
        told_apart = ("ActionType", "ActionThreshold", "Definition", "NotificationType")
        if any(all(each[key] == action[key] for key in told_apart) for each in found.values()):
            raise JsonRESTError("DuplicateRecordException", "The action already exists")
        found[action["ActionId"]] = action
        tags = {each["Key"]: each["Value"] for each in asked.get("ResourceTags", [])}
        tags_of_action(self, asked["AccountId"], asked["BudgetName"], action["ActionId"]).update(
            tags
        )
        return action

    def change_action(self, asked: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Changes what is named of an action; returns it as it was and as it is."""
        action = action_of(self, asked)
        require_idle(action)
        before = dict(action)
        changed = action | {key: value for key, value in asked.items() if key not in _ASIDE}
        _require_sound(changed, asked)
        action |= changed
        return before, action

    def execute_action(self, asked: dict[str, Any]) -> None:
        """Retries, reverses or resets an action."""
        action, wish = action_of(self, asked), asked["ExecutionType"]
        states, name = _NEXT.get(wish, (set(), ""))
        if action["Status"] not in states:
            raise JsonRESTError(
                "InvalidParameterException",
                f"{wish} is not possible for an action that is {action['Status']}",
            )
        if name == "RESET":
            action["Status"] = "STANDBY"
        else:
            _attach(action, asked["AccountId"], name)


_ASIDE = frozenset({"AccountId", "ActionId", "ResourceTags"})


def actions_of(backend: Any, account: str, budget: str) -> dict[str, dict[str, Any]]:
    """Returns the actions of a budget by their ID; refuses a budget that does not exist."""
    backend.describe_budget(account, budget)
    made = vars(backend.budgets[account][budget])
    found: dict[str, dict[str, Any]] = made.setdefault("actions", {})
    return found


def action_of(backend: Any, asked: dict[str, Any]) -> dict[str, Any]:
    """Returns the action that a request is about; refuses one that does not exist."""
    found = actions_of(backend, asked["AccountId"], asked["BudgetName"])
    if asked["ActionId"] not in found:
        raise JsonRESTError("NotFoundException", "Unable to find the action")
    return found[asked["ActionId"]]


def require_idle(action: dict[str, Any]) -> None:
    """Refuses to touch an action that is being executed."""
    if action["Status"].endswith(_UNDER_WAY):
        raise JsonRESTError("ResourceLockedException", "The action is being executed")


def tags_of_action(backend: Any, account: str, budget: str, action: str) -> dict[str, str]:
    """Returns the tags of an action."""
    made = vars(backend.budgets[account][budget])
    tags: dict[str, dict[str, str]] = made.setdefault("action_tags", {})
    return tags.setdefault(action, {})


def spend(backend: Any, account: str, amounts: Mapping[str, float]) -> None:
    """Sets what budgets have spent, and executes the actions whose threshold that exceeds.

    Args:
        backend: The budgets.
        account: The account.
        amounts: What each has spent, by its name, in its unit.
    """
    for budget, amount in amounts.items():
        found = actions_of(backend, account, budget)
        kept = backend.budgets[account][budget].budget
        limit = kept["BudgetLimit"]
        spent = {"Amount": str(amount), "Unit": limit["Unit"]}
        kept["CalculatedSpend"] = {"ActualSpend": spent}
        for action in found.values():
            threshold = float(action["ActionThreshold"]["ActionThresholdValue"])
            if action["ActionThreshold"]["ActionThresholdType"] == "PERCENTAGE":
                threshold *= float(limit["Amount"]) / 100
            if action["Status"] == "STANDBY" and amount > threshold:
                _attach(action, account, "EXECUTION")


def _require_sound(action: dict[str, Any], asked: dict[str, Any]) -> None:
    definition = action["Definition"].get("IamActionDefinition")
    if (
        action["ActionType"] != "APPLY_IAM_POLICY"
        or definition is None
        or len(action["Definition"]) != 1
    ):
        raise JsonRESTError("InvalidParameterException", "The definition is not of this type")
    named = list(_named(action))
    if not named or any(definition.get(key) == [] for key in _KINDS):
        raise JsonRESTError("InvalidParameterException", "Roles, groups or users must be given")
    emails = [each for each in action["Subscribers"] if each["SubscriptionType"] == "EMAIL"]
    if not action["Subscribers"] or len(emails) > _MOST_EMAILS:
        raise JsonRESTError("InvalidParameterException", "Invalid subscribers")
    arn, account = action["ExecutionRoleArn"], asked["AccountId"]
    role = _role(arn, account)
    source = f"arn:aws:budgets::{account}:budget/{asked['BudgetName']}"
    keys = {"aws:SourceAccount": account, "aws:SourceArn": source}
    if role is None or not any(
        SERVICE in _listed(each["Principal"].get("Service", [])) and _covers(each, _ASSUME, keys)
        for each in _statements(role.assume_role_policy_document)
    ):
        raise JsonRESTError(
            "AccessDeniedException", f"{SERVICE} is not authorized to perform {_ASSUME} on {arn}"
        )


_ASSUME = "sts:AssumeRole"
_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "ArnEquals": fnmatchcase,
    "ArnLike": fnmatchcase,
    "StringEquals": eq,
}


def _role(arn: str, account: str) -> Any:
    backend: Any = iam_backends[account]["aws"]
    return next((each for each in backend.roles.values() if each.arn == arn), None)


def _statements(document: str) -> list[dict[str, Any]]:
    return [each for each in json.loads(document)["Statement"] if each["Effect"] == "Allow"]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _covers(statement: dict[str, Any], action: str, keys: dict[str, str]) -> bool:
    """Whether a statement allows an action with these keys; other operators are not known."""
    return action in _listed(statement["Action"]) and all(
        any(_OPERATORS[operator](keys.get(key, ""), value) for value in _listed(values))
        for operator, conditions in statement.get("Condition", {}).items()
        for key, values in conditions.items()
    )


def _named(action: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields whom an action is about: the kind and the name of each."""
    definition = action["Definition"]["IamActionDefinition"]
    for key, kind in _KINDS.items():
        yield from ((kind, name) for name in definition.get(key) or [])


def _attach(action: dict[str, Any], account: str, what: str) -> None:
    """Attaches the policy of an action, or detaches it, and records whether that worked."""
    backend: Any = iam_backends[account]["aws"]
    policy = action["Definition"]["IamActionDefinition"]["PolicyArn"]
    verb = "detach" if what == "REVERSE" else "attach"
    role = _role(action["ExecutionRoleArn"], account)
    documents = role.policies.values() if role else ()
    allowed = [each for document in documents for each in _statements(document)]
    outcome = "SUCCESS"
    for kind, name in _named(action):
        try:
            one = getattr(backend, f"get_{kind}")(name)
        # IAM knows no such role, group or user.
        except (NoSuchEntity, NotFoundException):
            outcome = "FAILURE"
            continue
        # IAM attaches a policy once, and moto counts twice.
        if (policy in one.managed_policies) == (verb == "attach"):
            continue
        full = verb == "attach" and len(one.managed_policies) >= _MOST_ATTACHED
        asked = f"iam:{verb.capitalize()}{kind.capitalize()}Policy"
        if full or not any(
            _covers(each, asked, {"iam:PolicyARN": policy})
            and any(fnmatchcase(one.arn, pattern) for pattern in _listed(each["Resource"]))
            for each in allowed
        ):
            outcome = "FAILURE"
        else:
            getattr(backend, f"{verb}_{kind}_policy")(policy, name)
    action["Status"] = f"{what}_{outcome}"
