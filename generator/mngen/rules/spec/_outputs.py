"""Rules about the folder that comes back from a job (`outputs`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.errors import Severity
from mngen.rules._rule import Match
from mngen.rules.spec._containers import listed
from mngen.rules.spec._contents import DEFINITIONS
from mngen.rules.spec._rule import SpecRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.cluster import ResolvedJob
    from mngen.rules.spec._subject import Subject
    from mngen.spec import Spec

_ENVIRONMENT = DEFINITIONS.format("environment")
_JOB = "{job}"
_ROLES = "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html"
_PROPERTIES = "https://docs.aws.amazon.com/batch/latest/APIReference/API_ContainerProperties.html"

_SOUND = """\
storage: {bucket: my-results}
queues:
  mpi: {environments: [r5]}
jobs:
  solve:
    queue: mpi
    command: [simpleFoam]
    outputs: /efs/runs/{job}
"""


class OutputsHavePlace(SpecRule):
    id = "MN510"
    title = "A job with `outputs` requires `storage.bucket` or a folder of a shared file system"
    why = (
        "The main node uploads the folder to the bucket, from where `mngen fetch` downloads it. "
        "Without a bucket, files stay where the command has written them: `mngen fetch` copies "
        "them from the shared file system, and what is elsewhere is deleted with the container. "
        "mngen does not create a bucket: what is in it outlives the deployment."
    )
    remedy = (
        "name an existing S3 bucket: `storage: {bucket: NAME}`, or choose a folder of the shared "
        "file system, such as `/efs/runs/{job}`"
    )
    source_url = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingBucket.html"
    manual_test = "aws s3 ls"
    failing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  solve:
    queue: mpi
    command: [simpleFoam]
    outputs: /results  #! /results
"""
    passing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  solve:
    queue: mpi
    command: [simpleFoam]
    outputs: /efs/runs/{job}
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        if subject.spec.storage.bucket is not None or not subject.sound("storage"):
            return
        for job in subject.jobs:
            folder = job.spec.outputs
            if folder is not None and not any(
                _is_in(folder, place) for place in subject.spec.storage.mounts
            ):
                yield Match(
                    ("jobs", job.name, "outputs"),
                    f"there is no bucket to upload it to, and `{folder}` is not on a shared file "
                    "system",
                )


class OutputsHaveRole(SpecRule):
    id = "MN511"
    title = "A job with `outputs` must have a role"
    why = (
        "The main node uploads with the permissions of the job's role. Without one it would use "
        "the role of the instance, which mngen gives no rights to the bucket."
    )
    remedy = "give the job a role: `roles: {job: create}`, or `role` of the job"
    source_url = _ROLES
    manual_test = DEFINITIONS.format("jobRoleArn")
    failing = """\
storage: {bucket: my-results}
roles: {job: none}
queues:
  mpi: {environments: [r5]}
jobs:
  solve:
    queue: mpi
    command: [simpleFoam]
    outputs: /efs/runs/{job}  #! /efs
"""
    passing = _SOUND

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        # Without a bucket nothing is uploaded.
        if subject.spec.roles.job != "none" or subject.spec.storage.bucket is None:
            return
        for job in subject.jobs:
            if job.spec.outputs is not None and job.spec.role is None:
                yield Match(("jobs", job.name, "outputs"), "the containers have no role")


class OutputsCanBeWritten(SpecRule):
    id = "MN512"
    title = "`outputs` must be a folder that the job can write to"
    why = (
        "The folder is created before the command starts. That fails in a mount that the container "
        "may only read, and in its root file system if that is read-only. The kernel's own folders "
        "hold no files."
    )
    remedy = "choose a folder of the shared file system, such as `/efs/runs/{job}`"
    source_url = _PROPERTIES
    manual_test = DEFINITIONS.format("mountPoints")
    failing = """\
storage: {bucket: my-results}
queues:
  mpi: {environments: [r5]}
jobs:
  solve:
    queue: mpi
    command: [simpleFoam]
    outputs: /licences/out  #! /licences
    mounts:
      - {host: /opt, path: /licences, read_only: true}
"""
    passing = """\
storage: {bucket: my-results}
queues:
  mpi: {environments: [r5]}
jobs:
  solve:
    queue: mpi
    command: [simpleFoam]
    outputs: /efs/runs/{job}
    mounts:
      - {host: /opt, path: /licences, read_only: true}
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for job in subject.jobs:
            folder = job.spec.outputs
            if folder is None:
                continue
            problem = _unwritable(subject.spec, job, folder)
            if problem:
                yield Match(("jobs", job.name, "outputs"), problem)


def _unwritable(spec: Spec, job: ResolvedJob, folder: str) -> str | None:
    """Returns why a job cannot write to a folder; None if the spec shows nothing against it."""
    if any(_is_in(folder, place) for place in ("/dev", "/proc", "/sys")):
        return f"`{folder}` is not a place for files"
    writable = dict.fromkeys(_shared(spec, job), True)
    writable |= dict.fromkeys((each.path for each in job.spec.tmpfs), True)
    writable |= {each.path: not each.read_only for each in job.spec.mounts}
    for _, point in listed(job.spec.container_properties, "mountPoints"):
        if isinstance(point.get("containerPath"), str):
            writable[point["containerPath"].rstrip("/")] = point.get("readOnly") is not True
    mount = max((each for each in writable if _is_in(folder, each)), key=len, default=None)
    if mount is not None:
        return None if writable[mount] else f"`{mount}` is read-only in the container"
    if job.spec.container_properties.get("readonlyRootFilesystem") is True:
        return "the container's root file system is read-only"
    return None


class OutputsAreTheJobs(SpecRule):
    id = "MN513"
    title = "`outputs` must not be a whole shared file system"
    why = (
        "Everything in the folder is the output of each job: of a whole file system, also the "
        "files of all other jobs and users."
    )
    remedy = "choose a folder in it, such as `/efs/runs/{job}`"
    source_url = "https://docs.aws.amazon.com/efs/latest/ug/how-it-works.html"
    manual_test = _ENVIRONMENT
    failing = """\
storage: {bucket: my-results}
queues:
  mpi: {environments: [r5]}
jobs:
  solve:
    queue: mpi
    command: [simpleFoam]
    outputs: /efs  #! /efs
"""
    passing = _SOUND

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for job in subject.jobs:
            folder = job.spec.outputs
            for place in _shared(subject.spec, job):
                if folder is not None and _is_in(place, folder):
                    yield Match(
                        ("jobs", job.name, "outputs"), f"all of `{place}` would be the output"
                    )


class OutputsAreOfOneJob(SpecRule):
    id = "MN514"
    severity = Severity.WARNING
    title = "`outputs` on a shared file system should contain `{job}`"
    why = (
        "Outputs of jobs with the same folder contain each other's files, also those of earlier "
        "jobs. "
        "mngen replaces `{job}` with the job's ID, so that each job has its own folder."
    )
    remedy = "add `{job}` to the path, such as `/efs/runs/{job}`"
    source_url = "https://docs.aws.amazon.com/batch/latest/userguide/job_env_vars.html"
    manual_test = _ENVIRONMENT
    failing = """\
storage: {bucket: my-results}
queues:
  mpi: {environments: [r5]}
jobs:
  solve:
    queue: mpi
    command: [simpleFoam]
    outputs: /efs/runs  #! /efs
"""
    passing = _SOUND

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for job in subject.jobs:
            folder = job.spec.outputs
            if folder is None or _JOB in folder:
                continue
            for place in _shared(subject.spec, job):
                if _is_in(folder, place) and folder != place:
                    yield Match(
                        ("jobs", job.name, "outputs"),
                        f"the outputs of each job are what all jobs have written to `{folder}`",
                    )


def _shared(spec: Spec, job: ResolvedJob) -> Iterator[str]:
    """Yields where a job has file systems that it shares with other jobs."""
    yield from spec.storage.mounts
    if job.scratch is not None:
        yield job.scratch


def _is_in(path: str, folder: str) -> bool:
    """Whether a path is a folder, or below it."""
    return f"{path}/".startswith(f"{folder}/")
