"""Rules about container images that are put into AMIs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.cluster import credentials_of, preloaded_images
from mngen.errors import Severity
from mngen.rules._rule import Match
from mngen.rules.spec._rule import SpecRule
from mngen.spec import JobFromFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.rules.spec._subject import Subject

_KEY = ("image", "preload")


class PreloadedWithoutCredentials(SpecRule):
    id = "MN422"
    severity = Severity.WARNING
    title = "Container images to preload should need no registry credentials"
    why = (
        "The builder of an AMI logs in to Amazon ECR with its role. For another registry it has no "
        "user name and password, so such an image is left out, and nodes pull all of it."
    )
    remedy = "copy the image to Amazon ECR, and remove `registry_credentials`"
    source_url = "https://docs.aws.amazon.com/AmazonECR/latest/userguide/registry_auth.html"
    manual_test = "aws ecr get-authorization-token --query 'authorizationData[].proxyEndpoint'"
    failing = """\
image:
  preload: true  #! true
queues:
  mpi: {environments: [r5]}
jobs:
  wave: {queue: mpi, command: [wave]}
  post:
    queue: mpi
    command: [post]
    image: quay.io/lab/post:v1
    registry_credentials: arn:aws:secretsmanager:us-east-1:123456789012:secret:lab-AbCdEf
"""
    passing = """\
image:
  preload: true
queues:
  mpi: {environments: [r5]}
jobs:
  wave: {queue: mpi, command: [wave]}
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        if not subject.sound("image") or not subject.spec.image.preload:
            return
        for job in subject.jobs:
            if all(each.spec.image for each in job.queue.environments):
                continue
            if isinstance(job.spec, JobFromFile):
                containers = [each for _, each in job.spec.from_file.containers]
                closed = any(each.get("repositoryCredentials") for each in containers)
            else:
                closed = any(credentials_of(subject.spec, part.spec) for part in job.parts)
            if closed:
                yield Match(
                    _KEY,
                    f"the container image of the job `{job.name}` is left out: it needs registry "
                    "credentials, which builders of AMIs do not have",
                )


class PreloadIsUsed(SpecRule):
    id = "MN423"
    severity = Severity.WARNING
    title = "`image.preload` requires a job whose nodes start from a baked AMI"
    why = (
        "mngen puts into an AMI the images of those jobs whose queue has an environment with that "
        "AMI. It changes no AMI that an environment names."
    )
    remedy = "remove `preload`, or add a job"
    source_url = "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-ami-versions.html"
    manual_test = "aws ec2 describe-images --owners self --query 'Images[].[ImageId,Name]'"
    failing = """\
image:
  preload: true  #! true
queues:
  mpi: {environments: [r5]}
"""
    passing = """\
image:
  preload: true
queues:
  mpi: {environments: [r5]}
jobs:
  wave: {queue: mpi, command: [wave]}
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        sound = all(map(subject.sound, ("image", "environments", "queues", "jobs")))
        if not sound or not subject.spec.image.preload:
            return
        cluster = subject.cluster
        if not any(preloaded_images(cluster, each) for each in cluster.machine_images):
            yield Match(_KEY, "no job runs on nodes with a baked AMI")
