"""The budget of a deployment that mngen made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mngen.cluster import names
from mngen.spec import Budget

if TYPE_CHECKING:
    from collections.abc import Callable

    Connect = Callable[[str, str], Any]

_ALERTS = Budget(monthly=1, emails=()).alerts


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
    return section
