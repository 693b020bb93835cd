"""The record of what was pushed, which Terraform reads: a digest for each tag."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from mngen._files import locked_folder, write_atomically
from mngen.errors import InputError, Problem, ToolError

if TYPE_CHECKING:
    from pathlib import Path


class _File(msgspec.Struct, forbid_unknown_fields=True):
    container_digests: dict[str, str] = {}


def read_digests(path: Path) -> dict[str, str]:
    """Returns the digests of the images that were pushed, by tag.

    Args:
        path: The record. Where there is none, nothing was pushed yet.

    Raises:
        InputError: The file is damaged or cannot be read.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=_File).container_digests
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(
            Problem(
                f"the record of pushed images is damaged: {error}",
                file=str(path),
                hint="restore it from version control, or remove it and push again",
            )
        ) from None


def record_digest(path: Path, tag: str, digest: str) -> None:
    """Records what was pushed under a tag; all of the file is written, or none.

    Two at a time wait for each other.

    Args:
        path: The record, in a folder that is there.
        tag: The tag.
        digest: `sha256:` and 64 hexadecimal digits.

    Raises:
        InputError: The record is damaged.
        ToolError: It cannot be written.
    """
    try:
        with locked_folder(path.parent, path.name):
            record = _File(dict(sorted({**read_digests(path), tag: digest}.items())))
            text = msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n"
            write_atomically(path, text)
    except OSError as error:
        raise ToolError(
            f"cannot write {path}: {error.strerror}",
            hint=f"the image was pushed; write its digest there by hand: {digest}",
        ) from None
