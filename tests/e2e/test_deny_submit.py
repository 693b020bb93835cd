"""Submissions that a budget denies: applied, executed, reversed, changed and destroyed.

Terraform is the real one. AWS is the emulator, whose AWS Budgets attaches the policy with the
rights of the role that was made: less than it needs fails here as it would there.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from mngen.catalog import load_catalog
from mngen.rules import check_aws, require
from mngen.sandbox import ACCOUNT_ID
from mngen.spec import load_text
from tests.support.sandbox import NO_SUBMISSIONS, client, control
from tests.support.stack import Stack, TerraformError

if TYPE_CHECKING:
    from mngen.sandbox import Sandbox

REGION = "us-east-1"
ACTION = "module.deny_submit.aws_budgets_budget_action.this"
SPEC = """
name: NAME
region: us-east-1
network: {endpoints: []}
environments:
  r5: {instance: r5.12xlarge, max_nodes: 4}
queues:
  mpi: {environments: [r5]}
  post: {environments: [r5]}
budget:
  monthly: 1000
  emails: [lab@example.org]
  deny_submit: {roles: [hpc/NAME-submitters], groups: [NAME-lab], users: [NAME-alice]}
"""


class Purse:
    """A deployment's budget, and whom it denies submissions, in an account with others.

    Attributes:
        name: Name of the deployment, with which all names begin.
        spec: Its spec.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self.name = f"p{uuid4().hex[:10]}"
        self.spec = SPEC.replace("NAME", self.name)
        self._budget = f"mngen-{self.name}-{REGION}"
        self.iam = client(sandbox, "iam")
        self.budgets = client(sandbox, "budgets")
        for name, path in (("submitters", "/hpc/"), ("others", "/")):
            self.iam.create_role(
                RoleName=f"{self.name}-{name}",
                Path=path,
                AssumeRolePolicyDocument='{"Statement": []}',
            )
        self.iam.create_group(GroupName=f"{self.name}-lab")
        self.iam.create_user(UserName=f"{self.name}-alice")

    def spend(self, amount: float) -> None:
        control(self._sandbox, spent={self._budget: amount})

    def execute(self, wish: str) -> None:
        [action] = self.actions()
        self.budgets.execute_budget_action(
            AccountId=ACCOUNT_ID,
            BudgetName=self._budget,
            ActionId=action["ActionId"],
            ExecutionType=f"{wish}_BUDGET_ACTION",
        )

    def actions(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.budgets.describe_budget_actions_for_budget(
            AccountId=ACCOUNT_ID, BudgetName=self._budget
        )["Actions"]
        return found

    def policies(self) -> list[str]:
        """Read the ARNs of the policies that the deployment made."""
        found = self.iam.list_policies(Scope="Local")["Policies"]
        prefix = f"{self.name}-deny-submit-"
        return [each["Arn"] for each in found if each["PolicyName"].startswith(prefix)]

    def denied(self) -> set[str]:
        """Read who has the policy, without the deployment's name."""
        [arn] = self.policies()
        found = self.iam.list_entities_for_policy(PolicyArn=arn)
        names = [
            each[f"{kind}Name"]
            for kind in ("Role", "Group", "User")
            for each in found[f"Policy{kind}s"]
        ]
        return {each.removeprefix(f"{self.name}-") for each in names}

    def told(self, spec: str) -> list[str | None]:
        """Judge by the rules about it, as `mngen check --aws` does."""

        def connect(service: str, region: str) -> Any:
            return client(self._sandbox, service, region)

        cluster = require(load_text(spec.encode()), load_catalog())
        answers = check_aws(cluster, connect=connect)
        found = (each for each in answers.problems if each.rule in {"MN264", "MN265"})
        return [f"{each.rule} {each.hint}" for each in found]


def test_submissions_are_denied_and_allowed_again(stack: Stack, sandbox: Sandbox) -> None:
    purse = Purse(sandbox)
    stack.render(purse.spec)
    stack.apply()
    assert stack.unchanged()
    [action] = purse.actions()
    output = stack.outputs()["deny_submit"]
    assert output["action_id"] == action["ActionId"]
    policy = purse.iam.get_policy(PolicyArn=output["policy_arn"])["Policy"]
    version = purse.iam.get_policy_version(
        PolicyArn=policy["Arn"], VersionId=policy["DefaultVersionId"]
    )["PolicyVersion"]
    queues = f"arn:aws:batch:{REGION}:{ACCOUNT_ID}:job-queue/{purse.name}-"
    [statement] = version["Document"]["Statement"]
    assert statement == {
        "Sid": "BudgetExceeded",
        "Effect": "Deny",
        "Action": "batch:SubmitJob",
        "Resource": [f"{queues}mpi", f"{queues}post"],
    }

    purse.spend(1000)
    assert (purse.denied(), purse.told(purse.spec)) == (set(), [])
    purse.spend(1000.5)
    assert purse.denied() == {"submitters", "lab", "alice"}
    [told] = purse.told(purse.spec)
    assert "--execution-type REVERSE_BUDGET_ACTION" in str(told)
    # That it was executed is no difference to the plan.
    assert stack.unchanged()
    # Nothing is touched that would leave them denied for good.
    resources = stack.resources()
    others = purse.spec.replace(f", users: [{purse.name}-alice]", "")
    for spec, command in (
        (purse.spec, "destroy"),
        (re.sub(" *deny_submit: .*\n", "", purse.spec), "apply"),
        (others, "apply"),
    ):
        stack.render(spec)
        refused = stack.mngen(command, "--yes")
        assert refused.returncode == 1
        assert f"the budget denies submissions to group {purse.name}-lab" in refused.stderr
        assert "--execution-type REVERSE_BUDGET_ACTION" in refused.stderr
    assert stack.resources() == resources
    assert purse.denied() == {"submitters", "lab", "alice"}
    stack.render(purse.spec)
    # Plain Terraform does not ask: the state of a destroy that begins with the action.
    with pytest.raises(TerraformError, match="DeleteConflict"):
        stack.destroy()
    stack.apply()
    purse.spend(1001)
    purse.execute("REVERSE")
    assert purse.denied() == set()
    [told] = purse.told(purse.spec)
    assert "--execution-type RESET_BUDGET_ACTION" in str(told)
    purse.execute("RESET")
    assert purse.told(purse.spec) == []

    before, after = f"{{roles: [hpc/{purse.name}-submitters],", f"{{roles: [{purse.name}-others],"
    changed = purse.spec.replace(before, f"{after} at: 200,")
    stack.render(changed.replace("  post: {environments: [r5]}\n", ""))
    done = stack.apply()
    assert done[ACTION] == done["module.deny_submit.aws_iam_policy.this"] == ["update"]
    assert stack.unchanged()
    purse.spend(1999)
    assert purse.denied() == set()
    purse.spend(2001)
    assert purse.denied() == {"others", "lab", "alice"}
    purse.execute("REVERSE")
    stack.destroy()
    assert stack.resources() == []
    assert purse.policies() == []


def test_a_policy_and_a_role_that_exist_are_used(stack: Stack, sandbox: Sandbox) -> None:
    purse = Purse(sandbox)
    policy = purse.iam.create_policy(
        PolicyName=f"{purse.name}-none", PolicyDocument=NO_SUBMISSIONS
    )["Policy"]["Arn"]
    alice = f"{purse.name}-alice"
    account = f"arn:aws:iam::{ACCOUNT_ID}"
    role = purse.iam.create_role(
        RoleName=f"{purse.name}-budgets",
        AssumeRolePolicyDocument=(
            '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", '
            '"Action": "sts:AssumeRole", "Principal": {"Service": "budgets.amazonaws.com"}}]}'
        ),
    )["Role"]["Arn"]
    purse.iam.put_role_policy(
        RoleName=f"{purse.name}-budgets",
        PolicyName="attach",
        PolicyDocument=(
            '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", '
            f'"Action": "iam:AttachUserPolicy", "Resource": "{account}:user/{alice}"}}]}}'
        ),
    )
    users = f"users: [{alice}, {purse.name}-bob]"
    spec = re.sub("{roles: .*}", f"{{{users}, policy: '{policy}', role: '{role}'}}", purse.spec)
    stack.render(spec)
    done = stack.apply()
    assert [each for each in done if "deny_submit" in each] == [ACTION]
    assert stack.unchanged()
    [told] = purse.told(spec)
    assert str(told).startswith("MN264")
    purse.spend(5000)
    # There is no bob.
    assert [each["Status"] for each in purse.actions()] == ["EXECUTION_FAILURE"]
    attached = purse.iam.list_attached_user_policies(UserName=alice)["AttachedPolicies"]
    assert [each["PolicyArn"] for each in attached] == [policy]
    assert any("RETRY_BUDGET_ACTION" in str(each) for each in purse.told(spec))
    refused = stack.mngen("destroy", "--yes")
    assert refused.returncode == 1
    detach = {"UserName": alice, "PolicyArn": policy}
    command = f"aws iam detach-user-policy --user-name {alice} --policy-arn {policy}"
    assert command in refused.stderr
    assert ACTION in stack.resources()
    purse.iam.detach_user_policy(**detach)
    gone = stack.mngen("destroy", "--yes")
    assert gone.returncode == 0, gone.stderr
    assert purse.iam.get_policy(PolicyArn=policy)["Policy"]["AttachmentCount"] == 0
