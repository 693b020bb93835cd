"""Rules about what a job sets of its container: limits, file systems, rights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mngen.cluster import (
    creates_execution_role,
    execution_access,
    job_ulimits,
    job_variables,
    memory_in_files,
)
from mngen.errors import Severity
from mngen.rules._rule import Match
from mngen.rules.spec._contents import DEFINITIONS
from mngen.rules.spec._rule import SpecRule
from mngen.spec import JobFromFile, property_faults

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from mngen.cluster import ResolvedJob
    from mngen.rules.spec._subject import Subject
    from mngen.spec import Path, Spec

_PROPERTIES = "https://docs.aws.amazon.com/batch/latest/APIReference/API_ContainerProperties.html"
_OWN_KEYS = {
    ("command",): "command",
    ("enableExecuteCommand",): "shell",
    ("environment",): "environment",
    ("executionRoleArn",): "roles.execution",
    ("image",): "image",
    ("jobRoleArn",): "role",
    ("linuxParameters", "sharedMemorySize"): "shared_memory",
    ("linuxParameters", "tmpfs"): "tmpfs",
    ("logConfiguration",): "logs.group",
    ("memory",): "memory",
    ("privileged",): "privileged",
    ("repositoryCredentials",): "registry_credentials",
    ("resourceRequirements",): "vcpus`, `memory` and `gpus",
    ("secrets",): "secrets",
    ("ulimits",): "ulimits",
    ("user",): "user",
    ("vcpus",): "vcpus",
}
"""The keys of the spec that stand for a container property."""
_LIMITS = "https://docs.docker.com/reference/cli/docker/container/run/#ulimit"
_ULIMITS = DEFINITIONS.format("ulimits")
_CONTROL = (
    "/",
    "/boot",
    "/dev",
    "/etc",
    "/proc",
    "/root",
    "/run/docker.sock",
    "/sys",
    "/usr",
    "/var/lib/docker",
    "/var/lib/ecs",
    "/var/run/docker.sock",
)
"""Paths of a node with which a program in a container becomes root there."""


class SoftWithinHard(SpecRule):
    id = "MN468"
    title = "A soft limit must not exceed its hard limit"
    why = (
        "Linux refuses such a limit, so Docker does not start the container, on every node and "
        "attempt."
    )
    remedy = "lower `soft`, or raise `hard`; -1 means unlimited"
    source_url = _LIMITS
    manual_test = _ULIMITS
    failing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  hello:
    queue: mpi
    command: [hostname]
    ulimits:
      nofile: {soft: 65536, hard: 1024}  #! {soft
"""
    passing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  hello:
    queue: mpi
    command: [hostname]
    ulimits:
      nofile: {soft: 1024, hard: 65536}
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for job in subject.jobs:
            for name, limit in job_ulimits(job).items():
                if limit.hard >= 0 and not 0 <= limit.soft <= limit.hard:
                    soft = "no limit" if limit.soft < 0 else str(limit.soft)
                    yield Match(
                        ("jobs", job.name, "ulimits", name),
                        f"the soft limit of `{name}` ({soft}) exceeds the hard one ({limit.hard})",
                    )


class OpenFilesLimited(SpecRule):
    id = "MN469"
    title = "The number of open files must have a limit"
    why = (
        "Linux allows no more open files than its own setting `fs.nr_open` (setrlimit(2)), and "
        "refuses `nofile` without a limit, also to root. The container does not start."
    )
    remedy = "set a number, such as 1048576"
    source_url = _LIMITS
    manual_test = _ULIMITS
    failing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  hello:
    queue: mpi
    command: [hostname]
    ulimits: {nofile: -1}  #! -1
"""
    passing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  hello:
    queue: mpi
    command: [hostname]
    ulimits: {nofile: 1048576}
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for job in subject.jobs:
            limit = job_ulimits(job).get("nofile")
            if limit is not None and limit.hard < 0:
                yield Match(("jobs", job.name, "ulimits", "nofile"), "`nofile` has no limit")


class EfaLocksMemory(SpecRule):
    id = "MN470"
    severity = Severity.WARNING
    title = "A job with EFA should lock memory without a limit"
    why = (
        "EFA registers the memory that it sends from and receives into, which counts as locked. "
        "With a limit, MPI and NCCL fail when they reach it, often after hours."
    )
    remedy = "remove `memlock`: with EFA it is unlimited by default"
    source_url = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/efa-start.html"
    manual_test = _ULIMITS
    failing = """\
environments:
  c5n: {instance: c5n.18xlarge, max_nodes: 4, efa: true, zones: [us-east-1a]}
queues:
  mpi: {environments: [c5n]}
jobs:
  hello:
    queue: mpi
    nodes: 2
    command: [hostname]
    ulimits: {memlock: 65536}  #! 65536
"""
    passing = """\
environments:
  c5n: {instance: c5n.18xlarge, max_nodes: 4, efa: true, zones: [us-east-1a]}
queues:
  mpi: {environments: [c5n]}
jobs:
  hello:
    queue: mpi
    nodes: 2
    command: [hostname]
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for job in subject.jobs:
            limit = job.spec.ulimits.get("memlock")
            soft = limit if limit is None or isinstance(limit, int) else limit.soft
            if job.efa_interfaces and soft is not None and soft >= 0:
                yield Match(
                    ("jobs", job.name, "ulimits", "memlock"),
                    f"processes with EFA could lock only {soft} bytes",
                )


class PathsOnce(SpecRule):
    id = "MN471"
    title = "Each place in a container must be mounted once"
    why = (
        "Docker refuses two mounts in one place and any below /proc, and the container does not "
        "start. The shared file systems are at the paths of `storage.efs.mount` and "
        "`storage.fsx.mount`, and the scratch space at that of `scratch` of the environments."
    )
    remedy = "choose another `path`, or remove one of the two"
    source_url = _PROPERTIES
    manual_test = DEFINITIONS.format("mountPoints")
    failing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  hello:
    queue: mpi
    command: [hostname]
    tmpfs:
      - {path: /work, size: 64}
    mounts:
      - {host: /opt/data, path: /work}  #! /work
"""
    passing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  hello:
    queue: mpi
    command: [hostname]
    tmpfs:
      - {path: /cache, size: 64}
    mounts:
      - {host: /opt/data, path: /work}
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for job in subject.jobs:
            # A definition in a file mounts the file systems itself.
            own = isinstance(job.spec, JobFromFile)
            taken = {} if own else dict(_mounted(subject.spec, job))
            for path, place, what in _places(job):
                if place in taken:
                    yield Match(path, f"`{place}` is {taken[place]} already")
                elif f"{place}/".startswith("/proc/"):
                    yield Match(path, f"nothing can be mounted at `{place}`")
                taken.setdefault(place, what)


def _mounted(spec: Spec, job: ResolvedJob) -> Iterator[tuple[str, str]]:
    """Yields where a job has a file system of its nodes, and what that is."""
    yield spec.storage.efs.mount, "the shared file system"
    if spec.storage.fsx_mount is not None:
        yield spec.storage.fsx_mount, "FSx for Lustre"
    if job.scratch is not None:
        yield job.scratch, "the scratch space"


def _places(job: ResolvedJob) -> Iterator[tuple[Path, str, str]]:
    """Yields each place that a job mounts something at: its path in the spec, it, and what."""
    for number, files in enumerate(job.spec.tmpfs):
        yield ("jobs", job.name, "tmpfs", number, "path"), files.path, "a tmpfs of the job"
    for number, mount in enumerate(job.spec.mounts):
        yield ("jobs", job.name, "mounts", number, "path"), mount.path, f"`{mount.host}`"
    further: Path = ("jobs", job.name, "container_properties", "mountPoints")
    for number, point in listed(job.spec.container_properties, "mountPoints"):
        place = point.get("containerPath")
        if isinstance(place, str):
            what = f"the volume `{point.get('sourceVolume')}`"
            yield (*further, number, "containerPath"), place.rstrip("/"), what


class FilesFitMemory(SpecRule):
    id = "MN472"
    severity = Severity.WARNING
    title = "File systems in memory should leave memory to the job"
    why = (
        "What is in a tmpfs or in /dev/shm counts in the memory of the container. If together they "
        "may take all of it, the kernel kills processes of the job before they are full."
    )
    remedy = "lower `size` or `shared_memory`, or raise `memory`"
    source_url = "https://docs.kernel.org/filesystems/tmpfs.html"
    manual_test = DEFINITIONS.format("linuxParameters")
    failing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  hello:
    queue: mpi
    command: [hostname]
    memory: 4096
    tmpfs:
      - {path: /work, size: 4096}  #! {path
"""
    passing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  hello:
    queue: mpi
    command: [hostname]
    memory: 8192
    tmpfs:
      - {path: /work, size: 4096}
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for job in subject.jobs:
            files = memory_in_files(job)
            if job.spec.tmpfs and files >= job.memory:
                largest = max(enumerate(job.spec.tmpfs), key=lambda each: each[1].size)[0]
                yield Match(
                    ("jobs", job.name, "tmpfs", largest),
                    f"`tmpfs` and /dev/shm ({job.shared_memory} MiB) may take {files} MiB of the "
                    f"{job.memory} MiB of the job",
                )


class SecretsAreNotVariables(SpecRule):
    id = "MN474"
    title = "A secret must have a name that no other variable has"
    why = (
        "Amazon ECS refuses a container whose secret has the name of an environment variable, and "
        "AWS Batch sets the variables whose names start with `AWS_BATCH`."
    )
    remedy = "rename one of the two, or remove it from `environment`"
    source_url = (
        "https://docs.aws.amazon.com/batch/latest/userguide/specifying-sensitive-data-secrets.html"
    )
    manual_test = DEFINITIONS.format("secrets")
    failing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  hello:
    queue: mpi
    command: [hostname]
    environment: {LAB_USER: me}
    secrets: {LAB_USER: /lab/user}  #! LAB_USER
"""
    passing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  hello:
    queue: mpi
    command: [hostname]
    secrets: {LAB_USER: /lab/user}
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for job in subject.jobs:
            variables = job_variables(subject.spec, job)
            for name in job.spec.secrets:
                path = ("jobs", job.name, "secrets", name)
                if name in variables:
                    yield Match(path, f"`{name}` is an environment variable already", key=True)
                elif name.upper().startswith("AWS_BATCH"):
                    yield Match(path, f"`{name}` is reserved for AWS Batch", key=True)


class SecretsReached(SpecRule):
    id = "MN475"
    title = "A VPC without NAT must have endpoints for the secrets of jobs"
    why = (
        "The ECS agent on the node reads secrets when a container starts. Without a NAT gateway it "
        "reaches Secrets Manager and Systems Manager through their endpoints alone; the job fails "
        "with ResourceInitializationError."
    )
    remedy = "add the endpoints, or leave `nat` out"
    source_url = "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/vpc-endpoints.html"
    manual_test = "aws ec2 describe-vpc-endpoints --query 'VpcEndpoints[].ServiceName'"
    failing = """\
network:
  vpc: new
  zones: [us-east-1a]
  nat: false
  endpoints: [s3, ecr.api, ecr.dkr, logs, ecs, ecs-agent, ecs-telemetry, ssm, ssmmessages]  #! [
queues:
  mpi: {environments: [r5]}
jobs:
  hello:
    queue: mpi
    command: [hostname]
    secrets: {TOKEN: "arn:aws:secretsmanager:us-east-1:123456789012:secret:lab-AbCdEf"}
"""
    passing = """\
network:
  vpc: new
  zones: [us-east-1a]
  nat: false
  endpoints: [s3, ecr.api, ecr.dkr, logs, ecs, ecs-agent, ecs-telemetry, ssm, ssmmessages]
queues:
  mpi: {environments: [r5]}
jobs:
  hello:
    queue: mpi
    command: [hostname]
    secrets: {TOKEN: /lab/token}
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        access = execution_access(subject.spec)
        needs = {"secretsmanager": access.secrets, "ssm": access.parameters}
        for network in subject.network:
            given = set(network.endpoints)
            missing = [name for name, places in needs.items() if places and name not in given]
            if network.vpc == "new" and network.nat is False and missing:
                yield Match(
                    ("network", "endpoints"),
                    "without a NAT gateway the nodes cannot read the secrets of jobs: no "
                    + ", ".join(missing),
                    f"add {', '.join(missing)} to `endpoints`, or leave `nat` out",
                )


class CredentialsOfRegistries(SpecRule):
    id = "MN476"
    title = "Registry credentials must be for an image outside Amazon ECR"
    why = (
        "The ECS agent logs in to Amazon ECR with its role. Amazon ECS uses the credentials in a "
        "secret for other registries only."
    )
    remedy = "remove `registry_credentials`, or name the `image` that it is for"
    source_url = "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/private-auth.html"
    manual_test = DEFINITIONS.format("repositoryCredentials")
    failing = """\
container:
  registry_credentials: arn:aws:secretsmanager:us-east-1:123456789012:secret:lab-AbCdEf  #! arn
"""
    passing = """\
container:
  image: quay.io/lab/wave:v1
  registry_credentials: arn:aws:secretsmanager:us-east-1:123456789012:secret:lab-AbCdEf
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        container = subject.spec.container
        given: list[tuple[Path, str | None, str | None]]
        given = [(("container",), container.registry_credentials, container.image)]
        given += [
            (("jobs", job.name), job.spec.registry_credentials, job.spec.image or container.image)
            for job in subject.jobs
        ]
        for path, credentials, image in given:
            if credentials is not None and (image is None or ".dkr.ecr." in image):
                what = f"`{image}` is in" if image else "the deployment's repository is in"
                yield Match((*path, "registry_credentials"), f"{what} Amazon ECR")


class KeysOfCreatedRole(SpecRule):
    id = "MN477"
    title = "`secret_keys` require an execution role that mngen creates"
    why = (
        "mngen gives the permission to decrypt to the role that it creates for the secrets of "
        "jobs. It changes no role that the spec names, and creates none without secrets."
    )
    remedy = "remove `secret_keys`, and allow kms:Decrypt to your own role"
    source_url = "https://docs.aws.amazon.com/batch/latest/userguide/execution-IAM-role.html"
    manual_test = "aws iam list-role-policies --role-name ROLE"
    failing = """\
queues:
  mpi: {environments: [r5]}
roles:
  execution: arn:aws:iam::123456789012:role/lab-execution
  secret_keys: ["arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd"]  #! [
jobs:
  hello:
    queue: mpi
    command: [hostname]
    secrets: {TOKEN: /lab/token}
"""
    passing = """\
queues:
  mpi: {environments: [r5]}
roles:
  secret_keys: ["arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd"]
jobs:
  hello:
    queue: mpi
    command: [hostname]
    secrets: {TOKEN: /lab/token}
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for roles in subject.roles:
            if roles.secret_keys and not creates_execution_role(subject.spec):
                own = roles.execution != "create"
                yield Match(
                    ("roles", "secret_keys"),
                    "the role in `execution` is not mngen's" if own else "no job has secrets",
                    None if own else "remove `secret_keys`, or add `secrets` to a job",
                )


class FurtherProperties(SpecRule):
    id = "MN478"
    title = "`container_properties` must be container properties that mngen does not set"
    why = (
        "AWS Batch refuses properties that it does not know, and the AWS provider of Terraform "
        "leaves out what it does not know. What mngen sets from other keys must not be set twice, "
        "and a mount point needs its volume."
    )
    remedy = "remove it"
    source_url = _PROPERTIES
    manual_test = "aws batch register-job-definition --generate-cli-skeleton"
    failing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  hello:
    queue: mpi
    command: [hostname]
    container_properties:
      user: root  #! root
"""
    passing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  hello:
    queue: mpi
    command: [hostname]
    user: root
    container_properties:
      readonlyRootFilesystem: true
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for job in subject.jobs:
            if not job.spec.container_properties:
                continue
            volumes = ["efs", *(["fsx"] if subject.spec.storage.fsx else [])]
            volumes += ["scratch"] if job.scratch else []
            own = list(_own_properties(job.spec.container_properties, volumes))
            own += _unknown_volumes(job.spec.container_properties, volumes)
            taken = {path for path, _, _ in own}
            for path, message, hint in (*own, *property_faults(job.spec.container_properties)):
                # What another key sets is reported once.
                if hint is not None or not any(path[: len(each)] == each for each in taken):
                    yield Match(("jobs", job.name, "container_properties", *path), message, hint)


def _own_properties(
    properties: Mapping[str, Any], volumes: Collection[str]
) -> Iterator[tuple[Path, str, str | None]]:
    """Yields what a job sets in `container_properties` that mngen sets: path, message and hint.

    Args:
        properties: The properties.
        volumes: The names of the volumes that the job has besides its `mounts`.
    """
    for path, key in _OWN_KEYS.items():
        found: Any = properties
        for name in path:
            found = found.get(name) if isinstance(found, dict) else None
        if found is not None:
            yield path, f"mngen sets `{'.'.join(path)}`", f"use `{key}`"
    for key, name in (("volumes", "name"), ("mountPoints", "sourceVolume")):
        for number, each in listed(properties, key):
            volume = each.get(name)
            if isinstance(volume, str) and (
                volume.startswith("mount-") or (key == "volumes" and volume in volumes)
            ):
                yield (key, number, name), f"mngen uses the name `{volume}`", "choose another name"


def _unknown_volumes(
    properties: Mapping[str, Any], volumes: Collection[str]
) -> Iterator[tuple[Path, str, str | None]]:
    """Yields the mount points whose volume the job does not have: path, message and hint.

    Amazon ECS refuses the task of such a container.

    Args:
        properties: The properties.
        volumes: The names of the volumes that the job has besides its `mounts`.
    """
    known = [*volumes, *(str(each.get("name")) for _, each in listed(properties, "volumes"))]
    for number, each in listed(properties, "mountPoints"):
        volume = each.get("sourceVolume")
        if isinstance(volume, str) and volume not in known and not volume.startswith("mount-"):
            yield (
                ("mountPoints", number, "sourceVolume"),
                f"there is no volume `{volume}`",
                f"add it to `volumes`, or name one of these: {', '.join(known)}",
            )


def listed(properties: Mapping[str, Any], key: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields the objects of a list in `container_properties`; its form is another rule's matter."""
    listed = properties.get(key)
    for number, each in enumerate(listed if isinstance(listed, list) else []):
        if isinstance(each, dict):
            yield number, each


class NodesGuarded(SpecRule):
    id = "MN473"
    severity = Severity.WARNING
    title = "A container should not control its node"
    why = (
        "A privileged container, or one that may write to the system's folders or Docker's socket, "
        "can become root on the node. It then has the permissions of the instance role and reaches "
        "the other containers there."
    )
    remedy = (
        "pass what the program needs: a device in a `definition`, a limit in `ulimits`, a folder "
        "in `mounts`"
    )
    source_url = (
        "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/security-tasks-containers.html"
    )
    manual_test = DEFINITIONS.format("privileged")
    failing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  hello:
    queue: mpi
    command: [hostname]
    privileged: true  #! true
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
        for job in subject.jobs:
            if job.spec.privileged:
                yield Match(
                    ("jobs", job.name, "privileged"), "the container has all rights on the node"
                )
            for number, mount in enumerate(job.spec.mounts):
                # A program that can open the socket controls Docker, also where it is read-only.
                socket = mount.host.endswith("/docker.sock")
                if mount.host in _CONTROL and (socket or not mount.read_only):
                    yield Match(
                        ("jobs", job.name, "mounts", number, "host"),
                        f"with `{mount.host}`, the container can become root on the node",
                        "remove it"
                        if socket
                        else "mount a folder below it, or add `read_only: true`",
                    )
