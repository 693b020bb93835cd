"""Rules about what a job hands to its container: command, environment, image."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mngen.cluster import key_variables
from mngen.errors import Severity
from mngen.rules._rule import Match
from mngen.rules.spec._rule import SpecRule
from mngen.spec import JobFromFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mngen.rules.spec._subject import Subject
    from mngen.spec import Path

DEFINITIONS = (
    "aws batch describe-job-definitions --status ACTIVE "
    "--query 'jobDefinitions[].[containerProperties,nodeProperties.nodeRangeProperties[].container]"
    "[][].{}'"
)
"""A command that shows a property of containers, those of single-node jobs too, by its name."""
_ENVIRONMENT = DEFINITIONS.format("environment")
_VARIABLES = "https://docs.aws.amazon.com/batch/latest/userguide/job_env_vars.html"

_LARGEST_DEFINITION = 24 * 1024
"""Bytes of a job definition. Source: the service quotas of AWS Batch."""

_SECRET_NAME = re.compile(
    r"(?:^|_)(?:PASSW(?:OR)?D|PASSPHRASE|SECRET|TOKEN|CREDENTIALS?|API_?KEY|PRIVATE_?KEY|ACCESS_KEY)"
    r"(?:_(?:KEY|ID|VALUE))?$",
    re.IGNORECASE,
)
_SECRET_VALUE = re.compile(
    r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|-----BEGIN [A-Z ]*PRIVATE KEY|\bgh[pousr]_[A-Za-z0-9]{36}\b"
    r"|\bglpat-[\w-]{20}|://[^/\s:@]+:[^/\s:@]+@"
)
_REFERENCE = re.compile(
    r"(?=.{1,512}\Z)[A-Za-z0-9][A-Za-z0-9._/-]*(:[0-9]+/[A-Za-z0-9._/-]+)?"
    r"(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(@sha256:[0-9a-f]{64})?\Z"
)


class CommandStarts(SpecRule):
    id = "MN152"
    title = "A command must start with a program"
    why = "The container stops at once with `exec: no command`, on every node and attempt."
    remedy = "name the program first; a shell, where one is needed, is `[sh, -c, …]`"
    source_url = "https://docs.aws.amazon.com/batch/latest/userguide/job_definition_parameters.html"
    manual_test = DEFINITIONS.format("command")
    failing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  hello:
    queue: mpi
    command: [""]  #! ""
"""
    passing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  hello:
    queue: mpi
    command: [hostname]
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for path, command in _commands(subject):
            if not command[0].strip():
                yield Match((*path, 0), "the command starts with an empty string")


class VariableNames(SpecRule):
    id = "MN153"
    title = "The name of an environment variable must be valid on Linux"
    why = "A name that is empty or contains `=` cannot be distinguished from its value."
    remedy = "use letters, digits and underscores"
    source_url = "https://docs.aws.amazon.com/batch/latest/APIReference/API_KeyValuePair.html"
    manual_test = _ENVIRONMENT
    failing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  hello:
    queue: mpi
    command: [env]
    environment:
      A=B: C  #! A=B
"""
    passing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  hello:
    queue: mpi
    command: [env]
    environment:
      A: B
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for path, name, _ in variables_of(subject):
            if not name or "=" in name:
                yield Match(path, f"invalid name of an environment variable: `{name}`", key=True)


class VariablesOfBatch(SpecRule):
    id = "MN154"
    title = "Environment variables starting with `AWS_BATCH` are reserved"
    why = "AWS Batch sets them in each container and rejects a job definition that does."
    remedy = "choose a name that does not start with AWS_BATCH"
    source_url = _VARIABLES
    manual_test = _ENVIRONMENT
    failing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  hello:
    queue: mpi
    command: [env]
    environment:
      AWS_BATCH_JOB_NUM_NODES: "4"  #! AWS_BATCH_JOB_NUM_NODES
"""
    passing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  hello:
    queue: mpi
    command: [env]
    environment:
      NUM_NODES: "4"
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for path, name, _ in variables_of(subject):
            if name.upper().startswith("AWS_BATCH"):
                yield Match(path, f"`{name}` is reserved for AWS Batch", key=True)


class NoSecrets(SpecRule):
    id = "MN155"
    severity = Severity.WARNING
    title = "A job definition should not contain secrets"
    why = (
        "Everyone who can list job definitions can read their environment. Every revision keeps "
        "it, and so do the rendered tree, its git history and Terraform's state."
    )
    remedy = (
        "keep it in Secrets Manager or Parameter Store, let the job's role read it "
        "(`roles.job_policies`), and fetch it in the job; if it is real, replace it now"
    )
    source_url = "https://docs.aws.amazon.com/batch/latest/userguide/specifying-sensitive-data.html"
    manual_test = _ENVIRONMENT
    failing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  hello:
    queue: mpi
    command: [env]
    environment:
      DB_PASSWORD: not-a-real-one  #! DB_PASSWORD
"""
    passing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  hello:
    queue: mpi
    command: [env]
    environment:
      DB_SECRET_NAME: seismic/database
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for path, name, value in variables_of(subject):
            if value and (_SECRET_NAME.search(name) or _SECRET_VALUE.search(value)):
                yield Match(
                    path,
                    f"`{name}` looks like a secret, and everyone who may list job definitions "
                    "could read it",
                    key=True,
                    secret=True,
                )


class VariablesHaveValues(SpecRule):
    id = "MN156"
    severity = Severity.WARNING
    title = "An environment variable should have a value"
    why = (
        "AWS Batch drops a variable without a value from the job definition, so the container does "
        "not have it at all."
    )
    remedy = "give it a value, or remove it"
    source_url = "https://github.com/hashicorp/terraform-provider-aws/issues/26960"
    manual_test = _ENVIRONMENT
    failing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  hello:
    queue: mpi
    command: [env]
    environment:
      DEBUG: ""  #! ""
"""
    passing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  hello:
    queue: mpi
    command: [env]
    environment:
      DEBUG: "0"
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for path, name, value in variables_of(subject):
            if not value:
                yield Match(path, f"`{name}` will not be set in the container, not even as empty")


class DefinitionSize(SpecRule):
    id = "MN157"
    title = "A job definition must not exceed 24 KiB"
    why = (
        "AWS Batch rejects a larger one, and the overrides of a job may have 8192 characters at "
        "most."
    )
    remedy = "put the data into a file on the shared file system, and its path into the job"
    source_url = "https://docs.aws.amazon.com/batch/latest/userguide/service_limits.html"
    manual_test = DEFINITIONS.format("[command,environment]")
    failing = f"""\
queues:
  mpi: {{environments: [r5]}}
jobs:
  hello:  #! hello
    queue: mpi
    command: [python3, -c, "{"#" * 25_000}"]
"""
    passing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  hello:
    queue: mpi
    command: [python3, /efs/program.py]
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for name, job in subject.spec.jobs.items():
            if isinstance(job, JobFromFile):
                path: Path = ("jobs", name, "definition")
                what, size = "it takes", _json_size(job.from_file.content)
            else:
                path = ("jobs", name)
                what = "command and environment take"
                size = sum(
                    _size(part.command, key_variables(part) | part.environment)
                    for part in job.parts.values()
                )
            if size > _LARGEST_DEFINITION:
                yield Match(
                    path,
                    f"{what} {size:,} bytes, and a job definition at most {_LARGEST_DEFINITION:,}",
                    key=path[-1] == name,
                )


def _size(command: tuple[str, ...], environment: dict[str, str]) -> int:
    """Returns how many bytes both take in the job definition, or less."""
    rough = sum(map(len, command)) + sum(len(k) + len(v) + 22 for k, v in environment.items())
    if rough * 12 < _LARGEST_DEFINITION:
        # JSON writes no character in more than twelve.
        return rough
    pairs = [{"name": key, "value": value} for key, value in environment.items()]
    return _json_size([command, pairs])


def _json_size(data: Any) -> int:
    import json

    return len(json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode())


class JobImage(SpecRule):
    id = "MN158"
    title = "`image` of a job must be a valid image reference"
    why = (
        "Docker cannot pull an invalid reference, and every attempt fails with "
        "CannotPullContainerError."
    )
    remedy = "write it as in docker.io/me/app:v1.1, without https://"
    source_url = "https://docs.aws.amazon.com/batch/latest/userguide/job_definition_parameters.html"
    manual_test = DEFINITIONS.format("image")
    failing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  hello:
    queue: mpi
    command: [hostname]
    image: https://quay.io/me/app:v1  #! https://
"""
    passing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  hello:
    queue: mpi
    command: [hostname]
    image: quay.io/me/app:v1
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for path, image in _images(subject):
            if not _REFERENCE.match(image):
                yield Match(path, "invalid reference of a container image")


class FixedImage(SpecRule):
    id = "MN159"
    severity = Severity.WARNING
    title = "A container image should have a fixed tag"
    why = (
        "`latest`, which is also the default tag, can change while a cluster runs. Two nodes of a "
        "job may pull different images, and yesterday's result cannot be reproduced."
    )
    remedy = "name a version, or a digest (@sha256:…)"
    source_url = "https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-tag-mutability.html"
    manual_test = DEFINITIONS.format("image")
    failing = """\
container:
  tag: latest  #! latest
"""
    passing = """\
container:
  tag: v1.1
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        container = subject.spec.container
        if container.image is None and container.tag == "latest":
            yield Match(
                ("container", "tag"),
                "`latest` can be pushed only once: the repository's tags are immutable",
            )
        images: list[tuple[Path, str | None]] = [(("container", "image"), container.image)]
        images += _images(subject)
        for path, image in images:
            if image is not None and _REFERENCE.match(image) and _moves(image):
                yield Match(path, f"`{image}` may be another image tomorrow")


def _moves(image: str) -> bool:
    tag = image.rpartition("/")[2].partition(":")[2]
    return "@" not in image and tag in {"", "latest"}


def _commands(subject: Subject) -> Iterator[tuple[Path, Sequence[str]]]:
    """Yields every command with its place."""
    for name, job in subject.spec.jobs.items():
        if not isinstance(job, JobFromFile):
            if job.command:
                yield ("jobs", name, "command"), job.command
            continue
        for path, container in job.from_file.containers:
            if container.get("command"):
                yield ("jobs", name, "definition", *path, "command"), container["command"]


def _images(subject: Subject) -> Iterator[tuple[Path, str]]:
    """Yields the container image of every job that names one, with its place."""
    for name, job in subject.spec.jobs.items():
        if isinstance(job, JobFromFile):
            for path, container in job.from_file.containers:
                yield ("jobs", name, "definition", *path, "image"), container["image"]
        elif job.image is not None:
            yield ("jobs", name, "image"), job.image


def variables_of(subject: Subject) -> Iterator[tuple[Path, str, str]]:
    """Yields every environment variable with its place."""
    for name, job in subject.spec.jobs.items():
        if isinstance(job, JobFromFile):
            for path, variable, value in job.from_file.variables:
                yield ("jobs", name, "definition", *path), variable, value
            continue
        for variable, value in job.environment.items():
            yield ("jobs", name, "environment", variable), variable, value
