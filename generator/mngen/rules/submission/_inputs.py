"""The rule of a submission whose inputs come through a bucket."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from mngen.cluster import INPUTS_FROM_VARIABLE
from mngen.errors import Severity
from mngen.rules._rule import Match, Waiting
from mngen.rules.submission._rule import SubmissionRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_iam.client import IAMClient

    from mngen.account import Target

_POLICY = "inputs"
"""The name of the policy in the role, as the rendered module `identity` gives it."""


class InputsCanBeRead(SubmissionRule):
    id = "MN317"
    severity = Severity.WARNING
    title = "A job with inputs in a bucket requires a role that can read them"
    why = (
        "The main node fetches the inputs with the permissions of the job's role. `mngen apply` "
        "gives them to the deployment's own role if the spec names a bucket. Without them the job "
        "fails with exit code 64, after all instances have started and are billed."
    )
    remedy = "run `mngen apply`"
    source_url = "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html"
    manual_test = f"aws iam get-role-policy --role-name ROLE --policy-name {_POLICY}"
    calls = ("batch:DescribeJobDefinitions", "iam:GetRolePolicy")
    waiting = Waiting.POSSIBLE

    @classmethod
    def matches(cls, target: Target) -> Iterator[Match]:
        url = target.intent.environment.get(INPUTS_FROM_VARIABLE, "")
        if not url.startswith("s3://") or target.definition is None:
            return
        role = role_of(target)
        if not is_own(role, target):
            yield Match(
                ("jobs", target.intent.job.name),
                f"the job definition in AWS has {f'the role `{role}`' if role else 'no role'}, not "
                f"the deployment's own, which may read {url}",
                "apply the spec (`mngen apply`), or see to it that the role may read there",
            )
        elif not permits(target.account.client("iam"), role, _POLICY, url):
            yield Match(("storage", "bucket"), f"the role `{role}` may not read {url} yet")


def role_of(target: Target) -> str:
    """Returns the name of the job's role, as its definition has it; empty for none."""
    return str(target.container.get("jobRoleArn") or "").rpartition("/")[2]


def is_own(role: str, target: Target) -> bool:
    """Whether a role is the one that the deployment creates for jobs."""
    return role.startswith(f"{target.deployment}-job-")


def permits(client: IAMClient, role: str, policy: str, url: str) -> bool:
    """Whether a role has a policy, for the bucket of a URL.

    Args:
        client: Of IAM.
        role: Name of the role.
        policy: Name of the policy, as the rendered module `identity` gives it.
        url: `s3://BUCKET/…`.
    """
    try:
        found = client.get_role_policy(RoleName=role, PolicyName=policy)
    except client.exceptions.NoSuchEntityException:
        return False
    # The policy may be of an earlier spec, with another bucket.
    bucket = url.split("/")[2]
    return f":s3:::{bucket}/" in json.dumps(found["PolicyDocument"])
