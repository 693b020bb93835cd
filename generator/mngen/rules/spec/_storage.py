"""Rules about the shared file system."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.errors import Severity
from mngen.rules._rule import Match
from mngen.rules.spec._rule import SpecRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.rules.spec._subject import Subject
    from mngen.spec import Efs, Fsx

_NFS = "https://docs.aws.amazon.com/efs/latest/ug/network-access.html"

_SYSTEM_ROOTS = frozenset(
    {
        *("bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "lost+found"),
        *("proc", "root", "run", "sbin", "sys", "tmp", "usr", "var"),
    }
)
"""Folders in which Linux, Docker or the ECS agent keep their own files."""

_WHOLE_ONLY = frozenset(("home", "opt", "srv", "mnt", "media"))
"""Folders that may hold a mount point but must not be one."""


def covered_folder(mount: str) -> str | None:
    """Returns the folder of the system that a mount would hide, such as `usr`; None for none."""
    first, *below = mount.strip("/").split("/")
    covers = first in _SYSTEM_ROOTS or (first in _WHOLE_ONLY and not below)
    return first if covers else None


def better_mount(folder: str, name: str) -> str | None:
    """Returns what to do about a mount that hides a folder; None for the rule's own remedy."""
    if folder not in _WHOLE_ONLY:
        return None
    return f"mount it at a separate path, such as /{name} or /{folder}/{name}"


def set_for_new(section: Efs | Fsx, *used: str) -> list[str]:
    """Returns the keys of an existing file system that are set, and matter to a new one alone.

    Args:
        section: What the spec has about the file system.
        used: The keys that matter to an existing one too.
    """
    default = type(section)()
    return [
        key
        for key in section.__struct_fields__
        if key not in used and getattr(section, key) != getattr(default, key)
    ]


class MountTargetsLetIn(SpecRule):
    id = "MN179"
    severity = Severity.WARNING
    title = "An existing file system should let the nodes in"
    why = (
        "A mount target accepts NFS (port 2049) only as its security group allows. If that does "
        "not allow the nodes, the mount hangs, Docker never starts and jobs stay RUNNABLE."
    )
    remedy = (
        "name the mount targets' `security_group`, to which a rule for the nodes is then added, "
        "or make sure that it lets the VPC in (`mngen check --aws` looks)"
    )
    source_url = _NFS
    manual_test = (
        "aws efs describe-mount-target-security-groups --mount-target-id fsmt-0123456789abcdef0"
    )
    failing = """\
storage:
  efs:
    id: fs-0123456789abcdef0  #! fs-0123456789abcdef0
"""
    passing = """\
storage:
  efs:
    id: fs-0123456789abcdef0
    security_group: sg-0123456789abcdef0
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        efs = subject.spec.storage.efs
        if efs.id is not None and efs.security_group is None and subject.sound("storage", "efs"):
            yield Match(
                ("storage", "efs", "id"),
                f"nothing opens the mount targets of `{efs.id}` to the nodes",
            )


class GroupOfExisting(SpecRule):
    id = "MN180"
    title = "`storage.efs.security_group` requires an existing file system"
    why = "A new file system gets its own security group, which lets the nodes in."
    remedy = "name the file system's `id`, or remove `security_group`"
    source_url = _NFS
    manual_test = "aws efs describe-file-systems --query 'FileSystems[].FileSystemId'"
    failing = """\
storage:
  efs:
    security_group: sg-0123456789abcdef0  #! sg-0123456789abcdef0
"""
    passing = """\
storage:
  efs:
    id: fs-0123456789abcdef0
    security_group: sg-0123456789abcdef0
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        efs = subject.spec.storage.efs
        if efs.id is None and efs.security_group is not None and subject.sound("storage", "efs"):
            yield Match(
                ("storage", "efs", "security_group"),
                "`security_group` is only valid with the `id` of an existing file system",
            )


class FreeMountPoint(SpecRule):
    id = "MN181"
    title = "The file system must not be mounted over a system folder"
    why = (
        "A mount hides what is under it, on the instance and in the container. Over /usr, /etc or "
        "/var/lib/docker neither starts; over /tmp all jobs share their temporary files."
    )
    remedy = "mount it at a separate path, such as /efs"
    source_url = "https://docs.aws.amazon.com/efs/latest/ug/mounting-fs.html"
    manual_test = "aws efs describe-mount-targets --file-system-id fs-0123456789abcdef0"
    failing = """\
storage:
  efs:
    mount: /usr/local  #! /usr/local
"""
    passing = """\
storage:
  efs:
    mount: /efs
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        mount = subject.spec.storage.efs.mount
        folder = covered_folder(mount)
        if folder is not None:
            yield Match(
                ("storage", "efs", "mount"),
                f"a mount at `{mount}` would hide what the system or the container has in "
                f"`/{folder}`",
                better_mount(folder, "efs"),
            )


class SettingsOfNew(SpecRule):
    id = "MN182"
    severity = Severity.WARNING
    title = "An existing file system should not have settings of a new one"
    why = (
        "mngen uses an existing file system as it is. Its key, throughput, backups and deletion "
        "are managed elsewhere, so these settings change nothing."
    )
    remedy = "remove the key, and change the file system where it is managed"
    source_url = "https://docs.aws.amazon.com/efs/latest/ug/performance.html"
    manual_test = (
        "aws efs describe-file-systems --file-system-id fs-0123456789abcdef0 "
        "--query 'FileSystems[].ThroughputMode'"
    )
    failing = """\
storage:
  efs:
    id: fs-0123456789abcdef0
    security_group: sg-0123456789abcdef0
    throughput: elastic  #! elastic
"""
    passing = """\
storage:
  efs:
    throughput: elastic
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        efs = subject.spec.storage.efs
        if efs.id is None:
            return
        for key in set_for_new(efs, "mount", "id", "security_group", "tls", "iam", "access_point"):
            yield Match(
                ("storage", "efs", key),
                f"`{key}` has no effect on the existing file system `{efs.id}`",
            )


class IdentityNeedsTls(SpecRule):
    id = "MN183"
    title = "Mounting with IAM or through an access point requires TLS"
    why = (
        "The client proves its role, and names its access point, in the certificate of the TLS "
        "connection. Without TLS, the mount helper of amazon-efs-utils refuses both options; plain "
        "NFS does not have them."
    )
    remedy = "remove `tls: false`"
    source_url = "https://docs.aws.amazon.com/efs/latest/ug/mounting-IAM-option.html"
    manual_test = "aws efs describe-access-points --file-system-id fs-0123456789abcdef0"
    failing = """\
storage:
  efs:
    tls: false
    iam: true  #! true
"""
    passing = """\
storage:
  efs:
    iam: true
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        efs = subject.spec.storage.efs
        if efs.tls:
            return
        if efs.iam:
            yield Match(("storage", "efs", "iam"), "`iam: true` requires TLS, and `tls` is false")
        if efs.access_point is not None:
            yield Match(
                ("storage", "efs", "access_point"),
                "an access point requires TLS, and `tls` is false",
            )


class AccessPointOfExisting(SpecRule):
    id = "MN184"
    title = "`storage.efs.access_point` requires an existing file system"
    why = "A new file system does not have access points yet; its root is mounted."
    remedy = "name the access point's file system as `id`, or remove `access_point`"
    source_url = "https://docs.aws.amazon.com/efs/latest/ug/efs-access-points.html"
    manual_test = "aws efs describe-access-points --query 'AccessPoints[].FileSystemId'"
    failing = """\
storage:
  efs:
    access_point: fsap-0123456789abcdef0  #! fsap-0123456789abcdef0
"""
    passing = """\
storage:
  efs:
    id: fs-0123456789abcdef0
    security_group: sg-0123456789abcdef0
    access_point: fsap-0123456789abcdef0
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        efs = subject.spec.storage.efs
        if efs.id is None and efs.access_point is not None and subject.sound("storage", "efs"):
            yield Match(
                ("storage", "efs", "access_point"),
                "`access_point` requires the `id` of an existing file system",
            )
