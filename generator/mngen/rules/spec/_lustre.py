"""Rules about an FSx for Lustre file system."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from mngen.cluster import FSX_THROUGHPUT, fsx_size_is_valid
from mngen.errors import Severity
from mngen.rules._rule import Match
from mngen.rules.spec._rule import SpecRule
from mngen.rules.spec._storage import better_mount, covered_folder, set_for_new

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.rules.spec._subject import Subject
    from mngen.spec import Fsx

_PATH = ("storage", "fsx")
_CREATE = "https://docs.aws.amazon.com/fsx/latest/APIReference/API_CreateFileSystem.html"
_SETTINGS = (
    "https://docs.aws.amazon.com/fsx/latest/APIReference/"
    "API_CreateFileSystemLustreConfiguration.html"
)
_LINKS = "https://docs.aws.amazon.com/fsx/latest/LustreGuide/create-dra-linked-data-repo.html"
_GROUPS = "https://docs.aws.amazon.com/fsx/latest/LustreGuide/limit-access-security-groups.html"
_SHOW = "aws fsx describe-file-systems --query 'FileSystems[].[FileSystemId,LustreConfiguration]'"


def _sound(subject: Subject) -> Iterator[Fsx]:
    """Yields the file system, where there is one and nothing was left out of it."""
    fsx = subject.spec.storage.fsx
    if fsx is not None and subject.sound(*_PATH):
        yield fsx


def _new(subject: Subject) -> Iterator[Fsx]:
    yield from (fsx for fsx in _sound(subject) if fsx.id is None)


class LustreSize(SpecRule):
    id = "MN481"
    title = "The size of FSx for Lustre must be 1200, 2400 or a multiple of 2400 GiB"
    why = "FSx refuses any other size of its SSD storage."
    remedy = "use 1200, 2400, 4800, 7200 or a larger multiple of 2400"
    source_url = _CREATE
    manual_test = "aws fsx describe-file-systems --query 'FileSystems[].StorageCapacity'"
    failing = """\
storage:
  fsx: {size: 3600}  #! 3600
"""
    passing = """\
storage:
  fsx: {size: 4800}
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for fsx in _new(subject):
            if not fsx_size_is_valid(fsx.size):
                lower = max(1200, fsx.size // 2400 * 2400)
                upper = 2400 if fsx.size < 2400 else lower + 2400
                yield Match(
                    (*_PATH, "size"),
                    f"FSx for Lustre does not offer {fsx.size} GiB",
                    f"use {lower} or {upper}",
                )


class LustreThroughput(SpecRule):
    id = "MN482"
    title = "The throughput of FSx for Lustre must be one that its type offers"
    why = (
        "FSx refuses any other throughput for each TiB. The throughput of scratch-2 cannot be "
        "chosen: it is 200 MB/s for each TiB, and more in bursts."
    )
    remedy = "use one of the values of the type, or leave `throughput` out"
    source_url = _SETTINGS
    manual_test = _SHOW
    failing = """\
storage:
  fsx:
    type: persistent-2
    throughput: 200  #! 200
"""
    passing = """\
storage:
  fsx:
    type: persistent-2
    throughput: 250
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for fsx in _new(subject):
            if fsx.throughput is None:
                continue
            choices = FSX_THROUGHPUT.get(fsx.type)
            if choices is None:
                yield Match(
                    (*_PATH, "throughput"),
                    f"the throughput of {fsx.type} cannot be chosen",
                    "remove `throughput`, or use a persistent type",
                )
            elif fsx.throughput not in choices:
                yield Match(
                    (*_PATH, "throughput"),
                    f"{fsx.type} does not offer {fsx.throughput} MB/s for each TiB",
                    f"use one of {', '.join(map(str, choices))}",
                )


class PersistentLustre(SpecRule):
    id = "MN483"
    title = "Keys and backups require a persistent type of FSx for Lustre"
    why = (
        "FSx encrypts a scratch file system with its own key, and takes no backups of it: it "
        "refuses both settings."
    )
    remedy = "remove the key, or use `type: persistent-2`"
    source_url = _SETTINGS
    manual_test = _SHOW
    failing = """\
storage:
  fsx: {backup_days: 7}  #! 7
"""
    passing = """\
storage:
  fsx: {type: persistent-2, backup_days: 7}
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for fsx in _new(subject):
            if fsx.type != "scratch-2":
                continue
            if fsx.backup_days:
                yield Match((*_PATH, "backup_days"), f"{fsx.type} has no backups")
            if fsx.kms_key is not None:
                yield Match((*_PATH, "kms_key"), f"{fsx.type} does not take a key")


class LinkedLustreWithoutBackups(SpecRule):
    id = "MN484"
    title = "An FSx for Lustre file system that is linked to S3 must not have backups"
    why = "FSx refuses to link a file system with automatic backups, and to enable them on a link."
    remedy = "remove `backup_days`, and export to S3 what must last; or remove the links"
    source_url = _LINKS
    manual_test = _SHOW
    failing = """\
storage:
  fsx:
    type: persistent-2
    backup_days: 7  #! 7
    s3:
      cases: {path: "s3://my-cases/wing/"}
"""
    passing = """\
storage:
  fsx:
    type: persistent-2
    s3:
      cases: {path: "s3://my-cases/wing/"}
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for fsx in _new(subject):
            if fsx.s3 and fsx.backup_days and fsx.type != "scratch-2":
                yield Match(
                    (*_PATH, "backup_days"), "a file system with links to S3 cannot have backups"
                )


class LinksApart(SpecRule):
    id = "MN485"
    title = "Folders of FSx for Lustre must be linked to different parts of S3"
    why = "FSx refuses a link to a bucket or prefix that another link includes, or is included in."
    remedy = "link one folder to both, or to prefixes of which none contains another"
    source_url = _LINKS
    manual_test = (
        "aws fsx describe-data-repository-associations --query 'Associations[].DataRepositoryPath'"
    )
    failing = """\
storage:
  fsx:
    s3:
      cases: {path: "s3://my-cases/"}
      wing: {path: "s3://my-cases/wing/"}  #! "s3://my-cases/wing/"
"""
    passing = """\
storage:
  fsx:
    s3:
      cases: {path: "s3://my-cases/fin/"}
      wing: {path: "s3://my-cases/wing/"}
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for fsx in _new(subject):
            paths = {folder: f"{link.path.rstrip('/')}/" for folder, link in fsx.s3.items()}
            for (first, one), (second, other) in combinations(paths.items(), 2):
                if one.startswith(other) or other.startswith(one):
                    yield Match(
                        (*_PATH, "s3", second, "path"),
                        f"`{second}` and `{first}` are linked to overlapping parts of S3",
                    )


class LustreGroupOfExisting(SpecRule):
    id = "MN486"
    title = "`storage.fsx.security_group` requires an existing file system"
    why = "A new file system gets its own security group, which lets the nodes in."
    remedy = "name the file system's `id`, or remove `security_group`"
    source_url = _GROUPS
    manual_test = "aws fsx describe-file-systems --query 'FileSystems[].FileSystemId'"
    failing = """\
storage:
  fsx:
    security_group: sg-0123456789abcdef0  #! sg-0123456789abcdef0
"""
    passing = """\
storage:
  fsx:
    id: fs-0123456789abcdef0
    security_group: sg-0123456789abcdef0
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for fsx in _new(subject):
            if fsx.security_group is not None:
                yield Match(
                    (*_PATH, "security_group"),
                    "`security_group` is only valid with the `id` of an existing file system",
                )


class LustreLetsIn(SpecRule):
    id = "MN487"
    severity = Severity.WARNING
    title = "An existing FSx for Lustre file system should let the nodes in"
    why = (
        "File servers accept Lustre (TCP ports 988 and 1018 to 1023) only as their security group "
        "allows. If that does not allow the nodes, the mount fails, Docker never starts and jobs "
        "stay RUNNABLE."
    )
    remedy = (
        "name the file system's `security_group`, to which rules for the nodes are then added, or "
        "make sure that it lets the VPC in and out (`mngen check --aws` looks)"
    )
    source_url = _GROUPS
    manual_test = (
        "aws ec2 describe-network-interfaces --filters Name=description,Values='*fs-0123456789*'"
    )
    failing = """\
storage:
  fsx:
    id: fs-0123456789abcdef0  #! fs-0123456789abcdef0
"""
    passing = """\
storage:
  fsx:
    id: fs-0123456789abcdef0
    security_group: sg-0123456789abcdef0
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for fsx in _sound(subject):
            if fsx.id is not None and fsx.security_group is None:
                yield Match((*_PATH, "id"), f"nothing opens `{fsx.id}` to the nodes")


class LustreSettingsOfNew(SpecRule):
    id = "MN488"
    severity = Severity.WARNING
    title = "An existing FSx for Lustre file system should not have settings of a new one"
    why = (
        "mngen uses an existing file system as it is. Its type, size, links to S3, backups and "
        "deletion are managed elsewhere, so these keys change nothing."
    )
    remedy = "remove the key, and change the file system where it is managed"
    source_url = "https://docs.aws.amazon.com/fsx/latest/LustreGuide/managing-storage-capacity.html"
    manual_test = _SHOW
    failing = """\
storage:
  fsx:
    id: fs-0123456789abcdef0
    security_group: sg-0123456789abcdef0
    size: 2400  #! 2400
"""
    passing = """\
storage:
  fsx:
    id: fs-0123456789abcdef0
    security_group: sg-0123456789abcdef0
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for fsx in _sound(subject):
            if fsx.id is None:
                continue
            for key in set_for_new(fsx, "mount", "id", "security_group"):
                yield Match(
                    (*_PATH, key),
                    f"`{key}` has no effect on the existing file system `{fsx.id}`",
                )


class LustreMountPoint(SpecRule):
    id = "MN489"
    title = "FSx for Lustre must be mounted apart from EFS and from system folders"
    why = (
        "A mount hides what is under it, on the instance and in the container. Over a folder of "
        "the system neither starts; one file system inside the other is mounted in an order that "
        "nothing guarantees."
    )
    remedy = "mount it at a separate path, such as /fsx"
    source_url = "https://docs.aws.amazon.com/fsx/latest/LustreGuide/mounting-ecs.html"
    manual_test = _SHOW
    failing = """\
storage:
  fsx: {mount: /efs/fast}  #! /efs/fast
"""
    passing = """\
storage:
  fsx: {mount: /fsx}
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        fsx, efs = subject.spec.storage.fsx, subject.spec.storage.efs
        if fsx is None:
            return
        folder = covered_folder(fsx.mount)
        if folder is not None:
            yield Match(
                (*_PATH, "mount"),
                f"a mount at `{fsx.mount}` would hide what the system or the container has in "
                f"`/{folder}`",
                better_mount(folder, "fsx"),
            )
        inner, outer = f"{fsx.mount}/", f"{efs.mount}/"
        if inner.startswith(outer) or outer.startswith(inner):
            yield Match(
                (*_PATH, "mount"),
                f"`{fsx.mount}` and the mount point of EFS, `{efs.mount}`, are one inside the "
                "other",
            )


class LustreZone(SpecRule):
    id = "MN490"
    title = "The zone of FSx for Lustre must be one of the network's"
    why = "The file system is created in a subnet of the network, which has none in another zone."
    remedy = "name one of the zones in `network.zones`"
    source_url = _CREATE
    manual_test = "aws ec2 describe-subnets --query 'Subnets[].[SubnetId,AvailabilityZone]'"
    failing = """\
network:
  vpc: new
  zones: [us-east-1a]
storage:
  fsx: {zone: us-east-1b}  #! us-east-1b
"""
    passing = """\
network:
  vpc: new
  zones: [us-east-1a]
storage:
  fsx: {zone: us-east-1a}
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for fsx in _new(subject):
            if fsx.zone is None:
                continue
            for network in subject.network:
                if network.zones and fsx.zone not in network.zones:
                    yield Match((*_PATH, "zone"), f"the network has no subnet in `{fsx.zone}`")
                elif not fsx.zone.startswith(subject.spec.region):
                    yield Match(
                        (*_PATH, "zone"),
                        f"`{fsx.zone}` is not in {subject.spec.region}",
                        f"name a zone of the region, such as {subject.spec.region}a",
                    )


class NodesNearLustre(SpecRule):
    id = "MN491"
    severity = Severity.WARNING
    title = "Nodes should be in the zone of FSx for Lustre"
    why = (
        "A file system of FSx for Lustre is in one availability zone. Nodes in another zone reach "
        "it with a higher latency, and each byte between the zones is billed."
    )
    remedy = "give both the same zone: `zones` of the environment, `zone` of `storage.fsx`"
    source_url = "https://aws.amazon.com/fsx/lustre/faqs/"
    manual_test = "aws fsx describe-file-systems --query 'FileSystems[].[FileSystemId,SubnetIds]'"
    failing = """\
network:
  vpc: new
  zones: [us-east-1a, us-east-1b]
storage:
  fsx: {zone: us-east-1b}
environments:
  r5: {instance: r5.12xlarge, max_nodes: 4}  #! {
"""
    passing = """\
network:
  vpc: new
  zones: [us-east-1a, us-east-1b]
storage:
  fsx: {zone: us-east-1b}
environments:
  r5: {instance: r5.12xlarge, max_nodes: 4, zones: [us-east-1b]}
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for fsx in _new(subject):
            for network in subject.network:
                zone = fsx.zone or next(iter(network.zones), None)
                if network.zones and zone not in network.zones:
                    return
                for each in subject.environments:
                    zones = each.zones or network.zones
                    elsewhere = [name for name in zones if name != zone]
                    if zone is not None and elsewhere:
                        path = ("environments", each.name)
                        yield Match(
                            (*path, "zones") if each.spec.zones else path,
                            f"the environment `{each.name}` runs in {', '.join(elsewhere)}, the "
                            f"file system is in {zone}",
                        )
