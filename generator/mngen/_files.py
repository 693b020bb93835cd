"""Files of mngen's own: whole or not at all, one writer at a time, in the user's folders.

Nothing but the standard library is needed here: what looks for missing programs runs before there
is a virtual environment.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_UNLOCKABLE = {errno.EBADF, errno.ENOLCK, errno.EINVAL, errno.ENOTSUP}

# What Python, editors and linters leave beside the files of a checkout.
_LEFTOVER_FOLDERS = frozenset({"__pycache__"})
_LEFTOVER_ENDINGS = (".pyc", ".swp", ".orig", ".rej", "~")
# Hidden files are leftovers as well, but for those that the tools of the rendered folders read.
_READ_BY_TOOLS = frozenset({".dockerignore"})


def is_leftover(path: Path) -> bool:
    """Returns whether a file is one that programs leave behind, or hidden, by its relative path."""
    hidden = any(part.startswith(".") for part in path.parts) and path.name not in _READ_BY_TOOLS
    return (
        hidden
        or not _LEFTOVER_FOLDERS.isdisjoint(path.parts)
        or path.name.endswith(_LEFTOVER_ENDINGS)
    )


def write_atomically(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Writes a file wholly or not at all.

    Killed at any moment, this leaves the old file or the new one. The new one has the old one's
    permissions, or those that the umask gives a new file.

    Args:
        path: The file, in a folder that is there.
        content: All of it.
        durable: Whether it is on the disk when this returns, and outlives a loss of power.

    Raises:
        OSError: It cannot be written, and is as it was.
    """
    # In the same folder, since a rename is atomic within a file system; hidden, since Terraform and
    # others read what ends in the name of their kind.
    beside = path.with_name(f".{path.name}.{os.urandom(6).hex()}.new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            with suppress(FileNotFoundError):
                os.fchmod(file.fileno(), stat.S_IMODE(path.stat().st_mode))
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    if durable:
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Has the disk remember a rename; file systems that cannot do so keep it all the same."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def locked_file(path: Path) -> Iterator[None]:
    """Holds the lock of a file, which is created if missing; waits while it is held.

    The lock ends with the process, however that ends.

    Raises:
        OSError: The file cannot be made.
    """
    with path.open("a", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def locked_folder(folder: Path, name: str) -> Iterator[None]:
    """Holds the lock of a folder, without leaving a file in it; waits while it is held.

    The lock ends with the process, however that ends.

    Args:
        folder: The folder; it is there.
        name: What is locked in it, for a file `.NAME.mngen-lock` where folders cannot be locked:
            NFS locks only what is open for writing, which a folder never is.

    Raises:
        OSError: It cannot be locked.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in _UNLOCKABLE:
                raise
            os.close(descriptor)
            file = folder / f".{name}.mngen-lock"
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def cache_home() -> Path:
    """Returns mngen's folder in the user's cache, which may be removed at any time.

    Raises:
        RuntimeError: The user has no home.
    """
    return _home("XDG_CACHE_HOME", ".cache")


def state_home() -> Path:
    """Returns mngen's folder for what the user may want to look at later, such as logs.

    Raises:
        RuntimeError: The user has no home.
    """
    return _home("XDG_STATE_HOME", ".local/state")


def runtime_home() -> Path:
    """Returns mngen's folder for what runs until the user logs out, or one in /tmp.

    The name of the latter can be guessed, and another user may have made it: see `is_private`.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and Path(runtime).is_dir() and os.access(runtime, os.W_OK):
        return Path(runtime) / "mngen"
    # It imports compression and random numbers, which nothing else here needs.
    import tempfile

    return Path(tempfile.gettempdir()) / f"mngen-{os.getuid()}"


def _home(variable: str, below: str) -> Path:
    """Returns mngen's folder below one of the user's.

    Source: https://specifications.freedesktop.org/basedir-spec/latest/ (a path that is not absolute
    is to be ignored).
    """
    named = Path(os.environ.get(variable, ""))
    return (named if named.is_absolute() else Path.home() / below) / "mngen"


def make_private(folder: Path) -> None:
    """Makes a folder that is closed to all other users, and the ones above it up to the home.

    Raises:
        OSError: It cannot be made, or the user's home is not there.
    """
    # With `parents`, mkdir would give the ones above the permissions of the umask.
    missing = [each for each in (*reversed(folder.parents), folder) if not each.is_dir()]
    # A user without a home has none that could be missing.
    with suppress(RuntimeError):
        if (home := Path.home()) in missing:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(home))
    for each in missing:
        each.mkdir(mode=0o700, exist_ok=True)


def is_private(folder: Path) -> bool:
    """Returns whether a folder is a real one, of this user, that no one else can enter."""
    return _is_own(folder, without=stat.S_IRWXG | stat.S_IRWXO)


def is_protected(folder: Path) -> bool:
    """Returns whether a folder is a real one, of this user, that no one else can write to."""
    return _is_own(folder, without=stat.S_IWGRP | stat.S_IWOTH)


def _is_own(folder: Path, *, without: int) -> bool:
    try:
        status = folder.lstat()
    except OSError:
        return False
    return (
        stat.S_ISDIR(status.st_mode)
        and status.st_uid == os.geteuid()
        and not status.st_mode & without
    )
