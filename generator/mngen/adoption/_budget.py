"""The budget of a deployment that mngen made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mngen._budget_action import action_arn
from mngen.cluster import DEPLOYMENT_TAG, names
from mngen.spec import Budget, DenySubmit

if TYPE_CHECKING:
    from collections.abc import Callable

    Connect = Callable[[str, str], Any]

_ALERTS = Budget(monthly=1, emails=()).alerts
_AT = DenySubmit().at


def budget_of(name: str, region: str, connect: Connect) -> dict[str, Any]:
    """Returns the section `budget` of a deployment; empty if it has none or AWS does not offer one.

    Args:
        name: Name of the deployment.
        region: AWS region.
        connect: Makes a client of a service in a region.

    Raises:
        botocore.exceptions.ClientError: AWS refused a call.
    """
    if names.partition_of(region) in names.WITHOUT_BUDGETS:
        return {}
    budgets = connect("budgets", region)
    account = connect("sts", region).get_caller_identity()["Account"]
    named = {"AccountId": account, "BudgetName": names.budget(name, region)}
    try:
        found = budgets.describe_budget(**named)["Budget"]
    except budgets.exceptions.NotFoundException:
        return {}
    emails: set[str] = set()
    alerts: set[int] = set()
    for each in budgets.describe_notifications_for_budget(**named)["Notifications"]:
        alerts.add(round(each["Threshold"]))
        subscribers = budgets.describe_subscribers_for_notification(**named, Notification=each)
        emails |= {
            one["Address"]
            for one in subscribers["Subscribers"]
            if one["SubscriptionType"] == "EMAIL"
        }
    if not emails:
        return {}
    section: dict[str, Any] = {
        "monthly": round(float(found["BudgetLimit"]["Amount"])),
        "emails": sorted(emails),
    }
    if alerts != set(_ALERTS):
        section["alerts"] = sorted(alerts)
    if denied := _denied(name, region, budgets, connect("iam", region), named):
        section["deny_submit"] = denied
    return section


def _denied(
    name: str, region: str, budgets: Any, iam: Any, named: dict[str, str]
) -> dict[str, Any]:
    """Returns who may no longer submit beyond the budget; empty if no one is denied.

    The budget may have actions of others: that of the deployment has its tag.
    """
    partition, account, budget = names.partition_of(region), named["AccountId"], named["BudgetName"]
    for action in budgets.describe_budget_actions_for_budget(**named)["Actions"]:
        arn = action_arn(partition, account, budget, action["ActionId"])
        tags = budgets.list_tags_for_resource(ResourceARN=arn)["ResourceTags"]
        if {"Key": DEPLOYMENT_TAG, "Value": name} not in tags:
            continue
        definition, role = action["Definition"]["IamActionDefinition"], action["ExecutionRoleArn"]
        policy = definition["PolicyArn"]
        denied = {
            key.lower(): sorted(definition[key])
            for key in ("Roles", "Groups", "Users")
            if definition.get(key)
        }
        role_name = role.rpartition("/")[2]
        if role_name.startswith(names.budget_role(name)):
            denied |= _with_paths(iam.get_role_policy(RoleName=role_name, PolicyName="attach"))
        else:
            denied["role"] = role
        if not policy.rpartition("/")[2].startswith(names.deny_submit_policy(name)):
            denied["policy"] = policy
        at = round(action["ActionThreshold"]["ActionThresholdValue"])
        return ({} if at == _AT else {"at": at}) | denied
    return {}


def _with_paths(policy: dict[str, Any]) -> dict[str, list[str]]:
    """Returns whom the role of AWS Budgets reaches: its policy has the paths, the action names."""
    found: dict[str, list[str]] = {}
    for statement in policy["PolicyDocument"]["Statement"]:
        for arn in statement["Resource"]:
            kind, _, name = arn.split(":", 5)[5].partition("/")
            found.setdefault(f"{kind}s", []).append(name)
    return {kind: sorted(each) for kind, each in found.items()}
