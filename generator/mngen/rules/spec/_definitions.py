"""Rules about job definitions in files: what AWS refuses only when a job is to start."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from mngen.errors import Severity
from mngen.rules._rule import Match
from mngen.rules.spec._contents import DEFINITIONS
from mngen.rules.spec._rule import SpecRule
from mngen.spec import JobFromFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.rules.spec._subject import Subject
    from mngen.spec import Path


class RoleForSecrets(SpecRule):
    id = "MN415"
    severity = Severity.WARNING
    title = "A container with secrets should have an `executionRoleArn`"
    why = (
        "The ECS agent reads secrets, those of the log driver, and the credentials of a private "
        "registry as the execution role. Without it, Amazon ECS refuses the task: the job fails "
        "before its container starts."
    )
    remedy = "add the ARN of a role that may read them: `executionRoleArn`"
    source_url = (
        "https://docs.aws.amazon.com/batch/latest/userguide/specifying-sensitive-data-secrets.html"
    )
    manual_test = DEFINITIONS.format("[secrets,executionRoleArn]")
    files = MappingProxyType(
        {
            "keyed.json": """\
{
  "type": "container",
  "containerProperties": {
    "image": "quay.io/me/post:v1",
    "vcpus": 4,
    "memory": 8000,
    "secrets": [{"name": "KEY", "valueFrom": "license"}]  #! [
  }
}
""",
            "post.json": """\
{
  "type": "container",
  "containerProperties": {
    "image": "quay.io/me/post:v1",
    "vcpus": 4,
    "memory": 8000,
    "executionRoleArn": "arn:aws:iam::123456789012:role/post-execution",
    "secrets": [{"name": "KEY", "valueFrom": "license"}]
  }
}
""",
        }
    )
    failing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  post:
    queue: mpi
    definition: keyed.json
"""
    passing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  post:
    queue: mpi
    definition: post.json
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for path, container in _containers(subject):
            if "executionRoleArn" in container:
                continue
            logs = container.get("logConfiguration", {})
            if container.get("secrets"):
                yield Match((*path, "secrets"), "nothing may read the secrets")
            if logs.get("secretOptions"):
                yield Match(
                    (*path, "logConfiguration", "secretOptions"),
                    "nothing may read the secrets of the log driver",
                )
            if container.get("repositoryCredentials"):
                yield Match(
                    (*path, "repositoryCredentials"),
                    "nothing may read the credentials of the registry",
                )


class OneTypeInAllRanges(SpecRule):
    id = "MN416"
    severity = Severity.WARNING
    title = "All node ranges of a definition should name the instance type, or none"
    why = (
        "AWS Batch requires the same instance type in all node ranges of a multi-node parallel "
        "job. For a range without one, its documentation shows no type."
    )
    remedy = "write the same `instanceType` in each node range, or in none"
    source_url = (
        "https://docs.aws.amazon.com/batch/latest/APIReference/API_ContainerProperties.html"
    )
    manual_test = DEFINITIONS.format("[instanceType]")
    files = MappingProxyType(
        {
            "mixed.json": """\
{
  "type": "multinode",
  "nodeProperties": {
    "numNodes": 2,
    "mainNode": 0,
    "nodeRangeProperties": [
      {
        "targetNodes": "0:0",
        "container": {
          "image": "quay.io/me/wave:v1",
          "vcpus": 24,
          "memory": 12000,
          "instanceType": "r5.12xlarge"
        }
      },
      {
        "targetNodes": "1:",
        "container": {"image": "quay.io/me/wave:v1", "vcpus": 24, "memory": 12000}  #! {"image
      }
    ]
  }
}
""",
            "wave.json": """\
{
  "type": "multinode",
  "nodeProperties": {
    "numNodes": 2,
    "mainNode": 0,
    "nodeRangeProperties": [
      {
        "targetNodes": "0:",
        "container": {
          "image": "quay.io/me/wave:v1",
          "vcpus": 24,
          "memory": 12000,
          "instanceType": "r5.12xlarge"
        }
      }
    ]
  }
}
""",
        }
    )
    failing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  wave:
    queue: mpi
    definition: mixed.json
"""
    passing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  wave:
    queue: mpi
    definition: wave.json
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for name, job in subject.spec.jobs.items():
            if not isinstance(job, JobFromFile):
                continue
            containers = job.from_file.containers
            named = [each["instanceType"] for _, each in containers if "instanceType" in each]
            for path, container in containers if named else ():
                if "instanceType" not in container:
                    yield Match(
                        ("jobs", name, "definition", *path),
                        f"no `instanceType`, and another node range has {named[0]}",
                    )


class NoEmptyObjects(SpecRule):
    id = "MN417"
    severity = Severity.INFO
    title = "A definition should have no empty objects"
    why = (
        "The AWS provider for Terraform compares the file with what AWS Batch describes. It takes "
        "an empty list for none, but not an empty object, and AWS does not document whether AWS "
        "Batch keeps one. If not, each apply registers another revision."
    )
    remedy = "remove it: it has no effect"
    source_url = (
        "https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/batch/"
        "container_properties.go"
    )
    manual_test = (
        "aws batch describe-job-definitions --status ACTIVE "
        "--query 'jobDefinitions[].containerProperties.linuxParameters'"
    )
    files = MappingProxyType(
        {
            "empty.json": """\
{
  "type": "container",
  "containerProperties": {
    "image": "quay.io/me/post:v1",
    "vcpus": 4,
    "memory": 8000,
    "linuxParameters": {}  #! {
  }
}
""",
            "post.json": """\
{
  "type": "container",
  "containerProperties": {
    "image": "quay.io/me/post:v1",
    "vcpus": 4,
    "memory": 8000,
    "linuxParameters": {"devices": [], "initProcessEnabled": true},
    "logConfiguration": {"logDriver": "awslogs", "options": {}}
  }
}
""",
        }
    )
    failing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  post:
    queue: mpi
    definition: empty.json
"""
    passing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  post:
    queue: mpi
    definition: post.json
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for path, container in _containers(subject):
            for place in _empty(container, path):
                # Of these, the provider takes an empty one for none.
                if place[-2:] != ("logConfiguration", "options"):
                    yield Match(place, "an empty object")


def _empty(value: Any, path: Path) -> Iterator[Path]:
    """Yields the places of empty objects."""
    if value == {}:
        yield path
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _empty(each, (*path, key))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _empty(each, (*path, number))


def _containers(subject: Subject) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yields the container of each node range of a definition in a file, with its place."""
    for name, job in subject.spec.jobs.items():
        if isinstance(job, JobFromFile):
            for path, container in job.from_file.containers:
                yield ("jobs", name, "definition", *path), container
