"""Rules about the scratch space on the disks of instances."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.errors import Severity
from mngen.rules._rule import Match
from mngen.rules.spec._contents import DEFINITIONS
from mngen.rules.spec._rule import SpecRule
from mngen.rules.spec._storage import covered_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.catalog import InstanceType
    from mngen.rules.spec._subject import Subject

_DISKS = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/InstanceStorage.html"
_NVME = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-store-volumes.html"
_SHOWS = (
    "aws ec2 describe-instance-types --instance-types {} "
    "--query 'InstanceTypes[].InstanceStorageInfo'"
)


class ScratchHasDisks(SpecRule):
    id = "MN440"
    title = "`scratch` requires an instance type with NVMe instance-store disks"
    why = (
        "Scratch space is on the disks inside the host computer, which only some types have. On "
        "others nothing could be mounted, so no instance would take a job. Disks of older types "
        "are not NVMe devices: EC2 attaches those only if a launch template or the AMI maps them."
    )
    remedy = "choose a type with disks (`mngen instances --disks`), or remove `scratch`"
    source_url = _NVME
    manual_test = _SHOWS.format("c5.18xlarge")
    failing = """\
environments:
  cfd:
    instance: c5.18xlarge
    max_nodes: 4
    scratch: /scratch  #! /scratch
"""
    passing = """\
environments:
  cfd:
    instance: c5d.18xlarge
    max_nodes: 4
    scratch: /scratch
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for each in subject.environments:
            for instance in each.types:
                if each.spec.scratch is not None and not instance.scratch_disks:
                    what = "the instance-store disks of `{}` are not NVMe devices"
                    if not instance.disks:
                        what = "`{}` has no instance-store disks"
                    yield Match(("environments", each.name, "scratch"), what.format(instance.name))


class ScratchPlace(SpecRule):
    id = "MN441"
    title = "`scratch` must be outside the folders of the system and of the file systems"
    why = (
        "A mount hides what is under it, on the instance and in the container. Inside a shared "
        "file system, or around it, the order of two mounts decides which of them a job sees."
    )
    remedy = "mount it at a separate path, such as /scratch"
    source_url = _DISKS
    manual_test = _SHOWS.format("c5d.18xlarge")
    failing = """\
storage:
  efs: {mount: /efs}
environments:
  cfd:
    instance: c5d.18xlarge
    max_nodes: 4
    scratch: /efs/scratch  #! /efs/scratch
"""
    passing = """\
storage:
  efs: {mount: /efs}
environments:
  cfd:
    instance: c5d.18xlarge
    max_nodes: 4
    scratch: /scratch
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for each in subject.environments:
            scratch = each.spec.scratch
            if scratch is None:
                continue
            path = ("environments", each.name, "scratch")
            if covered_folder(scratch) is not None:
                yield Match(
                    path, f"a mount at `{scratch}` would hide what the system or the container has"
                )
                continue
            for mount in subject.spec.storage.mounts:
                if f"{scratch}/".startswith(f"{mount}/") or f"{mount}/".startswith(f"{scratch}/"):
                    yield Match(path, f"`{scratch}` and the file system's `{mount}` overlap")


class DisksUsed(SpecRule):
    id = "MN442"
    severity = Severity.INFO
    title = "The instance-store disks of a type should be used"
    why = (
        "The price of such a type includes its disks, which no AMI formats or mounts on its own. "
        "They are many times faster than the shared file system, for what a job need not keep."
    )
    remedy = "add `scratch: /scratch` to the environment"
    source_url = _DISKS
    manual_test = _SHOWS.format("c5d.18xlarge")
    failing = """\
environments:
  cfd:
    instance: c5d.18xlarge  #! c5d.18xlarge
    max_nodes: 4
"""
    passing = """\
environments:
  cfd:
    instance: c5d.18xlarge
    max_nodes: 4
    scratch: /scratch
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for each in subject.environments:
            # An AMI of the user's own may use them.
            if each.instance.scratch_disks and not each.spec.scratch and not each.spec.image:
                yield Match(
                    ("environments", each.name, "instance"),
                    f"nothing uses the {disks_in_words(each.instance)} of `{each.instance.name}`",
                )


class ScratchOfQueue(SpecRule):
    id = "MN443"
    severity = Severity.WARNING
    title = "The environments of a queue should have the same `scratch`"
    why = (
        "AWS Batch may place a job on any environment of its queue, and the job definition mounts "
        "a path of the instance. Docker makes an empty folder on the root volume where there is "
        "none, so mngen mounts it only if all environments have it."
    )
    remedy = "give the environments of the queue the same `scratch`"
    source_url = "https://docs.aws.amazon.com/batch/latest/APIReference/API_Host.html"
    manual_test = DEFINITIONS.format("volumes")
    failing = """\
environments:
  disks: {instance: c5d.18xlarge, max_nodes: 4, multi_node: false, scratch: /scratch}
  plain: {instance: c5.18xlarge, max_nodes: 4, multi_node: false}
queues:
  cfd:
    environments: [disks, plain]
jobs:
  mesh:
    queue: cfd  #! cfd
    command: [hostname]
"""
    passing = """\
environments:
  disks: {instance: c5d.18xlarge, max_nodes: 4, multi_node: false, scratch: /scratch}
queues:
  cfd:
    environments: [disks]
jobs:
  mesh:
    queue: cfd
    command: [hostname]
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for job in subject.jobs:
            places = {each.name: each.spec.scratch for each in job.queue.environments}
            if len(set(places.values())) > 1:
                listed = ", ".join(
                    f"`{place}` in `{name}`" if place else f"none in `{name}`"
                    for name, place in places.items()
                )
                yield Match(
                    ("jobs", job.name, "queue"),
                    f"the job gets no scratch space: the environments of its queue have {listed}",
                )


def disks_in_words(instance: InstanceType) -> str:
    """Returns the instance-store disks of a type in words, such as `2 disks of 900 GB`."""
    word = "disk" if instance.disks == 1 else "disks"
    return f"{instance.disks} {word} of {instance.disk_size} GB"
