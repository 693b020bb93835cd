"""An emulator's home: a private folder that is removed when the emulator ends, however it ends."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PREFIX = "mngen-sandbox-"
_LOCK = "emulator.lock"


@contextmanager
def made_home() -> Iterator[Path]:
    """Makes a home, and removes it at the end, and those that killed emulators left before.

    Yields:
        A folder that only this user may enter.
    """
    _remove_abandoned()
    home = Path(tempfile.mkdtemp(prefix=_PREFIX))
    try:
        # The kernel releases the lock with this process. The folder is locked before it has a name,
        # so that no other process finds it free while this process lives.
        with (home / f"{_LOCK}.new").open("w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            Path(lock.name).rename(home / _LOCK)
            yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _remove_abandoned() -> None:
    for lock_file in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/{_LOCK}"):
        home = lock_file.parent
        with suppress(OSError):
            # Any user may make a folder of this name.
            if home.is_symlink() or home.stat().st_uid != os.geteuid():
                continue
            with lock_file.open("r", encoding="utf-8") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(home, ignore_errors=True)
