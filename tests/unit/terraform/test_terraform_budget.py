"""A budget that an interrupted apply has left, and what the emulator of AWS Budgets refuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from mngen.sandbox import ACCOUNT_ID
from mngen.terraform._missing import Search, Wanted
from mngen.terraform._standing import standing
from tests.support.sandbox import NO_SUBMISSIONS, client, control, error_code

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


def make_role(iam: Any, name: str, service: str, **tags: str) -> str:
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": service}}
    made = iam.create_role(
        RoleName=name,
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
        Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
    )
    return str(made["Role"]["Arn"])


def action(role: str, **changes: Any) -> Any:
    """Return the request for an action of the budget `lab`, with other values of some keys."""
    return {
        "AccountId": ACCOUNT_ID,
        "BudgetName": "mngen-lab-us-east-1",
        "NotificationType": "ACTUAL",
        "ActionType": "APPLY_IAM_POLICY",
        "ActionThreshold": {"ActionThresholdValue": 100.0, "ActionThresholdType": "PERCENTAGE"},
        "Definition": {
            "IamActionDefinition": {
                "PolicyArn": f"arn:aws:iam::{ACCOUNT_ID}:policy/lab-deny-submit-1",
                "Roles": ["submitters"],
            }
        },
        "ExecutionRoleArn": role,
        "ApprovalModel": "AUTOMATIC",
        "Subscribers": [EMAIL],
        **changes,
    }


def test_what_aws_budgets_refuses_of_actions(sandbox: Sandbox) -> None:
    """By the errors and shapes of the API reference; see `_budget_actions` of the emulator."""
    sandbox.reset()
    budgets, iam = client(sandbox, "budgets"), client(sandbox, "iam")
    role = make_role(iam, "budgets", "budgets.amazonaws.com")
    other = make_role(iam, "ec2", "ec2.amazonaws.com")

    def refused(**changes: Any) -> str:
        return error_code(budgets.create_budget_action, **action(role, **changes))

    assert refused() == "NotFoundException"
    make(budgets, "mngen-lab-us-east-1")
    assert refused(ExecutionRoleArn=other) == "AccessDeniedException"
    assert refused(ExecutionRoleArn=f"{role}-gone") == "AccessDeniedException"
    assert refused(ActionType="APPLY_SCP_POLICY") == "InvalidParameterException"
    policy = {"PolicyArn": f"arn:aws:iam::{ACCOUNT_ID}:policy/a"}
    assert refused(Definition={"IamActionDefinition": policy}) == "InvalidParameterException"
    many = [{**EMAIL, "Address": f"{number}@example.org"} for number in range(11)]
    assert refused(Subscribers=many) == "InvalidParameterException"
    made = budgets.create_budget_action(**action(role))
    assert refused() == "DuplicateRecordException"
    named = {key: made[key] for key in ("AccountId", "BudgetName", "ActionId")}
    reverse = {**named, "ExecutionType": "REVERSE_BUDGET_ACTION"}
    assert error_code(budgets.execute_budget_action, **reverse) == "InvalidParameterException"
    assert (
        error_code(budgets.update_budget_action, **named, ExecutionRoleArn=other)
        == "AccessDeniedException"
    )
    described = budgets.describe_budget_action(**named)["Action"]
    assert described["Status"] == "STANDBY"
    assert described["ExecutionRoleArn"] == role
    budgets.delete_budget_action(**named)
    assert error_code(budgets.delete_budget_action, **named) == "NotFoundException"


def test_a_changed_budget_has_spent_nothing(sandbox: Sandbox) -> None:
    """ "When you modify a budget, the calculatedSpend drops to zero until AWS has new usage data":
    https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_budgets_UpdateBudget.html.
    """
    sandbox.reset()
    budgets: Any = client(sandbox, "budgets")
    make(budgets, "lab")
    control(sandbox, spent={"lab": 6000})
    named = {"AccountId": ACCOUNT_ID, "BudgetName": "lab"}

    def spent() -> float:
        budget = budgets.describe_budget(**named)["Budget"]
        return float(budget["CalculatedSpend"]["ActualSpend"]["Amount"])

    assert spent() == 6000
    new = budgets.describe_budget(**named)["Budget"]
    new.pop("CalculatedSpend")
    budgets.update_budget(AccountId=ACCOUNT_ID, NewBudget=new)
    assert spent() == 0


def test_iam_deletes_no_policy_that_is_attached(sandbox: Sandbox) -> None:
    sandbox.reset()
    iam = client(sandbox, "iam")
    arn = iam.create_policy(PolicyName="p", PolicyDocument=NO_SUBMISSIONS)["Policy"]["Arn"]
    make_role(iam, "r", "ec2.amazonaws.com")
    iam.attach_role_policy(RoleName="r", PolicyArn=arn)
    assert error_code(iam.delete_policy, PolicyArn=arn) == "DeleteConflict"
    iam.detach_role_policy(RoleName="r", PolicyArn=arn)
    iam.delete_policy(PolicyArn=arn)


@pytest.mark.parametrize("region", [REGION, "eu-west-1"])
def test_an_action_and_its_policy_are_imported(region: str, sandbox: Sandbox) -> None:
    sandbox.reset()
    budgets, iam = client(sandbox, "budgets"), client(sandbox, "iam")
    name = "mngen-lab-us-east-1"
    make(budgets, name, **{"mngen:deployment": "lab"})
    role = make_role(iam, "budgets", "budgets.amazonaws.com")
    tag = {"Key": "mngen:deployment", "Value": "lab"}
    # What others made for the same budget.
    for percentage, tags in ((50.0, []), (60.0, [{**tag, "Value": "other"}])):
        at = {"ActionThresholdValue": percentage, "ActionThresholdType": "PERCENTAGE"}
        budgets.create_budget_action(**action(role, ActionThreshold=at), ResourceTags=tags)
    policy = iam.create_policy(
        PolicyName="lab-deny-submit-" + "0" * 26,
        PolicyDocument=NO_SUBMISSIONS,
        Tags=[
            {"Key": "mngen:deployment", "Value": "lab"},
            {"Key": "mngen:region", "Value": region},
        ],
    )["Policy"]["Arn"]
    wanted = (
        Wanted(
            "module.deny_submit.aws_budgets_budget_action.this",
            "aws_budgets_budget_action",
            {"budget_name": name, "action_type": "APPLY_IAM_POLICY"},
        ),
        Wanted(
            "module.deny_submit.aws_iam_policy.this",
            "aws_iam_policy",
            {"name_prefix": "lab-deny-submit-"},
        ),
    )

    def connect(service: str, where: str) -> Any:
        return client(sandbox, service, where)

    def imported(*known: tuple[str, str]) -> list[str]:
        search = Search("lab", REGION, wanted, frozenset(), frozenset(known))
        there, refused = standing(search, connect)
        assert refused == ()
        return [each.found.import_id for each in there.imports]

    policies = [policy] if region == REGION else []
    assert imported() == policies
    assert imported(("aws_budgets_budget", f"{ACCOUNT_ID}:{name}")) == policies
    made = budgets.create_budget_action(**action(role), ResourceTags=[tag])
    identifier = f"{ACCOUNT_ID}:{made['ActionId']}:{name}"
    assert imported(("aws_budgets_budget", f"{ACCOUNT_ID}:{name}")) == [identifier, *policies]
