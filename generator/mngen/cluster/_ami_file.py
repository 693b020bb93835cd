"""The file that tells Terraform which machine images there are."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from mngen._files import locked_folder, write_atomically
from mngen.errors import InputError, Problem, ToolError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


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

    @property
    def digest(self) -> str:
        """A short name for exactly these inputs: 16 hexadecimal digits."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()[:16]


class AmiRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One machine image.

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


class AmiFile:
    """The record on disk.

    Args:
        path: The file; it need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, AmiRecord]:
        """Returns the records by the images' names; none where there is no file.

        Raises:
            InputError: The file is damaged or cannot be read.
        """
        try:
            raw = self.path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            raise InputError(f"cannot read {self.path}: {error.strerror}") from None
        try:
            return msgspec.json.decode(raw, type=_Content).amis
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InputError(
                Problem(
                    f"the AMI record is damaged: {error}",
                    file=str(self.path),
                    hint="restore it from version control, or bake the images again",
                )
            ) from None

    def update(self, records: Mapping[str, AmiRecord]) -> None:
        """Puts records into the file, and leaves those of other images as they are.

        Killed at any moment, it leaves the old file or the new one. Two at a time wait for each
        other.

        Args:
            records: New records by the images' names.

        Raises:
            InputError: The file that is there is damaged.
            ToolError: It cannot be written.
        """
        try:
            with locked_folder(self.path.parent, self.path.name):
                content = _Content(dict(sorted({**self.read(), **records}.items())))
                text = msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n"
                write_atomically(self.path, text)
        except OSError as error:
            raise ToolError(f"cannot write {self.path}: {error.strerror or error}") from None
