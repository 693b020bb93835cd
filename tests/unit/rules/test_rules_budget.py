"""Whether the budget can deny submissions and whether it does, asked of the emulated AWS."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from mngen.account._cost_tags import read_cost_tag
from mngen.catalog import load_catalog
from mngen.rules import AWS_RULES, check, check_aws, require
from mngen.sandbox import ACCOUNT_ID
from mngen.spec import load_text
from tests.support.sandbox import NO_SUBMISSIONS, client, control

if TYPE_CHECKING:
    from mngen.sandbox import Sandbox

REGION = "us-east-1"
BUDGET = "mngen-lab-us-east-1"
RULES = {"MN264", "MN265", "MN266", "MN267"}
OTHERS = tuple(each.id for each in AWS_RULES if each.id not in RULES)
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": "sts:AssumeRole",
            "Principal": {"Service": "budgets.amazonaws.com"},
        }
    ],
}
ATTACH = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": ["iam:AttachUserPolicy", "iam:DetachUserPolicy"],
            "Resource": [f"arn:aws:iam::{ACCOUNT_ID}:user/*"],
        }
    ],
}


def spec_of(**denied: Any) -> dict[str, Any]:
    """Return a spec with a budget."""
    return {
        "name": "lab",
        "region": REGION,
        "environments": {"r5": {"instance": "r5.12xlarge", "max_nodes": 4}},
        "queues": {"mpi": {"environments": ["r5"]}},
        "budget": {
            "monthly": 100,
            "emails": ["lab@example.org"],
            **({"deny_submit": denied} if denied else {}),
        },
    }


class Lab:
    """A deployment in an account of its own."""

    def __init__(self, sandbox: Sandbox) -> None:
        sandbox.reset()
        self._sandbox = sandbox
        self.iam = self.connect("iam", REGION)
        self.budgets = self.connect("budgets", REGION)

    def connect(self, service: str, region: str) -> Any:
        return client(self._sandbox, service, region)

    def ask(self, **denied: Any) -> list[tuple[str, str, str, str]]:
        """Judge a spec by the rules about the budget alone."""
        loaded = load_text(json.dumps(spec_of(**denied)).encode())
        answers = check_aws(
            require(loaded, load_catalog()),
            document=loaded.document,
            skip=OTHERS,
            connect=self.connect,
        )
        assert answers.unanswered == ()
        return [
            (str(each.rule), each.path, each.message, str(each.hint)) for each in answers.problems
        ]

    def make_policy(self, name: str) -> str:
        made = self.iam.create_policy(PolicyName=name, PolicyDocument=NO_SUBMISSIONS)
        return str(made["Policy"]["Arn"])

    def make_budget(self) -> None:
        self.budgets.create_budget(
            AccountId=ACCOUNT_ID,
            Budget={
                "BudgetName": BUDGET,
                "BudgetType": "COST",
                "TimeUnit": "MONTHLY",
                "BudgetLimit": {"Amount": "100", "Unit": "USD"},
            },
        )

    def make_action(self, *users: str, policy: str = "lab-deny-submit-1") -> None:
        """Make the budget and its action as an apply does."""
        self.make_budget()
        role = self.iam.create_role(
            RoleName="lab-budget-1", AssumeRolePolicyDocument=json.dumps(TRUST)
        )["Role"]["Arn"]
        self.iam.put_role_policy(
            RoleName="lab-budget-1", PolicyName="attach", PolicyDocument=json.dumps(ATTACH)
        )
        self.budgets.create_budget_action(
            AccountId=ACCOUNT_ID,
            BudgetName=BUDGET,
            NotificationType="ACTUAL",
            ActionType="APPLY_IAM_POLICY",
            ActionThreshold={"ActionThresholdValue": 100, "ActionThresholdType": "PERCENTAGE"},
            Definition={
                "IamActionDefinition": {
                    "PolicyArn": self.make_policy(policy),
                    "Users": list(users),
                }
            },
            ExecutionRoleArn=role,
            ApprovalModel="AUTOMATIC",
            Subscribers=[{"SubscriptionType": "EMAIL", "Address": "lab@example.org"}],
        )

    def execute(self, wish: str) -> None:
        [action] = self.budgets.describe_budget_actions_for_budget(
            AccountId=ACCOUNT_ID, BudgetName=BUDGET
        )["Actions"]
        self.budgets.execute_budget_action(
            AccountId=ACCOUNT_ID,
            BudgetName=BUDGET,
            ActionId=action["ActionId"],
            ExecutionType=wish,
        )


@pytest.fixture
def lab(sandbox: Sandbox) -> Lab:
    return Lab(sandbox)


def test_who_is_named_must_exist(lab: Lab) -> None:
    lab.iam.create_user(UserName="alice")
    lab.iam.create_role(
        RoleName="submitters", Path="/hpc/", AssumeRolePolicyDocument='{"Statement": []}'
    )
    assert lab.ask(roles=["hpc/submitters"], users=["alice"]) == []
    found = lab.ask(roles=["hpc/other"], groups=["lab"], users=["alice", "bob"])
    assert [each[:3] for each in found] == [
        ("MN264", "budget.deny_submit.roles[0]", "there is no role `other` in the account"),
        ("MN264", "budget.deny_submit.groups[0]", "there is no group `lab` in the account"),
        ("MN264", "budget.deny_submit.users[1]", "there is no user `bob` in the account"),
    ]


def test_who_is_named_must_have_the_path(lab: Lab) -> None:
    """IAM authorizes by ARNs, which have the path; the names of the API have none.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-arns
    """
    trust = '{"Statement": []}'
    lab.iam.create_role(RoleName="submitters", Path="/hpc/", AssumeRolePolicyDocument=trust)
    lab.iam.create_group(GroupName="lab", Path="/hpc/ocean/")
    lab.iam.create_user(UserName="alice")
    given = {"roles": ["submitters"], "groups": ["hpc/lab"], "users": ["hpc/alice"]}
    assert [each[1:] for each in lab.ask(**given)] == [
        (
            "budget.deny_submit.roles[0]",
            "the role `submitters` has the path `/hpc/`, not `/`",
            "write `hpc/submitters`",
        ),
        (
            "budget.deny_submit.groups[0]",
            "the group `lab` has the path `/hpc/ocean/`, not `/hpc/`",
            "write `hpc/ocean/lab`",
        ),
        (
            "budget.deny_submit.users[0]",
            "the user `alice` has the path `/`, not `/hpc/`",
            "write `alice`",
        ),
    ]
    # What a role that is there may do is its own affair.
    assert lab.ask(**given, role=f"arn:aws:iam::{ACCOUNT_ID}:role/budgets") == []


def test_another_policy_must_fit(lab: Lab) -> None:
    """The quota is that of GetAccountSummary; the budget's own policy is not another one."""
    lab.iam.create_user(UserName="alice")
    quota = lab.iam.get_account_summary()["SummaryMap"]["AttachedPoliciesPerUserQuota"]
    for number in range(quota - 1):
        lab.iam.attach_user_policy(UserName="alice", PolicyArn=lab.make_policy(f"p{number}"))
    own = lab.make_policy("lab-deny-submit-1")
    lab.iam.attach_user_policy(UserName="alice", PolicyArn=own)
    assert lab.ask(users=["alice"]) == []
    lab.iam.detach_user_policy(UserName="alice", PolicyArn=own)
    lab.iam.attach_user_policy(UserName="alice", PolicyArn=lab.make_policy("last"))
    [(rule, _, message, _)] = lab.ask(users=["alice"])
    assert (rule, message) == (
        "MN264",
        f"the user `alice` has {quota} managed policies, and the quota is {quota}",
    )


def test_a_budget_without_its_action(lab: Lab) -> None:
    lab.iam.create_user(UserName="alice")
    assert lab.ask(users=["alice"]) == []
    lab.make_budget()
    [(rule, _, message, hint)] = lab.ask(users=["alice"])
    assert (rule, hint) == ("MN265", "run `mngen apply`")
    assert message == f"the budget `{BUDGET}` has no action"


def test_an_action_of_others_says_nothing(lab: Lab, sandbox: Sandbox) -> None:
    lab.iam.create_user(UserName="alice")
    lab.make_action("alice", policy="other-deny-submit-1")
    control(sandbox, spent={BUDGET: 101})
    [(rule, _, message, _)] = lab.ask(users=["alice"])
    assert (rule, message) == ("MN265", f"the budget `{BUDGET}` has no action")


def test_a_policy_that_something_else_detached_denies_nothing(lab: Lab, sandbox: Sandbox) -> None:
    """Such as another Terraform, with `managed_policy_arns`: AWS Budgets executes an action once.

    https://docs.aws.amazon.com/cost-management/latest/userguide/budgets-action-review.html
    """
    for user in ("alice", "bob"):
        lab.iam.create_user(UserName=user)
    lab.make_action("alice", "bob")
    control(sandbox, spent={BUDGET: 101})
    policy = f"arn:aws:iam::{ACCOUNT_ID}:policy/lab-deny-submit-1"
    lab.iam.detach_user_policy(UserName="bob", PolicyArn=policy)
    [(_, _, message, hint)] = lab.ask(users=["alice", "bob"])
    assert message.endswith("submissions are denied; not denied: user `bob`")
    assert hint.endswith("BUDGET_ACTION`; to deny all, execute it again with `RESET_BUDGET_ACTION`")


def test_submissions_that_are_denied_come_with_the_way_out(lab: Lab, sandbox: Sandbox) -> None:
    lab.iam.create_user(UserName="alice")
    lab.make_action("alice")
    assert lab.ask(users=["alice"]) == []
    control(sandbox, spent={BUDGET: 101})
    [(_, path, message, hint)] = lab.ask(users=["alice"])
    assert path == "budget.deny_submit"
    assert message == "costs exceeded the percentage: submissions are denied"
    assert f"--account-id {ACCOUNT_ID} --budget-name {BUDGET} --action-id " in hint
    assert hint.endswith("--execution-type REVERSE_BUDGET_ACTION`")
    lab.execute("REVERSE_BUDGET_ACTION")
    [(_, _, message, hint)] = lab.ask(users=["alice"])
    assert "not denied for the rest of the month" in message
    assert hint.endswith("--execution-type RESET_BUDGET_ACTION`")
    lab.execute("RESET_BUDGET_ACTION")
    assert lab.ask(users=["alice"]) == []


def test_an_action_that_failed(lab: Lab, sandbox: Sandbox) -> None:
    lab.make_action("alice")
    control(sandbox, spent={BUDGET: 101})
    found = sorted(lab.ask(users=["alice"]))
    assert [each[0] for each in found] == ["MN264", "MN265"]
    assert "could not attach the policy to everyone" in found[1][2]
    assert found[1][2].endswith("; not denied: user `alice`")
    lab.iam.create_user(UserName="alice")
    lab.execute("RETRY_BUDGET_ACTION")
    [(rule, _, message, _)] = lab.ask(users=["alice"])
    assert (rule, message) == ("MN265", "costs exceeded the percentage: submissions are denied")


def test_half_an_action_comes_with_how_to_detach(lab: Lab, sandbox: Sandbox) -> None:
    lab.iam.create_user(UserName="alice")
    lab.make_action("alice", "bob")
    control(sandbox, spent={BUDGET: 101})
    found = {each[0]: each[2:] for each in lab.ask(users=["alice", "bob"])}
    assert set(found) == {"MN264", "MN265"}
    message, hint = found["MN265"]
    assert message.endswith("; not denied: user `bob`; denied: user `alice`")
    assert hint.endswith(
        "`; to allow them to submit: `aws iam detach-user-policy --user-name alice "
        f"--policy-arn arn:aws:iam::{ACCOUNT_ID}:policy/lab-deny-submit-1`"
    )


ACTIVATE = (
    "`aws ce update-cost-allocation-tags-status --cost-allocation-tags-status "
    "TagKey=mngen:deployment,Status=Active`"
)


def test_a_tag_that_is_not_active_is_reported_with_the_command(lab: Lab, sandbox: Sandbox) -> None:
    assert lab.ask() == []
    control(sandbox, cost_tags={"mngen:deployment": "Inactive", "team": "Active"})
    [(rule, path, message, hint)] = lab.ask()
    assert (rule, path) == ("MN266", "budget")
    assert message == "the tag `mngen:deployment` is not active: the budget counts nothing"
    assert hint == f"activate it: {ACTIVATE}"
    lab.connect("ce", REGION).update_cost_allocation_tags_status(
        CostAllocationTagsStatus=[{"TagKey": "mngen:deployment", "Status": "Active"}]
    )
    assert lab.ask() == []


def test_a_tag_that_billing_does_not_know_yet(lab: Lab, sandbox: Sandbox) -> None:
    control(sandbox, cost_tags={})
    [(rule, _, message, hint)] = lab.ask()
    assert (rule, message) == (
        "MN266",
        "AWS Billing does not know the tag `mngen:deployment` yet",
    )
    assert ACTIVATE in hint
    answer = lab.connect("ce", REGION).update_cost_allocation_tags_status(
        CostAllocationTagsStatus=[{"TagKey": "mngen:deployment", "Status": "Active"}]
    )
    assert [each["TagKey"] for each in answer["Errors"]] == ["mngen:deployment"]


def test_an_account_for_which_another_pays_is_no_error(lab: Lab, sandbox: Sandbox) -> None:
    control(sandbox, cost_tags=None)
    [(rule, _, message, hint)] = lab.ask()
    assert rule == "MN267"
    assert "Linked account doesn't have access to cost allocation tags" in message
    assert hint == f"ask the owner of the account that pays for {ACTIVATE}"


@pytest.mark.parametrize(
    "said",
    [
        "User: arn:aws:iam::123456789012:user/me is not authorized to perform: ce:List…",
        "Billing access is not enabled for IAM users",
    ],
)
def test_a_user_without_the_permission_is_not_a_linked_account(said: str) -> None:
    """The words of IAM: https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html"""

    class Refusing:
        def list_cost_allocation_tags(self, **_: Any) -> Any:
            error: Any = {"Error": {"Code": "AccessDeniedException", "Message": said}}
            raise ClientError(error, "ListCostAllocationTags")

    with pytest.raises(ClientError, match="AccessDeniedException"):
        read_cost_tag(Refusing(), "mngen:deployment")


def test_names_must_fit_into_the_policy_of_the_role() -> None:
    """The quota: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""

    def judged(count: int, **more: Any) -> list[str]:
        users = [f"hpc/people/firstname.lastname{number:03}" for number in range(count)]
        data = spec_of(roles=users, groups=users, users=users, **more)
        found = check(load_text(json.dumps(data).encode()), load_catalog())
        return [str(each.rule) for each in found if each.rule == "MN529"]

    assert judged(40) == []
    assert judged(50) == ["MN529"]
    assert judged(50, role=f"arn:aws:iam::{ACCOUNT_ID}:role/budgets") == []
