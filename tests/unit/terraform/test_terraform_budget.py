"""A budget that an interrupted apply has left, and what the emulator of AWS Budgets refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from mngen.sandbox import ACCOUNT_ID
from mngen.terraform._missing import Search, Wanted
from mngen.terraform._standing import standing
from tests.support.sandbox import client

if TYPE_CHECKING:
    from mngen.sandbox import Sandbox

REGION = "us-east-1"
ADDRESS = "aws_budgets_budget.this"
EMAIL = {"SubscriptionType": "EMAIL", "Address": "lab@example.org"}
ALERT: Any = {"NotificationType": "ACTUAL", "ComparisonOperator": "GREATER_THAN"}


def make(budgets: Any, name: str, **tags: str) -> None:
    budgets.create_budget(
        AccountId=ACCOUNT_ID,
        Budget={
            "BudgetName": name,
            "BudgetType": "COST",
            "TimeUnit": "MONTHLY",
            "BudgetLimit": {"Amount": "5000", "Unit": "USD"},
        },
        ResourceTags=[{"Key": key, "Value": value} for key, value in tags.items()],
    )


@pytest.mark.parametrize(
    ("owner", "found"), [("lab", [f"{ACCOUNT_ID}:mngen-lab-us-east-1"]), ("other", [])]
)
def test_a_budget_of_the_deployment_is_imported(
    owner: str, found: list[str], sandbox: Sandbox
) -> None:
    sandbox.reset()
    wanted = Wanted(ADDRESS, "aws_budgets_budget", {"name": "mngen-lab-us-east-1"})
    search = Search("lab", REGION, (wanted,), frozenset(), frozenset())

    def connect(service: str, region: str) -> Any:
        return client(sandbox, service, region)

    there, refused = standing(search, connect)
    assert (list(there.imports), refused) == ([], ())
    make(client(sandbox, "budgets"), "mngen-lab-us-east-1", **{"mngen:deployment": owner})
    there, refused = standing(search, connect)
    assert [each.found.import_id for each in there.imports] == found
    assert refused == ()


def test_what_aws_budgets_refuses(sandbox: Sandbox) -> None:
    sandbox.reset()
    budgets: Any = client(sandbox, "budgets")

    def alert(percent: float, *subscribers: Any) -> str:
        try:
            budgets.create_notification(
                AccountId=ACCOUNT_ID,
                BudgetName="lab",
                Notification={**ALERT, "Threshold": percent},
                Subscribers=list(subscribers),
            )
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return ""

    with pytest.raises(ClientError, match="Invalid budget name"):
        make(budgets, "lab:1")
    make(budgets, "lab")
    many = [{**EMAIL, "Address": f"{number}@example.org"} for number in range(11)]
    assert alert(1, *many) == "CreationLimitExceededException"
    assert [alert(percent, EMAIL) for percent in range(1, 11)] == [""] * 10
    assert alert(11, EMAIL) == "CreationLimitExceededException"
