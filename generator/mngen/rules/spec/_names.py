"""Rules about names, tags and what the whole deployment is kept in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.cluster import TAG_PREFIX
from mngen.errors import Severity
from mngen.rules._rule import Match
from mngen.rules.spec._rule import SpecRule

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mngen.rules.spec._subject import Subject

_TAGS = "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html"
_TAGGED = "aws resourcegroupstaggingapi get-resources --tag-filters Key=mngen:deployment"


class NamesApart(SpecRule):
    id = "MN190"
    severity = Severity.WARNING
    title = "Names should differ by more than case"
    why = "People, file systems and some consoles treat `MPI` and `mpi` as the same name."
    remedy = "rename one of the two"
    source_url = "https://docs.aws.amazon.com/batch/latest/APIReference/API_CreateJobQueue.html"
    manual_test = "aws batch describe-job-queues --query 'jobQueues[].jobQueueName'"
    failing = """\
environments:
  r5: {instance: r5.12xlarge, max_nodes: 16}
queues:
  mpi: {environments: [r5]}
  MPI: {environments: [r5]}  #! MPI
"""
    passing = """\
environments:
  r5: {instance: r5.12xlarge, max_nodes: 16}
queues:
  mpi: {environments: [r5]}
  mpi-urgent: {environments: [r5]}
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        spec = subject.spec
        for section, names in (
            ("environments", spec.environments),
            ("queues", spec.queues),
            ("jobs", spec.jobs),
        ):
            for name, first in _alike(names):
                yield Match(
                    (section, name), f"`{name}` and `{first}` differ only in case", key=True
                )


class OwnTag(SpecRule):
    id = "MN191"
    title = "Tag keys starting with `mngen:` are reserved"
    why = (
        "mngen:deployment marks the resources of a deployment, and mngen:image what an AMI is for. "
        "mngen uses them to find and delete leftovers."
    )
    remedy = "choose another key"
    source_url = (
        "https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html"
    )
    manual_test = _TAGGED
    failing = """\
tags:
  mngen:deployment: other  #! mngen:deployment
"""
    passing = """\
tags:
  deployment: other
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for key in subject.spec.tags:
            if key.casefold().startswith(TAG_PREFIX):
                yield Match(("tags", key), f"mngen sets the tag `{key}` itself", key=True)


class NameTag(SpecRule):
    id = "MN192"
    severity = Severity.WARNING
    title = "The tag key `Name` is reserved"
    why = (
        "Where a console shows the Name tag, mngen sets it to what the resource is. All other "
        "resources would have the same name."
    )
    remedy = "remove it: every resource is named after the deployment already"
    source_url = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html"
    manual_test = _TAGGED
    failing = """\
tags:
  Name: seismic  #! Name
"""
    passing = """\
tags:
  project: seismic
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        if "Name" in subject.spec.tags:
            yield Match(
                ("tags", "Name"), "the tag `Name` takes effect on some resources only", key=True
            )


class TagsApart(SpecRule):
    id = "MN193"
    title = "Tag keys must differ by more than case"
    why = "IAM treats `Project` and `project` as the same key and rejects a role with both."
    remedy = "remove one of the two"
    source_url = _TAGS
    manual_test = "aws iam list-role-tags --role-name ROLE"
    failing = """\
tags:
  project: seismic
  Project: seismic  #! Project
"""
    passing = """\
tags:
  project: seismic
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for key, first in _alike(subject.spec.tags):
            yield Match(
                ("tags", key), f"for IAM the keys `{key}` and `{first}` are the same", key=True
            )


class OneImage(SpecRule):
    id = "MN194"
    severity = Severity.WARNING
    title = "`container.image` excludes the keys of a repository"
    why = "With an image from elsewhere, no repository is created, and these keys have no effect."
    remedy = "remove the key, or `image`"
    source_url = "https://docs.aws.amazon.com/AmazonECR/latest/userguide/Repositories.html"
    manual_test = "aws ecr describe-repositories --query 'repositories[].repositoryName'"
    failing = """\
container:
  image: docker.io/me/app:v1.1
  repository: app  #! app
"""
    passing = """\
container:
  image: docker.io/me/app:v1.1
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        container = subject.spec.container
        if container.image is None:
            return
        for key, given, default in (
            ("repository", container.repository, type(container)().repository),
            ("tag", container.tag, type(container)().tag),
            ("aws_name", container.aws_name, None),
            ("protect", container.protect, False),
        ):
            if given != default:
                yield Match(("container", key), f"`{key}` has no effect beside `image`")


class BucketName(SpecRule):
    id = "MN195"
    title = "`state.bucket` must be a valid bucket name"
    why = "S3 rejects such a name, so Terraform cannot keep its state there."
    remedy = "name an existing bucket"
    source_url = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html"
    manual_test = "aws s3api head-bucket --bucket my-state"
    failing = """\
state:
  bucket: my..state  #! my..state
"""
    passing = """\
state:
  bucket: my-state
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        if subject.spec.state is None:
            return
        name = subject.spec.state.bucket
        wrong = None
        if ".." in name:
            wrong = "two dots beside each other"
        elif name.replace(".", "").isdigit() and name.count(".") == 3:
            wrong = "the form of an IP address"
        elif name.startswith(("xn--", "sthree-", "amzn-s3-demo-")):
            wrong = "a beginning that S3 keeps for itself"
        elif name.endswith(("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")):
            wrong = "an ending that S3 keeps for itself"
        if wrong is not None:
            yield Match(("state", "bucket"), f"invalid bucket name `{name}`: it has {wrong}")


class CurrentProvider(SpecRule):
    id = "MN196"
    severity = Severity.INFO
    title = "The Terraform provider should have the current major version"
    why = (
        "Fixes and new instance types go to version 6 of the AWS provider. Version 6 renames some "
        "arguments of version 5; mngen renders them correctly, and existing resources are kept."
    )
    remedy = "leave `provider` out"
    source_url = "https://github.com/hashicorp/terraform-provider-aws/blob/main/website/docs/guides/version-6-upgrade.html.markdown"
    manual_test = "aws --version"
    failing = """\
provider: 5  #! 5
"""
    passing = """\
provider: 6
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        if subject.spec.provider == 5:
            yield Match(
                ("provider",), "version 5 of the Terraform AWS provider gets no new features"
            )


def _alike(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yields each name that differs from an earlier one in case alone, with that one."""
    seen: dict[str, str] = {}
    for name in names:
        first = seen.setdefault(name.casefold(), name)
        if first != name:
            yield name, first
