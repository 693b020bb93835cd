"""What a file keeps for all processes of a run of tests."""

from __future__ import annotations

import fcntl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def once(
    file: Path, make: Callable[[], bytes], unless: Callable[[bytes], bool] = lambda _: False
) -> bytes:
    """Read a file, or make and write it; one process and thread at a time makes it.

    Args:
        file: The file.
        make: Returns what it holds.
        unless: Whether that is not to be written.
    """
    with file.with_suffix(".lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if file.exists():
            return file.read_bytes()
        made = make()
        if not unless(made):
            making = file.with_suffix(".new")
            making.write_bytes(made)
            making.rename(file)
        return made
