"""The record of AMIs: the one that each image was baked into, and how."""

from __future__ import annotations

import hashlib

import msgspec

from mngen.cluster._base_image import base_kind
from mngen.cluster._record_file import RecordFile


class BakedFrom(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything that decides what is in an image, and who can use it.

    Equal inputs need no second bake.

    Attributes:
        architecture: `x86_64` or `arm64`.
        base: Name of the base system, as in the spec.
        base_ami: The AMI that the bake started from.
        nr_cpus: The kernel's CPU limit; None for none.
        efa: Whether it has the software of the Elastic Fabric Adapter.
        efs: Id of the file system that it mounts.
        mount: Where it mounts it.
        tls: Whether it does so over TLS.
        playbooks: SHA-256 of the playbooks.
        iam: Whether it mounts with the instance's role.
        access_point: Id of the access point through which it mounts; None for none.
        kms_key: ARN of the key of its snapshots; None for the account's default.
        gpu: Whether it has the drivers of GPUs.
        fsx: Id of the FSx for Lustre file system that it mounts; None for none.
        fsx_mount: Where it mounts that.
        fsx_folders: Folders on it that the bake opened to jobs.
        scratch: Where it mounts the instance's disks; None for nowhere.
        packages: Packages of the spec, sorted.
        own_playbooks: Playbooks of the spec, in their order; `playbooks` has their content.
        efa_version: Version of the EFA installer that the spec names; None for that of `playbooks`.
        preload: Container images in it: the digest of one in the deployment's repository, the
            reference of one elsewhere.
        volume: Size of its root volume where it has container images, GiB.
    """

    architecture: str
    base: str
    base_ami: str
    nr_cpus: int | None
    efa: bool
    efs: str
    mount: str
    tls: bool
    playbooks: str
    iam: bool = False
    access_point: str | None = None
    kms_key: str | None = None
    gpu: bool = False
    fsx: str | None = None
    fsx_mount: str | None = None
    fsx_folders: tuple[str, ...] = ()
    scratch: str | None = None
    packages: tuple[str, ...] = ()
    own_playbooks: tuple[str, ...] = ()
    efa_version: str | None = None
    preload: tuple[str, ...] = ()
    volume: int | None = None

    @property
    def base_kind(self) -> str:
        """The kind of base image that it started from: `x86_64`, `arm64` or `x86_64-gpu`."""
        return base_kind(self.architecture, gpu=self.gpu)

    @property
    def digest(self) -> str:
        """A short name for exactly these inputs: 16 hexadecimal digits."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()[:16]


class AmiRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One AMI.

    Attributes:
        id: The AMI.
        baked_from: What it was made of; None for one that was recorded by hand.
        baked_at: When, in UTC, as `2026-01-31T12:00:00Z`.
        mngen: The version of mngen that baked it.
    """

    id: str
    baked_from: BakedFrom | None = None
    baked_at: str | None = None
    mngen: str | None = None


class _Content(msgspec.Struct, frozen=True):
    amis: dict[str, AmiRecord]


class AmiFile(RecordFile[AmiRecord]):
    """The record of AMIs on disk, by the names of their images."""

    content = _Content
    title = "the AMI record"
    remedy = "bake the images again"
