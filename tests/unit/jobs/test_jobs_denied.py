"""What a submission says that AWS denies since the budget is exceeded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mngen.catalog import load_catalog
from mngen.errors import ToolError
from mngen.jobs import Jobs
from mngen.jobs._denied import denial_by_budget
from mngen.rules import require
from mngen.spec import load_text
from tests.support.batch import spec_text
from tests.support.sandbox import unique

if TYPE_CHECKING:
    from mngen.spec import Spec
    from tests.support.batch import Deployed
    from tests.support.faults import Faults

# The forms of https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
REFUSED = (
    "User: arn:aws:sts::123456789012:assumed-role/submitters/me is not authorized to perform: "
    "batch:SubmitJob on resource: arn:aws:batch:us-east-1:123456789012:job-queue/lab-mpi "
)
EXPLICIT = f"{REFUSED}with an explicit deny in an identity-based policy"
IMPLICIT = f"{REFUSED}because no identity-based policy allows the batch:SubmitJob action"
POLICY = "arn:aws:iam::123456789012:policy/{}20261130020000000000000001"


def spec_of(*, denying: bool = True, region: str = "us-east-1") -> Spec:
    denied = "deny_submit: {at: 90, roles: [submitters]}" if denying else "alerts: [50]"
    text = f"""\
name: lab
region: {region}
environments:
  mpi: {{instance: c5.18xlarge, max_nodes: 4}}
queues:
  mpi: {{environments: [mpi]}}
budget:
  monthly: 5000
  emails: [lab@example.org]
  {denied}
"""
    return load_text(text.encode()).require()


def test_the_budget_is_named_where_aws_names_its_policy() -> None:
    said = denial_by_budget(f"{EXPLICIT}: {POLICY.format('lab-deny-submit-')}", spec_of())
    assert said
    assert str(said) == (
        "the budget `mngen-lab-us-east-1` denies submissions: the costs of this month exceed "
        "90 % of 5000 USD"
    )
    assert "mngen check --aws" in str(said.problems[0].hint)


def test_the_budget_is_a_guess_where_aws_names_no_policy() -> None:
    said = denial_by_budget(EXPLICIT, spec_of(region="cn-north-1"))
    assert said
    assert "probably that of the budget `mngen-lab-cn-north-1`" in str(said)
    assert "90 % of 5000 CNY" in str(said)


@pytest.mark.parametrize(
    ("message", "denying"),
    [
        (IMPLICIT, True),
        (EXPLICIT, False),
        (f"{EXPLICIT}: {POLICY.format('lab2-deny-submit-')}", True),
        (f"{REFUSED}with an explicit deny in a service control policy", True),
    ],
)
def test_another_denial_is_not_the_budgets(message: str, *, denying: bool) -> None:
    assert denial_by_budget(message, spec_of(denying=denying)) is None


def test_submit_names_the_budget_and_asks_once(large: Deployed, faults: Faults) -> None:
    budget = "budget: {monthly: 100, emails: [a@example.org], deny_submit: {users: [alice]}}\n"
    text = spec_text(large.name, max_nodes=1000) + budget
    jobs = Jobs(require(load_text(text.encode()), load_catalog()))
    policy = POLICY.format(f"{large.name}-deny-submit-")
    faults.fail("batch:SubmitJob", "AccessDeniedException", f"{EXPLICIT}: {policy}", status=403)
    with pytest.raises(ToolError, match=f"budget `mngen-{large.name}-us-east-1` denies"):
        jobs.submit("one", name=unique("n"))
    assert faults.count("batch:SubmitJob") == 1
