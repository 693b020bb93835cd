"""The action of a budget: whom its policy denies submissions, and the commands that end that."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_KINDS = ("role", "group", "user")


def execute_command(account: str, budget: str, action: str, wish: str) -> str:
    """Returns the AWS CLI's command that executes an action.

    Args:
        account: The account of the budget.
        budget: Name of the budget.
        action: ID of the action.
        wish: `REVERSE`, `RESET` or `RETRY`.
    """
    return (
        f"aws budgets execute-budget-action --account-id {account} --budget-name {budget} "
        f"--action-id {action} --execution-type {wish}_BUDGET_ACTION"
    )


def action_arn(partition: str, account: str, budget: str, action: str) -> str:
    """Returns the ARN of an action.

    Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsbudgetservice.html

    Args:
        partition: The partition of AWS.
        account: The account of the budget.
        budget: Name of the budget.
        action: ID of the action.
    """
    return f"arn:{partition}:budgets::{account}:budget/{budget}/action/{action}"


def detach_command(kind: str, name: str, policy: str) -> str:
    """Returns the AWS CLI's command that detaches a policy.

    Args:
        kind: `role`, `group` or `user`.
        name: Its name, without a path.
        policy: ARN of the policy.
    """
    return f"aws iam detach-{kind}-policy --{kind}-name {name} --policy-arn {policy}"


def detach_commands(policy: str) -> list[str]:
    """Returns the command of each kind that detaches a policy, for a name to be filled in."""
    return [detach_command(kind, kind.upper(), policy) for kind in _KINDS]


def named_in(definition: dict[str, Any]) -> set[tuple[str, str]]:
    """Returns whom an action names: the kind and the name of each.

    Args:
        definition: `IamActionDefinition` of AWS Budgets, or `iam_action_definition` of Terraform.
    """
    values = {key.lower(): value for key, value in definition.items()}
    return {(kind, name) for kind in _KINDS for name in values.get(f"{kind}s") or ()}


def attached_to(iam: Any, policy: str) -> Iterator[tuple[str, str]]:
    """Yields to whom a policy is attached: the kind and the name of each; none if it is gone.

    Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListEntitiesForPolicy.html

    Args:
        iam: A client of IAM.
        policy: ARN of the policy.

    Raises:
        botocore.exceptions.ClientError: IAM refused the call.
    """
    pages = iam.get_paginator("list_entities_for_policy").paginate(PolicyArn=policy)
    with suppress(iam.exceptions.NoSuchEntityException):
        for page in pages:
            for kind in _KINDS:
                key = kind.capitalize()
                yield from ((kind, each[f"{key}Name"]) for each in page[f"Policy{key}s"])
