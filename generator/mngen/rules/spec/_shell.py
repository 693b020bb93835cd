"""Rules about jobs in whose containers shells can be opened, by ECS Exec."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from mngen.cluster import SHELL_ACTIONS
from mngen.errors import Severity
from mngen.rules._rule import Match
from mngen.rules.spec._contents import DEFINITIONS
from mngen.rules.spec._rule import SpecRule
from mngen.spec import JobFromFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mngen.rules.spec._subject import Subject
    from mngen.spec import Path

_CONSIDERATIONS = "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-exec.html"
_ROLES = "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html"
_ENDPOINT = "ssmmessages"


class _Container(NamedTuple):
    """What is known of containers that shells open in.

    Attributes:
        path: The place that asks for shells.
        role: The role, `create` for the one that mngen creates; or None.
        properties: Further properties.
        of_file: Whether they are of a definition from a file.
    """

    path: Path
    role: str | None
    properties: Mapping[str, Any]
    of_file: bool


def _containers(subject: Subject) -> Iterator[_Container]:
    """Yields the containers that shells open in; of a definition from a file, one by one."""
    created = None if subject.spec.roles.job == "none" else subject.spec.roles.job
    for job in subject.jobs:
        if isinstance(job.spec, JobFromFile):
            for path, found in job.spec.from_file.with_shell:
                place = ("jobs", job.name, "definition", *path, "enableExecuteCommand")
                yield _Container(place, found.get("jobRoleArn"), found, of_file=True)
        elif job.spec.shell:
            role = job.spec.role or created
            properties = job.spec.container_properties
            yield _Container(("jobs", job.name, "shell"), role, properties, of_file=False)


class ShellHasRole(SpecRule):
    id = "MN479"
    title = "A job with `shell` must have a role"
    why = (
        "The agent of ECS Exec in the container calls Session Manager as the job's role. Amazon "
        "ECS refuses ECS Exec for a service whose tasks have none. AWS does not document what AWS "
        "Batch does with such a job; without credentials, no shell opens."
    )
    remedy = "remove `shell`, or give the job a role: `roles: {job: create}`"
    source_url = "https://github.com/aws/aws-toolkit-jetbrains/issues/3649"
    manual_test = DEFINITIONS.format("[enableExecuteCommand,jobRoleArn]")
    failing = """\
roles: {job: none}
queues:
  mpi: {environments: [r5]}
jobs:
  hello:
    queue: mpi
    command: [hostname]
    shell: true  #! true
"""
    passing = """\
roles: {job: create}
queues:
  mpi: {environments: [r5]}
jobs:
  hello:
    queue: mpi
    command: [hostname]
    shell: true
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for each in _containers(subject):
            if each.role is None:
                hint = "add `jobRoleArn` to the same container" if each.of_file else None
                yield Match(each.path, "the containers have no role", hint)


class ShellRoleAllows(SpecRule):
    id = "MN466"
    severity = Severity.INFO
    title = "Your own role of a job with `shell` should allow ECS Exec"
    why = (
        "mngen changes no role that the spec names. Without these permissions the job runs, and "
        "its shells do not open (TargetNotConnectedException)."
    )
    remedy = f"allow {', '.join(SHELL_ACTIONS)} to the role, on all resources"
    source_url = _ROLES
    manual_test = (
        "aws iam simulate-principal-policy --policy-source-arn ROLE "
        f"--action-names {' '.join(SHELL_ACTIONS)}"
    )
    failing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  hello:
    queue: mpi
    command: [hostname]
    role: arn:aws:iam::123456789012:role/lab-jobs
    shell: true  #! true
"""
    passing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  hello:
    queue: mpi
    command: [hostname]
    shell: true
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for each in _containers(subject):
            if each.role is not None and each.role != "create":
                yield Match(each.path, f"{each.role} must allow ECS Exec")


class ShellWritesFiles(SpecRule):
    id = "MN480"
    severity = Severity.WARNING
    title = "A job with `shell` should have a root file system that it can write to"
    why = (
        "The agent of ECS Exec creates folders in the container when it starts. AWS does not "
        "support ECS Exec with a read-only root file system: the job runs, and its shells do not "
        "open."
    )
    remedy = "remove `readonlyRootFilesystem`, or `shell`"
    source_url = _CONSIDERATIONS
    manual_test = (
        "aws ecs describe-tasks --cluster CLUSTER --tasks TASK "
        "--query 'tasks[].containers[].managedAgents'"
    )
    failing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  hello:
    queue: mpi
    command: [hostname]
    shell: true  #! true
    container_properties: {readonlyRootFilesystem: true}
"""
    passing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  hello:
    queue: mpi
    command: [hostname]
    shell: true
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for each in _containers(subject):
            if each.properties.get("readonlyRootFilesystem") is True:
                key = "enableExecuteCommand" if each.of_file else "shell"
                yield Match(
                    each.path,
                    "the container's root file system is read-only",
                    f"remove `readonlyRootFilesystem`, or `{key}`",
                )


class ShellReached(SpecRule):
    id = "MN467"
    title = "A VPC without NAT must have the endpoint of Session Manager for jobs with `shell`"
    why = (
        "The agent of ECS Exec in the container calls Session Manager. Without a NAT gateway it "
        "reaches it through the endpoint `ssmmessages` alone; the job runs, and its shells do not "
        "open (TargetNotConnectedException)."
    )
    remedy = "add `ssmmessages` to `endpoints`, or leave `nat` out"
    source_url = "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/vpc-endpoints.html"
    manual_test = "aws ec2 describe-vpc-endpoints --query 'VpcEndpoints[].ServiceName'"
    failing = """\
network:
  vpc: new
  zones: [us-east-1a]
  nat: false
  endpoints: [s3, ecr.api, ecr.dkr, logs, ecs, ecs-agent, ecs-telemetry]  #! [
image: {connect: private-ip, ssh_from: [10.0.0.0/16]}
queues:
  mpi: {environments: [r5]}
jobs:
  hello:
    queue: mpi
    command: [hostname]
    shell: true
"""
    passing = """\
network:
  vpc: new
  zones: [us-east-1a]
  nat: false
  endpoints: [s3, ecr.api, ecr.dkr, logs, ecs, ecs-agent, ecs-telemetry, ssmmessages]
image: {connect: private-ip, ssh_from: [10.0.0.0/16]}
queues:
  mpi: {environments: [r5]}
jobs:
  hello:
    queue: mpi
    command: [hostname]
    shell: true
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        with_shell = any(job.spec.shell for job in subject.jobs)
        for network in subject.network:
            alone = network.vpc == "new" and network.nat is False
            if alone and with_shell and _ENDPOINT not in network.endpoints:
                yield Match(
                    ("network", "endpoints"),
                    "without a NAT gateway no shell reaches the containers of jobs with `shell`: "
                    f"no {_ENDPOINT}",
                )


class ShellLeavesDefaultVpc(SpecRule):
    id = "MN465"
    severity = Severity.WARNING
    title = "Multi-node jobs with `shell` should have a route to Session Manager"
    why = (
        "The container of a multi-node job has its own network interface, without a public "
        "address. In the default VPC it reaches Session Manager only through an endpoint; without "
        "one the job runs, and its shells do not open (TargetNotConnectedException)."
    )
    remedy = (
        "add `endpoints: [ssmmessages]` to `network` unless the VPC has that endpoint, or write "
        "`vpc: new`"
    )
    source_url = "https://docs.aws.amazon.com/batch/latest/userguide/mnp-ce.html"
    manual_test = "aws ec2 describe-vpc-endpoints --query 'VpcEndpoints[].[VpcId,ServiceName]'"
    besides = ("MN161",)
    failing = """\
network: {vpc: default}
queues:
  mpi: {environments: [r5]}
jobs:
  hello:
    queue: mpi
    nodes: 2
    command: [hostname]
    shell: true  #! true
"""
    passing = """\
network: {vpc: default, endpoints: [ssmmessages]}
queues:
  mpi: {environments: [r5]}
jobs:
  hello:
    queue: mpi
    nodes: 2
    command: [hostname]
    shell: true
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for network in subject.network:
            if network.vpc != "default" or _ENDPOINT in network.endpoints:
                continue
            for job in subject.jobs:
                if job.spec.shell and job.spec.nodes is not None:
                    yield Match(
                        ("jobs", job.name, "shell"),
                        "in the default VPC, its containers have no public address and no endpoint "
                        f"{_ENDPOINT}",
                    )
