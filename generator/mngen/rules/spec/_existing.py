"""Rules about what existed before the deployment: its names, and what is used as it is."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from mngen._json_text import pointer
from mngen.cluster import definition_name, names, queue_name
from mngen.errors import Severity
from mngen.rules._rule import Match
from mngen.rules.spec._contents import DEFINITIONS
from mngen.rules.spec._rule import SpecRule
from mngen.spec import JobFromFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mngen.rules.spec._subject import Subject
    from mngen.spec import Path

_QUEUE = "https://docs.aws.amazon.com/batch/latest/APIReference/API_CreateJobQueue.html"
_QUEUES = (
    "aws batch describe-job-queues "
    "--query 'jobQueues[].[jobQueueName,computeEnvironmentOrder[].computeEnvironment]'"
)
_MOST_ENVIRONMENTS = 3


class NamesOnce(SpecRule):
    id = "MN401"
    title = "Queues and job definitions must have unique names in AWS"
    why = (
        "AWS Batch knows a job queue by its name, and a job definition likewise. With a second "
        "queue of the same name, the apply fails; two jobs with one name are revisions of the same "
        "job definition, and a submission gets the newest of either."
    )
    remedy = "choose another `aws_name`"
    source_url = _QUEUE
    manual_test = "aws batch describe-job-queues --query 'jobQueues[].jobQueueName'"
    failing = """\
name: seismic
environments:
  r5: {instance: r5.12xlarge, max_nodes: 16}
queues:
  mpi: {environments: [r5]}
  old: {environments: [r5], aws_name: seismic-mpi}  #! seismic-mpi
"""
    passing = """\
name: seismic
environments:
  r5: {instance: r5.12xlarge, max_nodes: 16}
queues:
  mpi: {environments: [r5]}
  old: {environments: [r5], aws_name: MultiNodeQueue}
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        spec = subject.spec
        sections = {
            "queues": {
                name: (queue_name(spec, name), queue.aws_name)
                for name, queue in spec.queues.items()
            },
            "jobs": {
                name: (definition_name(spec, name), job.aws_name) for name, job in spec.jobs.items()
            },
        }
        for section, entries in sections.items():
            taken: dict[str, str] = {}
            # Those without the key come first, so that the problem is where there is one.
            for name in sorted(entries, key=lambda each: entries[each][1] is not None):
                full, _ = entries[name]
                first = taken.setdefault(full, name)
                if first != name:
                    yield Match(
                        (section, name, "aws_name"), f"`{first}` has the name `{full}` in AWS, too"
                    )


class OneRepositoryName(SpecRule):
    id = "MN402"
    severity = Severity.WARNING
    title = "`container.aws_name` excludes `container.repository`"
    why = "The repository has one name in ECR, and `aws_name` is the whole of it."
    remedy = "remove `repository`"
    source_url = "https://docs.aws.amazon.com/AmazonECR/latest/userguide/Repositories.html"
    manual_test = "aws ecr describe-repositories --query 'repositories[].repositoryName'"
    failing = """\
container:
  aws_name: aws_multi_node_batch
  repository: app  #! app
"""
    passing = """\
container:
  aws_name: aws_multi_node_batch
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        container = subject.spec.container
        if container.aws_name and container.repository != type(container)().repository:
            yield Match(("container", "repository"), "`repository` has no effect beside `aws_name`")


class ThreeEnvironments(SpecRule):
    id = "MN403"
    title = "A queue must have at most three environments, `legacy` included"
    why = "AWS Batch associates up to three compute environments with a job queue."
    remedy = "remove one"
    source_url = _QUEUE
    manual_test = _QUEUES
    besides = ("MN138", "MN178")
    failing = """\
environments:
  a: {instance: r5.12xlarge, max_nodes: 16}
  b: {instance: r5.12xlarge, max_nodes: 16}
  c: {instance: r5.12xlarge, max_nodes: 16}
queues:
  mpi:
    environments: [a, b, c]
    legacy:  #! legacy
      - arn:aws:batch:us-east-1:123456789012:compute-environment/old
"""
    passing = """\
environments:
  a: {instance: r5.12xlarge, max_nodes: 16}
queues:
  mpi:
    environments: [a]
    legacy:
      - arn:aws:batch:us-east-1:123456789012:compute-environment/old
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for name, queue in subject.spec.queues.items():
            count = len(queue.environments) + len(queue.legacy)
            if queue.legacy and count > _MOST_ENVIRONMENTS:
                yield Match(
                    ("queues", name, "legacy"), f"the queue has {count} environments", key=True
                )


class QueuePartsHere(SpecRule):
    id = "MN404"
    title = "What a queue uses must be in the region and account of the deployment"
    why = (
        "AWS Batch looks for the compute environments and the scheduling policy of a job queue in "
        "the queue's region and account only."
    )
    remedy = "correct the ARN"
    source_url = _QUEUE
    manual_test = _QUEUES
    failing = """\
region: us-east-1
environments:
  a: {instance: r5.12xlarge, max_nodes: 16}
queues:
  mpi:
    environments: [a]
    legacy:
      - arn:aws:batch:us-west-2:123456789012:compute-environment/old  #! arn
"""
    passing = """\
region: us-east-1
environments:
  a: {instance: r5.12xlarge, max_nodes: 16}
queues:
  mpi:
    environments: [a]
    legacy:
      - arn:aws:batch:us-east-1:123456789012:compute-environment/old
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        spec = subject.spec
        known = subject.sound("region")
        for name, queue in spec.queues.items():
            given: list[tuple[Path, str]] = [
                (("queues", name, "legacy", index), arn) for index, arn in enumerate(queue.legacy)
            ]
            if queue.scheduling_policy:
                given.append((("queues", name, "scheduling_policy"), queue.scheduling_policy))
            for path, arn in given:
                _, partition, _, region, account, _ = arn.split(":")
                if known and region != spec.region:
                    yield Match(path, f"it is in {region}, and the deployment in {spec.region}")
                elif known and partition != names.partition_of(region):
                    yield Match(
                        path,
                        f"its partition is {partition}, and that of {region} is "
                        f"{names.partition_of(region)}",
                    )
                elif spec.account and account != spec.account:
                    yield Match(
                        path,
                        f"it is of the account {account}, and the deployment of {spec.account}",
                    )


class CpusInType(SpecRule):
    id = "MN405"
    title = "`cpus` must not exceed the cores of the instance type"
    why = (
        "The image limits the kernel to `cpus`, one thread a core. A type with fewer cores would "
        "run threads of one core as two CPUs, or have fewer CPUs than jobs ask for."
    )
    remedy = "lower `cpus`, or write `hyperthreading: true` in its place for all threads"
    source_url = "https://docs.aws.amazon.com/ec2/latest/instancetypes/mo.html"
    manual_test = (
        "aws ec2 describe-instance-types --instance-types r5.24xlarge "
        "--query 'InstanceTypes[].VCpuInfo.DefaultCores'"
    )
    failing = """\
environments:
  r5:
    instance: r5.24xlarge
    max_nodes: 16
    cpus: 96  #! 96
"""
    passing = """\
environments:
  r5:
    instance: r5.24xlarge
    max_nodes: 16
    cpus: 24
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for each in subject.environments:
            if each.spec.cpus is not None and each.spec.cpus > each.instance.cores:
                yield Match(
                    ("environments", each.name, "cpus"),
                    f"`{each.instance.name}` has {each.instance.cores} cores",
                )


class CpusOrThreads(SpecRule):
    id = "MN406"
    title = "`cpus` excludes `hyperthreading: true`"
    why = "With hyper-threading the image has no limit of CPUs: all threads of the type run."
    remedy = "remove one of the two"
    source_url = "https://docs.kernel.org/admin-guide/kernel-parameters.html"
    manual_test = "aws ec2 describe-instance-types --instance-types r5.24xlarge"
    failing = """\
environments:
  r5:
    instance: r5.24xlarge
    max_nodes: 16
    hyperthreading: true
    cpus: 24  #! 24
"""
    passing = """\
environments:
  r5:
    instance: r5.24xlarge
    max_nodes: 16
    cpus: 24
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for name, environment in subject.spec.environments.items():
            if environment.cpus is not None and environment.hyperthreading:
                yield Match(
                    ("environments", name, "cpus"),
                    f"`{name}` has all threads with `hyperthreading: true`",
                )


class PoliciesOfCreatedRole(SpecRule):
    id = "MN407"
    title = "Policies in the spec require a role that mngen creates"
    why = "mngen attaches policies only to the roles that it creates."
    remedy = "attach them to the role yourself and remove the key"
    source_url = "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html"
    manual_test = "aws iam list-attached-role-policies --role-name ROLE"
    failing = """\
roles:
  job: none
  job_policies: ["arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"]  #! ["arn
"""
    passing = """\
roles:
  job: create
  job_policies: ["arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"]
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        roles = subject.spec.roles
        for key, role in (("job_policies", "job"), ("instance_policies", "instance_profile")):
            given = getattr(roles, role)
            if getattr(roles, key) and given != "create":
                yield Match(("roles", key), f"`roles.{role}` is {_said(given)}")


_DEFINITIONS = (
    "aws batch describe-job-definitions --status ACTIVE "
    "--query 'jobDefinitions[].[jobDefinitionName,revision]'"
)
_SYSTEM_FOLDERS = frozenset(
    {
        *("bin", "boot", "dev", "etc", "home", "lib", "lib64", "local", "opt", "proc", "root"),
        *("run", "sbin", "srv", "sys", "tmp", "usr", "var"),
    }
)
"""Folders at the root of Amazon Linux, without those that are there to mount something on."""

_REGISTER = "https://docs.aws.amazon.com/batch/latest/APIReference/API_RegisterJobDefinition.html"


class InstanceTypeOfQueue(SpecRule):
    id = "MN412"
    title = "The instance type in a definition must be one of the queue's"
    why = (
        "AWS Batch places the nodes of a multi-node parallel job on the instance type that its job "
        "definition names. If no environment of the queue has that type, the job stays RUNNABLE."
    )
    remedy = "remove `instanceType` from the file, or name another queue"
    source_url = (
        "https://docs.aws.amazon.com/batch/latest/APIReference/API_ContainerProperties.html"
    )
    manual_test = (
        "aws batch describe-compute-environments "
        "--query 'computeEnvironments[].computeResources.instanceTypes'"
    )
    files = MappingProxyType(
        {
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
          "instanceType": "r5.24xlarge"
        }
      }
    ]
  }
}
"""
        }
    )
    failing = """\
environments:
  r5: {instance: r5.12xlarge, max_nodes: 16}
queues:
  mpi: {environments: [r5]}
jobs:
  wave:
    queue: mpi  #! mpi
    definition: wave.json
"""
    passing = """\
environments:
  r5: {instance: r5.24xlarge, max_nodes: 16}
queues:
  mpi: {environments: [r5]}
jobs:
  wave:
    queue: mpi
    definition: wave.json
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for job in subject.jobs:
            if not isinstance(job.spec, JobFromFile):
                continue
            types = {kind.name for each in job.queue.environments for kind in each.types}
            for path, container in job.spec.from_file.containers:
                wanted = container.get("instanceType")
                if wanted is not None and wanted not in types:
                    place = pointer((*path, "instanceType"))
                    yield Match(
                        ("jobs", job.name, "queue"),
                        f"the queue has no `{wanted}`, which {place} in {job.spec.definition} "
                        "names",
                    )


class NameOfFile(SpecRule):
    id = "MN413"
    severity = Severity.WARNING
    title = "The name in a definition file should be the name in AWS"
    why = (
        "The job definition has the name that follows from the spec: the job's `aws_name`, or the "
        "deployment's name and the job's. Scripts that submit with the name in the file would go "
        "on with a definition that mngen does not manage."
    )
    remedy = "set `aws_name` to the name in the file"
    source_url = _REGISTER
    manual_test = _DEFINITIONS
    files = MappingProxyType(
        {
            "post.json": """\
{
  "jobDefinitionName": "post_single",
  "type": "container",
  "containerProperties": {"image": "quay.io/me/post:v1", "vcpus": 4, "memory": 8000}
}
"""
        }
    )
    failing = """\
name: seismic
queues:
  mpi: {environments: [r5]}
jobs:
  post:
    queue: mpi
    definition: post.json  #! post.json
"""
    passing = """\
name: seismic
queues:
  mpi: {environments: [r5]}
jobs:
  post:
    queue: mpi
    definition: post.json
    aws_name: post_single
    protect: true
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for name, job in subject.spec.jobs.items():
            if not isinstance(job, JobFromFile):
                continue
            named = job.from_file.content.get("jobDefinitionName")
            full = definition_name(subject.spec, name)
            if named not in (None, full):
                yield Match(
                    ("jobs", name, "definition"),
                    f"the file names the job definition `{named}`, and its name in AWS is `{full}`",
                    f"set `aws_name: {named}`",
                )


class HostPathsExist(SpecRule):
    id = "MN414"
    severity = Severity.WARNING
    title = "A host path should exist on the instances"
    why = (
        "Docker creates a missing path, so the container gets an empty folder on the disk of its "
        "instance. AMIs of mngen have the shared file systems, the `scratch` space and the folders "
        "of the system only."
    )
    remedy = (
        "use a path on a shared file system (the `mount` of `storage.efs` or `storage.fsx`), or an "
        "AMI of your own (`image` of the environment)"
    )
    source_url = "https://docs.aws.amazon.com/batch/latest/APIReference/API_Host.html"
    manual_test = DEFINITIONS.format("volumes")
    files = MappingProxyType(
        {
            "post.json": """\
{
  "type": "container",
  "containerProperties": {
    "image": "quay.io/me/post:v1",
    "vcpus": 4,
    "memory": 8000,
    "volumes": [{"name": "data", "host": {"sourcePath": "/shared"}}],
    "mountPoints": [{"sourceVolume": "data", "containerPath": "/data"}]
  }
}
"""
        }
    )
    failing = """\
storage:
  efs: {mount: /efs}
queues:
  mpi: {environments: [r5]}
jobs:
  post:
    queue: mpi
    definition: post.json  #! post.json
"""
    passing = """\
storage:
  efs: {mount: /shared}
queues:
  mpi: {environments: [r5]}
jobs:
  post:
    queue: mpi
    definition: post.json
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for job in subject.jobs:
            if any(each.spec.image for each in job.queue.environments):
                continue
            mounts = [*subject.spec.storage.mounts, *([job.scratch] if job.scratch else [])]
            if not isinstance(job.spec, JobFromFile):
                for number, each in enumerate(job.spec.mounts):
                    if not _exists(each.host, mounts):
                        yield Match(
                            ("jobs", job.name, "mounts", number, "host"),
                            f"AMIs of mngen have no `{each.host}`",
                        )
                continue
            for path, container in job.spec.from_file.containers:
                for number, volume in enumerate(container.get("volumes", [])):
                    host = volume.get("host", {}).get("sourcePath")
                    if host is not None and not _exists(host, mounts):
                        place = pointer((*path, "volumes", number, "host", "sourcePath"))
                        yield Match(
                            ("jobs", job.name, "definition"),
                            f"AMIs of mngen have no `{host}`, which {place} mounts",
                        )


def _exists(path: str, mounts: Iterable[str]) -> bool:
    """Returns whether an AMI of mngen has a path, or may have it."""
    if any(f"{path}/".startswith(f"{mount}/") for mount in mounts):
        return True
    parts = [part for part in path.split("/") if part]
    # A package may make a folder below one of these, but none below the mount points.
    return not parts or parts[0] in _SYSTEM_FOLDERS


class TakenOverJobsProtected(SpecRule):
    id = "MN420"
    severity = Severity.INFO
    title = "A job definition that is taken over should have `protect`"
    why = (
        "The AWS provider for Terraform deregisters all revisions of a name, which scripts may "
        "use, when it deletes or replaces a job definition: at `mngen destroy`, without its entry, "
        "or to change the conditions for another attempt, which mngen sets for jobs without "
        "`definition`. With `protect: true`, Terraform refuses that as long as the entry is there, "
        "and the conditions of jobs without `definition` stay as they are."
    )
    remedy = "write `protect: true`, unless mngen creates the job definition"
    source_url = (
        "https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/batch/"
        "job_definition.go"
    )
    manual_test = (
        "aws batch describe-job-definitions --status INACTIVE "
        "--query 'jobDefinitions[].jobDefinitionArn'"
    )
    failing = """\
environments:
  r5: {instance: r5.12xlarge, max_nodes: 4}
queues:
  mpi: {environments: [r5]}
jobs:
  wave:
    aws_name: wave_multi_node  #! wave_multi_node
    queue: mpi
    nodes: 2
    command: [wave]
"""
    passing = """\
environments:
  r5: {instance: r5.12xlarge, max_nodes: 4}
queues:
  mpi: {environments: [r5]}
jobs:
  wave:
    aws_name: wave_multi_node
    protect: true
    queue: mpi
    nodes: 2
    command: [wave]
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for name, job in subject.spec.jobs.items():
            if job.aws_name is not None and not job.protect:
                yield Match(
                    ("jobs", name, "aws_name"),
                    f"if `{job.aws_name}` is imported, all its revisions may be deregistered",
                )


def _said(role: str) -> str:
    return "none" if role == "none" else "one that exists"
