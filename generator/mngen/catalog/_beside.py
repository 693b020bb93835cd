"""Data files that ship with mngen, and that one in the spec's folder replaces."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from mngen.errors import InputError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_Data = TypeVar("_Data")


def path_beside(beside: Path, name: str) -> Path:
    """Returns where a file of this name would be in the folder of a spec.

    Args:
        beside: The spec, or the folder that holds it.
        name: The name of the file.
    """
    return (beside if beside.is_dir() else beside.parent) / name


def read_beside(
    path: Path,
    read: Callable[[Path, int, int], _Data],
    shipped: Callable[[], _Data],
    what: str,
) -> _Data:
    """Returns what a file beside the spec holds, or else what mngen ships.

    Args:
        path: The file.
        read: Reads it; its time in nanoseconds and its size let a cache see a change.
        shipped: Returns what mngen ships.
        what: What the file is, for errors, such as `instance catalog`.

    Raises:
        InputError: The file is damaged, unreadable or of another version.
    """
    try:
        stat = path.stat()
        return read(path, stat.st_mtime_ns, stat.st_size)
    except FileNotFoundError:
        if path.is_symlink():
            raise InputError(
                Problem(f"the {what} is a broken symbolic link", file=str(path))
            ) from None
        return shipped()
    except OSError as error:
        raise InputError(
            Problem(
                f"cannot read the {what}: {error.strerror}",
                file=str(path),
                hint="make the file readable, or remove it to use what mngen ships",
            )
        ) from None
