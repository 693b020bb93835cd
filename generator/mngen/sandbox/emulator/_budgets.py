"""AWS Budgets: what moto lacks of it.

Here budgets are changed in place and have tags, alerts have the subscribers that they were made
with, and are refused beyond AWS's limits and for a budget name that AWS does not take.

Not here: costs. Nothing is ever spent, and no alert is sent.

Source: the model `budgets` of botocore 1.44 and the API reference that is made from it,
https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_budgets_Notification.html
("A budget can have up to ten notifications", "up to 10 email subscribers"),
API_budgets_CreateBudget.html (BudgetName), API_budgets_UpdateBudget.html.
"""

from __future__ import annotations

import json
import re
from typing import Any

from moto.budgets.models import BudgetsBackend
from moto.budgets.responses import BudgetsResponse
from moto.core.exceptions import JsonRESTError

from mngen.sandbox.emulator._patch import patch

_CREATE: Any = BudgetsBackend.create_budget
_NOTIFY: Any = BudgetsBackend.create_notification

_NAME = re.compile(r"(?!.*/action/)[^:\\\\]{1,100}")
_MOST = 10


class Backend:
    """What AWS Budgets keeps."""

    budgets: Any

    def create_budget(
        self, account_id: str, budget: dict[str, Any], notifications: list[dict[str, Any]]
    ) -> None:
        """Makes a budget, unless its name is not valid."""
        if not _NAME.fullmatch(budget["BudgetName"]):
            raise JsonRESTError("InvalidParameterException", "Invalid budget name")
        _CREATE(self, account_id, budget, notifications)

    def create_notification(
        self,
        account_id: str,
        budget_name: str,
        notification: dict[str, Any],
        subscribers: list[dict[str, Any]],
    ) -> None:
        """Adds an alert to a budget, up to the most that it takes."""
        found = self.budgets[account_id].get(budget_name)
        emails = [each for each in subscribers if each["SubscriptionType"] == "EMAIL"]
        if (found and len(found.notifications) >= _MOST) or len(emails) > _MOST:
            raise JsonRESTError("CreationLimitExceededException", "Limit exceeded")
        if not subscribers:
            raise JsonRESTError("InvalidParameterException", "Subscribers cannot be empty")
        _NOTIFY(self, account_id, budget_name, notification, subscribers)


class Answers:
    """What AWS Budgets answers."""

    backend: Any
    body: Any

    def create_budget(self) -> str:
        """Makes a budget with its tags."""
        asked = json.loads(self.body)
        name = asked["Budget"]["BudgetName"]
        self.backend.create_budget(
            asked["AccountId"], asked["Budget"], asked.get("NotificationsWithSubscribers", [])
        )
        made = self.backend.budgets[asked["AccountId"]][name]
        made.tags = {each["Key"]: each["Value"] for each in asked.get("ResourceTags", [])}
        return "{}"

    def update_budget(self) -> str:
        """Replaces what a budget is, except its alerts."""
        asked = json.loads(self.body)
        new = asked["NewBudget"]
        self.backend.describe_budget(asked["AccountId"], new["BudgetName"])
        self.backend.budgets[asked["AccountId"]][new["BudgetName"]].budget |= new
        return "{}"

    def describe_subscribers_for_notification(self) -> str:
        """Lists who gets an alert."""
        asked = json.loads(self.body)
        self.backend.describe_budget(asked["AccountId"], asked["BudgetName"])
        found = self.backend.budgets[asked["AccountId"]][asked["BudgetName"]].notifications
        wanted = _told_apart(asked["Notification"])
        for each in found:
            if _told_apart(each.details) == wanted:
                return json.dumps({"Subscribers": each.subscribers})
        raise JsonRESTError("NotFoundException", "Unable to find the notification")

    def list_tags_for_resource(self) -> str:
        """Lists the tags of a budget."""
        tags = self._tags(json.loads(self.body)["ResourceARN"])
        listed = [{"Key": key, "Value": value} for key, value in tags.items()]
        return json.dumps({"ResourceTags": listed})

    def tag_resource(self) -> str:
        """Adds tags to a budget."""
        asked = json.loads(self.body)
        tags = self._tags(asked["ResourceARN"])
        tags |= {each["Key"]: each["Value"] for each in asked["ResourceTags"]}
        return "{}"

    def untag_resource(self) -> str:
        """Takes tags from a budget."""
        asked = json.loads(self.body)
        tags = self._tags(asked["ResourceARN"])
        for key in asked["ResourceTagKeys"]:
            tags.pop(key, None)
        return "{}"

    def _tags(self, arn: str) -> Any:
        *_, account, resource = arn.split(":")
        name = resource.removeprefix("budget/")
        self.backend.describe_budget(account, name)
        return self.backend.budgets[account][name].tags


def _told_apart(notification: dict[str, Any]) -> tuple[Any, ...]:
    """Returns what distinguishes an alert from the others of its budget."""
    return (
        notification["NotificationType"],
        notification["ComparisonOperator"],
        float(notification["Threshold"]),
        notification.get("ThresholdType", "PERCENTAGE"),
    )


def close() -> None:
    """Puts these in the place of moto's own, or beside them."""
    patch(BudgetsBackend, Backend)
    patch(
        BudgetsResponse,
        Answers,
        adds=(
            *("_tags", "describe_subscribers_for_notification", "list_tags_for_resource"),
            *("tag_resource", "untag_resource", "update_budget"),
        ),
    )
