"""Rules about who may no longer submit jobs once costs exceed the budget."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from mngen.cluster import denied_submitters, names, queue_name
from mngen.errors import Severity
from mngen.rules._rule import Match
from mngen.rules.spec._rule import SpecRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.rules.spec._subject import Subject
    from mngen.spec import DenySubmit, Spec

_LONGEST_POLICY = 6144
"""Characters of a managed policy.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
"""
_LONGEST_INLINE = 10_240
"""Characters of the inline policies of a role together; the role of AWS Budgets has one.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
"""
_OF_AWS = ("aws-reserved/", "aws-service-role/")
_OF_IDENTITY_CENTER = "AWSReservedSSO_"


class SomeoneDenied(SpecRule):
    id = "MN527"
    title = "`budget.deny_submit` must name `roles`, `groups` or `users`"
    why = (
        "AWS Budgets attaches the policy that denies submissions to the roles, groups and users of "
        "IAM that the action names. It takes no action without any."
    )
    remedy = "name the roles, groups or users of IAM that submit jobs, or remove `deny_submit`"
    source_url = (
        "https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/"
        "API_budgets_IamActionDefinition.html"
    )
    manual_test = (
        "aws budgets describe-budget-actions-for-budget --account-id ACCOUNT "
        "--budget-name mngen-NAME-REGION --query 'Actions[].Definition'"
    )
    failing = """\
budget:
  monthly: 5000
  emails: [lab@example.org]
  deny_submit:  #! deny_submit
    at: 100
"""
    passing = """\
budget:
  monthly: 5000
  emails: [lab@example.org]
  deny_submit:
    roles: [submitters]
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        denied = denied_submitters(subject.spec)
        if denied is not None and subject.sound("budget") and not denied.by_kind:
            yield Match(("budget", "deny_submit"), "no one is denied anything", key=True)


class DeniedRolesModifiable(SpecRule):
    id = "MN528"
    title = "`budget.deny_submit.roles` must be roles that IAM lets AWS Budgets modify"
    why = (
        "Roles of IAM Identity Center (AWSReservedSSO_…) and service-linked roles are protected: "
        "only their service attaches policies to them, and the action of the budget fails."
    )
    remedy = (
        "name a role that the users of IAM Identity Center assume to submit jobs, and let the "
        "permission set allow that alone"
    )
    source_url = "https://repost.aws/knowledge-center/identity-center-aws-reserved-sso"
    manual_test = "aws iam list-roles --path-prefix /aws-reserved/ --query 'Roles[].RoleName'"
    failing = """\
budget:
  monthly: 5000
  emails: [lab@example.org]
  deny_submit:
    roles: [AWSReservedSSO_Lab_0123456789abcdef]  #! AWSReservedSSO_Lab_0123456789abcdef
"""
    passing = """\
budget:
  monthly: 5000
  emails: [lab@example.org]
  deny_submit:
    roles: [hpc/submitters]
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        denied = denied_submitters(subject.spec)
        for index, role in enumerate(denied.roles if denied else ()):
            if role.startswith(_OF_AWS) or role.rpartition("/")[2].startswith(_OF_IDENTITY_CENTER):
                yield Match(
                    ("budget", "deny_submit", "roles", index), f"`{role}` is protected by AWS"
                )


class BoundaryBeside(SpecRule):
    id = "MN530"
    severity = Severity.WARNING
    title = "`deny_submit` should name `policy` and `role` beside `roles.permissions_boundary`"
    why = (
        "IAM cannot limit what a policy contains that is created. The user who applies the "
        "deployment could let AWS Budgets attach any policy to the users, beyond the boundary."
    )
    remedy = "let an administrator create both, and name their ARNs"
    source_url = (
        "https://docs.aws.amazon.com/service-authorization/latest/reference/"
        "list_awsidentityandaccessmanagementiam.html"
    )
    manual_test = "aws iam list-policies --scope Local --query 'Policies[].Arn'"
    failing = """\
roles:
  permissions_boundary: arn:aws:iam::123456789012:policy/department
budget:
  monthly: 5000
  emails: [lab@example.org]
  deny_submit:  #! deny_submit
    roles: [submitters]
"""
    passing = """\
roles:
  permissions_boundary: arn:aws:iam::123456789012:policy/department
budget:
  monthly: 5000
  emails: [lab@example.org]
  deny_submit:
    roles: [submitters]
    policy: arn:aws:iam::123456789012:policy/no-submissions
    role: arn:aws:iam::123456789012:role/budgets
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        denied = denied_submitters(subject.spec)
        if denied is None or subject.spec.roles.permissions_boundary is None:
            return
        missing = [key for key in ("policy", "role") if getattr(denied, key) is None]
        if missing:
            created = " and ".join(f"its {key}" for key in missing)
            yield Match(
                ("budget", "deny_submit"), f"the user who applies creates {created}", key=True
            )


class DenialFits(SpecRule):
    id = "MN529"
    title = "Queues and names of `budget.deny_submit` must fit into policies of IAM"
    why = (
        "The policy that AWS Budgets attaches names every job queue, and that of its role everyone "
        f"whom it is attached to. IAM takes {_LONGEST_POLICY:,} characters in a managed policy and "
        f"{_LONGEST_INLINE:,} in a role's own, without white space."
    )
    remedy = "name groups in place of users, or a `policy` or a `role` of your own"
    source_url = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"
    manual_test = "aws iam get-policy-version --policy-arn ARN --version-id v1"
    failing = """\
environments:
  r5: {instance: r5.12xlarge, max_nodes: 4}
budget:
  monthly: 5000
  emails: [lab@example.org]
  deny_submit:  #! deny_submit
    roles: [submitters]
queues:
""" + "".join(f"  q{number:02}: {{environments: [r5]}}\n" for number in range(99))
    passing = """\
environments:
  r5: {instance: r5.12xlarge, max_nodes: 4}
budget:
  monthly: 5000
  emails: [lab@example.org]
  deny_submit:
    roles: [submitters]
queues:
  one: {environments: [r5]}
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        spec = subject.spec
        denied = denied_submitters(spec)
        if denied is None or not subject.sound("region"):
            return
        path = ("budget", "deny_submit")
        length = _length(denial(spec))
        if length > _LONGEST_POLICY and not denied.policy:
            message = f"the policy with {len(spec.queues)} queues has {length} characters"
            yield Match(path, message, key=True)
        length = _length(attachment(spec, denied))
        if length > _LONGEST_INLINE and not denied.role:
            count = sum(map(len, denied.by_kind.values()))
            yield Match(
                path, f"the role's policy with {count} names has {length} characters", key=True
            )


def denial(spec: Spec) -> dict[str, object]:
    """Returns the policy that `modules/deny_submit` makes of a spec, for any account."""
    place = f"arn:{names.partition_of(spec.region)}:batch:{spec.region}:{'0' * 12}:job-queue"
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Action": "batch:SubmitJob",
                "Effect": "Deny",
                "Resource": [f"{place}/{queue_name(spec, each)}" for each in spec.queues],
                "Sid": "BudgetExceeded",
            }
        ],
    }


def attachment(spec: Spec, denied: DenySubmit) -> dict[str, object]:
    """Returns the policy that `modules/deny_submit` gives to the role, for any account."""
    iam = f"arn:{names.partition_of(spec.region)}:iam::{'0' * 12}"
    policy = denied.policy or f"{iam}:policy/{names.deny_submit_policy(spec.name)}{'0' * 26}"
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Action": [f"iam:{verb}{kind.capitalize()}Policy" for verb in ("Attach", "Detach")],
                "Condition": {"ArnEquals": {"iam:PolicyARN": policy}},
                "Effect": "Allow",
                "Resource": [f"{iam}:{kind}/{each}" for each in sorted({*given})],
            }
            for kind, given in denied.by_kind.items()
        ],
    }


def _length(document: dict[str, object]) -> int:
    return len(json.dumps(document, separators=(",", ":")))
