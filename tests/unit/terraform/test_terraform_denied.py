"""Plans that would strand users whom the budget denies submissions are refused.

That an action does not detach its policy when it is deleted or changed is how the emulator has it,
as AWS documents neither: API_budgets_DeleteBudgetAction, API_budgets_UpdateBudgetAction.
`tests/e2e/test_deny_submit.py` has plans of the real Terraform.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import EndpointConnectionError

from mngen.errors import InputError, Severity
from mngen.sandbox import ACCOUNT_ID
from mngen.terraform import Plan, PlanSummary, denials, refuse_denied
from tests.support.sandbox import NO_SUBMISSIONS, client

if TYPE_CHECKING:
    from mngen.sandbox import Sandbox

REGION = "us-east-1"
ADDRESS = "module.deny_submit.aws_budgets_budget_action.this"
ACTION = "01234567-89ab-cdef-0123-456789abcdef"
POLICY = f"arn:aws:iam::{ACCOUNT_ID}:policy/lab-deny-submit-1"


def definition(policy: str | None = POLICY, **named: list[str]) -> list[Any]:
    """Return the blocks of an action; a policy that is not known yet is missing in plans."""
    given = {"groups": None, "roles": None, "users": None, **named}
    known = {"policy_arn": policy} if policy else {}
    return [{"iam_action_definition": [{**given, **known}], "ssm_action_definition": []}]


BEFORE = {
    "account_id": ACCOUNT_ID,
    "action_id": ACTION,
    "action_type": "APPLY_IAM_POLICY",
    "budget_name": "mngen-lab-us-east-1",
    "definition": definition(groups=["lab"], users=["alice", "bob"]),
    "execution_role_arn": f"arn:aws:iam::{ACCOUNT_ID}:role/lab-budget-1",
    "status": "EXECUTION_SUCCESS",
}


def plan_of(after: dict[str, Any] | None, **before: Any) -> Plan:
    """Return a plan that changes an action; None deletes it."""
    change = {
        "address": ADDRESS,
        "type": "aws_budgets_budget_action",
        "mode": "managed",
        "change": {"before": copy.deepcopy(BEFORE | before), "after": after},
    }
    provider = {"name": "aws", "expressions": {"region": {"constant_value": REGION}}}
    data = {
        "resource_changes": [change],
        "configuration": {"provider_config": {"aws": provider}},
    }
    return Plan(
        PlanSummary(()), is_destroy=after is None, has_changes=True, descriptor=-1, data=data
    )


class Budgets:
    """AWS Budgets with one action; IAM is another's."""

    def __init__(self, status: str, iam: Any = None) -> None:
        self.status = status
        self.iam = iam

    def __call__(self, service: str, region: str) -> Any:
        assert region == REGION
        return self if service == "budgets" else self.iam

    def describe_budget_action(self, **named: str) -> Any:
        assert named == {
            "AccountId": ACCOUNT_ID,
            "BudgetName": "mngen-lab-us-east-1",
            "ActionId": ACTION,
        }
        return {"Action": {"Status": self.status}}


@pytest.fixture
def connect(sandbox: Sandbox) -> Budgets:
    """Return how AWS is asked, where alice and a group have the policy and bob has not."""
    sandbox.reset()
    iam = client(sandbox, "iam", REGION)
    iam.create_policy(PolicyName="lab-deny-submit-1", PolicyDocument=NO_SUBMISSIONS)
    for user in ("alice", "bob"):
        iam.create_user(UserName=user)
    iam.create_group(GroupName="lab")
    iam.attach_user_policy(UserName="alice", PolicyArn=POLICY)
    iam.attach_group_policy(GroupName="lab", PolicyArn=POLICY)
    return Budgets("EXECUTION_SUCCESS", iam)


REVERSE = (
    f"aws budgets execute-budget-action --account-id {ACCOUNT_ID} "
    f"--budget-name mngen-lab-us-east-1 --action-id {ACTION} "
    "--execution-type REVERSE_BUDGET_ACTION"
)


@pytest.mark.parametrize(
    ("after", "verb"),
    [
        (None, "delete"),
        (BEFORE | {"definition": definition(users=["alice", "bob"])}, "change"),
        (BEFORE | {"definition": definition(None, groups=["lab"], users=["alice"])}, "change"),
        (BEFORE | {"budget_name": "mngen-lab2-us-east-1"}, "change"),
        # A new role, whose ARN is not known yet.
        ({key: BEFORE[key] for key in BEFORE if key != "execution_role_arn"}, "change"),
    ],
)
def test_what_would_strand_someone_is_refused(
    after: dict[str, Any] | None, verb: str, connect: Budgets
) -> None:
    # A plan that deletes what the configuration no longer has was seen with the state of the last
    # apply.
    plan = plan_of(after, status="STANDBY")
    with pytest.raises(InputError) as caught:
        refuse_denied(plan, connect)
    [problem] = caught.value.problems
    assert problem.severity is Severity.ERROR
    assert problem.path == ADDRESS
    assert problem.message == (
        "the budget denies submissions to group lab, user alice: this plan would "
        f"{verb} the action that allows them again"
    )
    assert REVERSE in (problem.hint or "")
    [warning] = denials(plan, connect)
    assert warning.severity is Severity.WARNING


@pytest.mark.parametrize("status", ["STANDBY", "PENDING", "REVERSE_SUCCESS"])
def test_an_action_that_attached_nothing_can_go(status: str) -> None:
    """IAM is not asked."""
    assert list(denials(plan_of(None), Budgets(status))) == []


def test_what_does_not_concern_who_is_denied_can_change() -> None:
    assert list(denials(plan_of({**BEFORE, "action_threshold": [{}]}))) == []
    # No one is named as a list without members.
    same = definition(groups=["lab"], users=["bob", "alice"], roles=[])
    assert list(denials(plan_of({**BEFORE, "definition": same}))) == []


def test_once_detached_by_hand_it_can_go(connect: Budgets) -> None:
    iam = connect.iam
    connect.status = "EXECUTION_FAILURE"
    plan = plan_of(None)
    [problem] = denials(plan, connect)
    commands = (problem.hint or "").splitlines()[1:]
    assert commands == [
        f"  aws iam detach-group-policy --group-name lab --policy-arn {POLICY}",
        f"  aws iam detach-user-policy --user-name alice --policy-arn {POLICY}",
    ]
    iam.detach_group_policy(GroupName="lab", PolicyArn=POLICY)
    iam.detach_user_policy(UserName="alice", PolicyArn=POLICY)
    assert list(denials(plan, connect)) == []
    iam.delete_policy(PolicyArn=POLICY)
    assert list(denials(plan, connect)) == []


def test_who_has_the_policy_otherwise_is_not_the_plans_affair(connect: Budgets) -> None:
    named = definition(users=["bob"])
    assert list(denials(plan_of(None, definition=named), connect)) == []


def test_an_action_that_is_being_executed_waits() -> None:
    [problem] = denials(plan_of(None), Budgets("EXECUTION_IN_PROGRESS"))
    assert problem.hint == "run the command again in a few minutes"


def test_without_an_answer_everyone_is_taken_to_be_denied() -> None:
    def unreachable(service: str, region: str) -> Any:
        raise EndpointConnectionError(endpoint_url="https://iam.amazonaws.com/")

    [problem] = denials(plan_of(None), unreachable)
    assert "group lab, user alice, user bob (cannot check who has the" in problem.message
    assert list(denials(plan_of(None, status="STANDBY"), unreachable)) == []
