"""The file that tells Terraform which machine images there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from mngen.errors import InputError, Problem

if TYPE_CHECKING:
    from pathlib import Path

AMIS_FILE = "terraform/amis.auto.tfvars.json"
"""Its place in the rendered tree."""


class _Ami(msgspec.Struct, frozen=True):
    id: str


class _File(msgspec.Struct, frozen=True):
    amis: dict[str, _Ami]


def read_amis(out: Path) -> dict[str, str]:
    """Returns the ids of the machine images that were baked, by the images' names.

    Args:
        out: The rendered tree. Without the file in it there are no images yet.

    Raises:
        InputError: The file is damaged or cannot be read.
    """
    path = out / AMIS_FILE
    try:
        raw = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    try:
        content = msgspec.json.decode(raw, type=_File)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(
            Problem(
                f"the file of machine images is damaged: {error}",
                file=str(path),
                hint="restore it from version control, or bake the images again",
            )
        ) from None
    return {name: ami.id for name, ami in content.amis.items()}
