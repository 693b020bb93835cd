"""Replaces the contents of a folder all at once.

The output folder also holds what is not rendered: Terraform's state and plugins, the record of the
images, files that someone added. The new contents are therefore built beside the folder, with hard
links to all that stays, and the two folders then change places in one system call. Killed at any
moment, the folder holds the old contents or the new ones, never a mixture.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from mngen.errors import InputError, ToolError

if TYPE_CHECKING:
    from collections.abc import Mapping

_TOOLS = {"terraform", "tofu", "packer"}
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_UNSUPPORTED = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP}


def replace(folder: Path, files: Mapping[str, str], *, remove: set[str]) -> None:
    """Writes files into a folder and removes others, wholly or not at all.

    Args:
        folder: The folder, without symbolic links in its path; need not exist.
        files: Text by path below the folder.
        remove: Paths below the folder to remove.

    Raises:
        OSError: Something could not be written; the folder is as it was.
        ToolError: Terraform is at work in the folder.
        InputError: This process is in the folder.
    """
    staging = Path(tempfile.mkdtemp(prefix=_staging_prefix(folder), dir=folder.parent))
    try:
        _copy_mode(folder, staging)
        for path, text in files.items():
            target = staging / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(text.encode())
        if folder.exists():
            _refuse_while_busy(folder)
            _link_others(folder, staging, skip={*files, *remove})
            _put_in_place(staging, folder)
        else:
            staging.rename(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _exchange(first: Path, second: Path) -> bool:
    """Lets two folders of one file system change places atomically.

    Source: https://man7.org/linux/man-pages/man2/rename.2.html (RENAME_EXCHANGE); macOS has the
    same as renamex_np with RENAME_SWAP.

    Returns:
        False where the system or the file system cannot; nothing has changed then.

    Raises:
        OSError: The system can, but refused.
    """
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    paths = os.fsencode(first), os.fsencode(second)
    if hasattr(libc, "renameat2"):
        result = libc.renameat2(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_EXCHANGE)
    elif hasattr(libc, "renamex_np"):
        result = libc.renamex_np(*paths, _RENAME_EXCHANGE)
    else:
        return False
    if result == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNSUPPORTED:
        return False
    raise OSError(number, os.strerror(number), str(second))


def _link_others(source: Path, target: Path, *, skip: set[str]) -> None:
    """Links everything of `source` that is not rendered into `target`, keeping the very files."""
    for parent, folders, names in os.walk(source, onerror=_raise):
        below = os.path.relpath(parent, source)
        prefix = "" if below == "." else f"{below}/"
        links = [name for name in folders if (Path(parent) / name).is_symlink()]
        for name in [*names, *links]:
            if prefix + name not in skip:
                (target / below).mkdir(parents=True, exist_ok=True)
                _link(Path(parent) / name, target / below / name)
        folders[:] = [name for name in folders if name not in links]
        # A folder that held rendered files alone goes with them; a user's empty one stays.
        if not names and not folders and not any(path.startswith(prefix) for path in skip):
            (target / below).mkdir(parents=True, exist_ok=True)
        if (target / below).is_dir():
            _copy_mode(Path(parent), target / below)


def _raise(error: OSError) -> None:
    """What cannot be listed cannot be kept."""
    raise error


def _link(source: Path, target: Path) -> None:
    if source.is_symlink():
        target.symlink_to(source.readlink())
        return
    try:
        os.link(source, target)
    except OSError as error:
        # File systems without hard links, and those that allow no more links to the file.
        if error.errno not in {errno.EPERM, errno.EMLINK, errno.ENOTSUP}:
            raise
        shutil.copy2(source, target)


def _copy_mode(source: Path, target: Path) -> None:
    if source.exists():
        target.chmod(stat.S_IMODE(source.stat().st_mode))
    else:
        # As mkdir would have made it, where mkdtemp keeps others out.
        mask = os.umask(0)
        os.umask(mask)
        target.chmod(0o777 & ~mask)


def _put_in_place(staging: Path, folder: Path) -> None:
    """Makes `staging` the folder; what was the folder is at `staging` afterwards."""
    if _exchange(staging, folder):
        return
    # Two renames: killed between them, the folder is missing, and the next write brings it back.
    old = folder.with_name(_old_name(folder))
    folder.rename(old)
    staging.rename(folder)
    old.rename(staging)


def _staging_prefix(folder: Path) -> str:
    return f".{folder.name}.mngen-new-"


def _old_name(folder: Path) -> str:
    return f".{folder.name}.mngen-old"


def recover(folder: Path) -> None:
    """Mends what a killed write left beside the folder; the lock says that none is running."""
    old = folder.with_name(_old_name(folder))
    if old.is_dir() and not old.is_symlink():
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)
        else:
            old.rename(folder)
    for leftover in folder.parent.glob(f"{_staging_prefix(folder)}*"):
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover, ignore_errors=True)


def _refuse_while_busy(folder: Path) -> None:
    """Refuses to move the folder from under a running Terraform, which would lose its state."""
    if Path.cwd().is_relative_to(folder):
        raise InputError(
            f"cannot replace {folder}: it is the current folder",
            hint="run this from outside the output folder, such as from the spec's folder",
        )
    lock = folder / "terraform" / ".terraform.tfstate.lock.info"
    if lock.exists():
        raise ToolError(
            f"Terraform's state is locked: {lock}",
            hint="wait until Terraform has ended; if none is running, remove that file",
        )
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if not Path(link.readlink()).is_relative_to(folder):
                continue
            name = (link.parent / "comm").read_text().strip()
        except OSError:
            continue
        if name in _TOOLS:
            raise ToolError(
                f"{name} (process {link.parent.name}) is running in {folder}",
                hint="wait until it has ended",
            )
