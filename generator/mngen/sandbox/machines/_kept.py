"""Which of the file systems below machines are kept, and for how long.

A change of a recipe makes new ones of some 300 MB beside the old. Processes that use one hold a
shared lock on a file beside it until they end, which is when the last machine on it ends too; what
is not used is removed, except for the latest, to which another version of mngen may go back.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_KEPT = 2
"""How many of a kind are kept beside those in use."""

_SECONDS = 86_400.0
"""How long ago the last use of one must be. Versions before the locks may use one without."""

_held: dict[Path, int] = {}


def hold(place: Path) -> None:
    """Marks a folder as used by this process, until it ends. Its machines end with it.

    Raises:
        OSError: The file beside it cannot be written.
    """
    if place not in _held:
        descriptor = os.open(_mark(place), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        _held[place] = descriptor
    os.utime(_held[place])


def remove_unused(folder: Path) -> None:
    """Removes what is not used. The caller holds the folder's lock, so no process begins to.

    Args:
        folder: Holds folders that are named `KIND-KEY`, with a mark beside each that was used.
    """
    kinds: dict[str, list[Path]] = {}
    for place in folder.iterdir():
        kind, _, key = place.name.rpartition("-")
        if place.is_dir() and key and kind not in ("making", "probe"):
            kinds.setdefault(kind, []).append(place)
    for places in kinds.values():
        places.sort(key=_last_use, reverse=True)
        for place in places[1 + _KEPT :]:
            if time.time() - _last_use(place) > _SECONDS:
                _remove(place)


def _remove(place: Path) -> None:
    mark = _mark(place)
    descriptor = os.open(mark, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Renamed first: half of a file system must never bear a whole one's name.
            gone = place.rename(place.with_name(f"making-{place.name}"))
            shutil.rmtree(gone)
            mark.unlink()
    finally:
        os.close(descriptor)


def _last_use(place: Path) -> float:
    """Returns when a folder was last asked for, or made, in seconds since the epoch."""
    with suppress(FileNotFoundError):
        return _mark(place).stat().st_mtime
    return place.stat().st_ctime


def _mark(place: Path) -> Path:
    return place.with_name(f"{place.name}.used")
