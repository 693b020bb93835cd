"""AWS Budgets: what moto lacks of it.

Here budgets are changed in place and have tags, alerts have the subscribers that they were made
with, and are refused beyond AWS's limits and for a budget name that AWS does not take.

Not here: costs, and no alert is sent. What a budget has spent is set by the sandbox's control, for
its actions (`_budget_actions`).

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

from mngen.sandbox.emulator._budget_actions import (
    Actions,
    action_of,
    actions_of,
    require_idle,
    tags_of_action,
)
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
        """Replaces what a budget is, except its alerts.

        Its costs drop to 0 until AWS has new usage data (API_budgets_UpdateBudget).
        """
        asked = json.loads(self.body)
        new = asked["NewBudget"]
        self.backend.describe_budget(asked["AccountId"], new["BudgetName"])
        kept = self.backend.budgets[asked["AccountId"]][new["BudgetName"]].budget
        kept |= new
        kept["CalculatedSpend"] = {"ActualSpend": {"Amount": "0", "Unit": _unit_of(kept)}}
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

    def create_budget_action(self) -> str:
        """Makes an action."""
        asked = json.loads(self.body)
        action = self.backend.create_action(asked)
        named = {key: asked[key] for key in ("AccountId", "BudgetName")}
        return json.dumps({**named, "ActionId": action["ActionId"]})

    def describe_budget_action(self) -> str:
        """Describes an action."""
        asked = json.loads(self.body)
        return _about(asked, Action=action_of(self.backend, asked))

    def describe_budget_actions_for_budget(self) -> str:
        """Lists the actions of a budget."""
        asked = json.loads(self.body)
        found = actions_of(self.backend, asked["AccountId"], asked["BudgetName"])
        return json.dumps({"Actions": [*found.values()]})

    def update_budget_action(self) -> str:
        """Changes an action."""
        asked = json.loads(self.body)
        before, after = self.backend.change_action(asked)
        return _about(asked, OldAction=before, NewAction=after)

    def delete_budget_action(self) -> str:
        """Deletes an action."""
        asked = json.loads(self.body)
        action = action_of(self.backend, asked)
        require_idle(action)
        del actions_of(self.backend, asked["AccountId"], asked["BudgetName"])[asked["ActionId"]]
        return _about(asked, Action=action)

    def execute_budget_action(self) -> str:
        """Retries, reverses or resets an action."""
        asked = json.loads(self.body)
        self.backend.execute_action(asked)
        return json.dumps(asked)

    def list_tags_for_resource(self) -> str:
        """Lists the tags of a budget or an action."""
        tags = self._tags(json.loads(self.body)["ResourceARN"])
        listed = [{"Key": key, "Value": value} for key, value in tags.items()]
        return json.dumps({"ResourceTags": listed})

    def tag_resource(self) -> str:
        """Adds tags to a budget or an action."""
        asked = json.loads(self.body)
        tags = self._tags(asked["ResourceARN"])
        tags |= {each["Key"]: each["Value"] for each in asked["ResourceTags"]}
        return "{}"

    def untag_resource(self) -> str:
        """Takes tags from a budget or an action."""
        asked = json.loads(self.body)
        tags = self._tags(asked["ResourceARN"])
        for key in asked["ResourceTagKeys"]:
            tags.pop(key, None)
        return "{}"

    def _tags(self, arn: str) -> Any:
        *_, account, resource = arn.split(":")
        name, _, action = resource.removeprefix("budget/").partition("/action/")
        self.backend.describe_budget(account, name)
        if action:
            action_of(self.backend, {"AccountId": account, "BudgetName": name, "ActionId": action})
            return tags_of_action(self.backend, account, name, action)
        return self.backend.budgets[account][name].tags


def _unit_of(budget: dict[str, Any]) -> str:
    unit: str = budget["BudgetLimit"]["Unit"]
    return unit


def _about(asked: dict[str, Any], **found: Any) -> str:
    """Returns an answer about one action."""
    return json.dumps({key: asked[key] for key in ("AccountId", "BudgetName")} | found)


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
    patch(BudgetsBackend, Actions, adds=("change_action", "create_action", "execute_action"))
    patch(
        BudgetsResponse,
        Answers,
        adds=(
            *("_tags", "describe_subscribers_for_notification", "list_tags_for_resource"),
            *("tag_resource", "untag_resource", "update_budget"),
            *("create_budget_action", "delete_budget_action", "describe_budget_action"),
            *("describe_budget_actions_for_budget", "execute_budget_action"),
            "update_budget_action",
        ),
    )
