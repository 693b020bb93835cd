"""Rules about IAM roles, policies and accounts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mngen.cluster import denied_submitters, names
from mngen.errors import Severity
from mngen.rules._rule import Match
from mngen.rules.spec._rule import SpecRule
from mngen.spec import JobFromFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.rules.spec._subject import Subject
    from mngen.spec import Path, Spec

_SWEEPING = frozenset(("AdministratorAccess", "PowerUserAccess", "IAMFullAccess"))


class ServiceLinkedRole(SpecRule):
    id = "MN185"
    severity = Severity.WARNING
    title = "AWS Batch should use its service-linked role"
    why = (
        "AWS Batch updates a compute environment in place only if it uses its service-linked role. "
        "With any other service role, each new AMI, launch template or instance type replaces the "
        "environment and terminates its jobs. The role must also stay until the last environment "
        "is deleted, or that hangs in DELETING."
    )
    remedy = "write `service: service-linked`, or leave it out"
    source_url = (
        "https://docs.aws.amazon.com/batch/latest/userguide/updating-compute-environments.html"
    )
    manual_test = "aws iam get-role --role-name AWSServiceRoleForBatch"
    failing = """\
roles:
  service: create  #! create
"""
    passing = """\
roles:
  service: service-linked
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        service = subject.spec.roles.service
        if service != "service-linked" and "/aws-service-role/batch.amazonaws.com/" not in service:
            yield Match(
                ("roles", "service"),
                "with its own service role, every new image or instance type will replace "
                "the compute environments, with the jobs on them",
            )


class OnePartition(SpecRule):
    id = "MN186"
    title = "Roles and policies must be in the partition of the region"
    why = (
        "China and GovCloud are partitions with their own accounts and policies; an ARN of another "
        "partition is not valid there."
    )
    remedy = "name a role or policy of the region's partition"
    source_url = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html"
    manual_test = "aws sts get-caller-identity --query Arn"
    failing = """\
name: seismic
region: cn-north-1
roles:
  job_policies: ["arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"]  #! "arn:
"""
    passing = """\
name: seismic
region: cn-north-1
roles:
  job_policies: ["arn:aws-cn:iam::aws:policy/AmazonS3ReadOnlyAccess"]
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        if not subject.sound("region"):
            return
        expected = names.partition_of(subject.spec.region)
        for path, arn in arns(subject.spec):
            given = arn.split(":")[1]
            if given != expected:
                yield Match(
                    path,
                    f"the ARN is of the partition `{given}`, and the region "
                    f"`{subject.spec.region}` of `{expected}`",
                    f"did you mean `{arn.replace(given, expected, 1)}`?",
                )


class FleetRoleUsed(SpecRule):
    id = "MN187"
    severity = Severity.INFO
    title = "`roles.spot_fleet` requires a Spot environment with best-fit allocation"
    why = "AWS Batch uses this role only to buy Spot instances by best-fit."
    remedy = "remove `spot_fleet`"
    source_url = "https://docs.aws.amazon.com/batch/latest/userguide/spot_fleet_IAM_role.html"
    manual_test = "aws iam get-role --role-name AmazonEC2SpotFleetTaggingRole"
    failing = """\
roles:
  spot_fleet: create  #! create
"""
    passing = """\
roles:
  spot_fleet: none
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        if not subject.sound("environments"):
            return
        spot = any(each.purchase == "spot" for each in subject.spec.environments.values())
        if subject.spec.roles.spot_fleet != "none" and not spot:
            yield Match(
                ("roles", "spot_fleet"), "no environment is Spot, and no other uses this role"
            )


class OneAccount(SpecRule):
    id = "MN188"
    title = "Roles and policies must be in one account"
    why = (
        "AWS Batch, EC2 and IAM accept roles, instance profiles and policies of the same account "
        "only."
    )
    remedy = "name one of the account that the spec is applied to, or correct `account`"
    source_url = "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html"
    manual_test = "aws sts get-caller-identity --query Account"
    failing = """\
account: "123456789012"
roles:
  instance_profile: arn:aws:iam::210987654321:instance-profile/ecsInstanceRole  #! arn:
"""
    passing = """\
account: "123456789012"
roles:
  instance_profile: arn:aws:iam::123456789012:instance-profile/ecsInstanceRole
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        owner = subject.spec.account
        for path, arn in arns(subject.spec):
            account = arn.split(":")[4]
            if account == "aws":
                continue
            owner = owner or account
            if account != owner:
                whose = "the spec's is" if subject.spec.account else "another role's is"
                yield Match(path, f"the ARN is of the account {account}, and {whose} {owner}")


class LeastPrivilege(SpecRule):
    id = "MN189"
    severity = Severity.WARNING
    title = "Containers and nodes should not run with an administrator's policy"
    why = (
        "Every container of every job gets the credentials of its role. Everyone who can put code "
        "into the image or onto the shared file system can use them. Containers of single-node "
        "jobs can also take the role of the node."
    )
    remedy = "name policies for what the jobs or nodes need, such as one bucket"
    source_url = "https://docs.aws.amazon.com/IAM/latest/UserGuide/best-practices.html"
    manual_test = (
        "aws iam list-entities-for-policy --policy-arn arn:aws:iam::aws:policy/AdministratorAccess"
    )
    failing = """\
roles:
  job_policies: ["arn:aws:iam::aws:policy/AdministratorAccess"]  #! "arn:
"""
    passing = """\
roles:
  job_policies: ["arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"]
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for key, who in (
            ("job_policies", "every container of every job"),
            ("instance_policies", "every node"),
        ):
            for index, arn in enumerate(getattr(subject.spec.roles, key)):
                if re.search(r"::aws:policy/", arn) and arn.rpartition("/")[2] in _SWEEPING:
                    yield Match(("roles", key, index), f"{who} would have {arn.rpartition('/')[2]}")


class AgentPolicyOnce(SpecRule):
    id = "MN430"
    title = "`roles.instance_policies` must not name the policy of the ECS agent"
    why = (
        "mngen attaches it to the role of the nodes itself. If it were in the spec as well, "
        "removing it there would detach it, and no new node could join the cluster."
    )
    remedy = "remove it from the list"
    source_url = (
        "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/instance_IAM_role.html"
    )
    manual_test = "aws iam list-attached-role-policies --role-name ROLE"
    failing = """\
roles:
  instance_policies:
    - arn:aws:iam::aws:policy/CloudWatchAgentServerPolicy
    - arn:aws:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role  #! arn:
"""
    passing = """\
roles:
  instance_policies:
    - arn:aws:iam::aws:policy/CloudWatchAgentServerPolicy
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for index, arn in enumerate(subject.spec.roles.instance_policies):
            if arn.endswith(f"::aws:policy/service-role/{names.AGENT_POLICY}"):
                yield Match(
                    ("roles", "instance_policies", index),
                    f"nodes have {names.AGENT_POLICY} already",
                )


def arns(spec: Spec) -> Iterator[tuple[Path, str]]:
    """Yields every ARN of a role or policy with its place in the spec."""
    roles = spec.roles
    single = ("service", "instance_profile", "spot_fleet", "job", "execution")
    for key in (*single, "permissions_boundary"):
        value = getattr(roles, key)
        if value is not None and value.startswith("arn:"):
            yield ("roles", key), value
    for key in ("instance_policies", "job_policies"):
        for index, arn in enumerate(getattr(roles, key)):
            yield ("roles", key, index), arn
    denied = denied_submitters(spec)
    for key in ("policy", "role") if denied else ():
        if value := getattr(denied, key):
            yield ("budget", "deny_submit", key), value
    for name, job in spec.jobs.items():
        if isinstance(job, JobFromFile):
            for path, arn in job.from_file.roles:
                yield ("jobs", name, "definition", *path), arn
        elif job.role is not None:
            yield ("jobs", name, "role"), job.role
