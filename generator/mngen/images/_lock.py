"""The folder of a bake's logs, and one bake at a time for each record of images."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mngen._files import make_private, state_home
from mngen.errors import InputError, ToolError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


_KEPT_RUNS = 20
_KEPT_SECONDS = 86_400.0


def run_folder(name: str) -> Path:
    """Makes the folder of one bake: its templates, its logs.

    The latest are kept, and all of the last day, one of which may still be running.

    Args:
        name: The bake's name, which no other has.

    Raises:
        ToolError: It cannot be made.
    """
    folder = state_folder() / "bake" / name
    folder.mkdir(mode=0o700, parents=True)
    ages = [(time.time() - path.lstat().st_mtime, path) for path in folder.parent.iterdir()]
    for age, path in sorted(ages)[_KEPT_RUNS:]:
        if age > _KEPT_SECONDS:
            # Logs that cannot be removed must keep no image from being baked.
            shutil.rmtree(path, ignore_errors=True)
    return folder


def state_folder() -> Path:
    """Returns the private folder in which bakes keep their logs; makes it.

    Raises:
        ToolError: It cannot be made.
    """
    try:
        folder = state_home()
        make_private(folder)
    except (OSError, RuntimeError) as error:
        raise ToolError(
            f"there is no folder for logs: {error}", hint="set XDG_STATE_HOME to a writable folder"
        ) from None
    return folder


@contextmanager
def only_bake(record: Path) -> Iterator[None]:
    """Holds the lock of a record for as long as images are baked into it.

    Args:
        record: The record of AMIs.

    Raises:
        InputError: Another bake holds it.
    """
    digest = hashlib.sha256(os.fsencode(os.path.realpath(record))).hexdigest()[:16]
    path = state_folder() / f"bake-{digest}.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
        os.close(descriptor)
        raise InputError(
            f"another bake into {record} is running (process {holder or 'unknown'})",
            hint="wait until it has ended, or interrupt it there with Ctrl-C",
        ) from None
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)
