"""The rule of a submission whose outputs come back through a bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.cluster import OUTPUTS_TO_VARIABLE
from mngen.errors import Severity
from mngen.rules._rule import Match, Waiting
from mngen.rules.submission._inputs import is_own, permits, role_of
from mngen.rules.submission._rule import SubmissionRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.account import Target

_POLICY = "outputs"
"""The name of the policy in the role, as the rendered module `identity` gives it."""


class OutputsCanBeUploaded(SubmissionRule):
    id = "MN323"
    severity = Severity.WARNING
    title = "A job with `outputs` requires a role that can write them"
    why = (
        "The main node uploads the outputs with the permissions of the job's role. `mngen apply` "
        "gives them to the deployment's own role if a job has `outputs`. Without them the job "
        "fails with exit code 64 before its command starts."
    )
    remedy = "run `mngen apply`"
    source_url = "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html"
    manual_test = f"aws iam get-role-policy --role-name ROLE --policy-name {_POLICY}"
    calls = ("batch:DescribeJobDefinitions", "iam:GetRolePolicy")
    waiting = Waiting.NOTHING

    @classmethod
    def matches(cls, target: Target) -> Iterator[Match]:
        """Yields a role of the deployment that may not write to the bucket.

        The user's own role is left to the user, as the spec names it.
        """
        variables = {
            each["name"]: each["value"] for each in target.container.get("environment", [])
        }
        url = variables.get(OUTPUTS_TO_VARIABLE, "")
        role = role_of(target)
        if not url.startswith("s3://") or not is_own(role, target):
            return
        if not permits(target.account.client("iam"), role, _POLICY, url):
            yield Match(
                ("jobs", target.intent.job.name, "outputs"),
                f"the role `{role}` may not write to {url} yet",
            )
