"""Writes many files of a folder in one step, which is completed or undone.

The new files are first written to `.mngen/pending` in the folder, then a journal of the step, and
then each is renamed to its place. All other files and the folders themselves stay, so that a shell
or an editor in the folder keeps working.

- An error undoes the step.
- Killed before the journal exists, a write has changed nothing. Killed later, the next write
  completes the step first. Loss of power is not covered: nothing waits for the disk.
- Each file is old or new at any moment, but there is a moment when some are old and others new. A
  file that Terraform cannot parse is in its folder from before the first change until after the
  last one, also after a kill, so that Terraform does not work with a mixture. A Terraform that was
  started earlier makes the step fail; it is found by the lock of its local state and, on Linux, by
  its working directory. One on another host, in another container or of another user is not found.
"""

from __future__ import annotations

import errno
import hashlib
import shutil
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from mngen._files import write_atomically
from mngen.cluster import UNFINISHED_FILE
from mngen.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

# The error message of Terraform quotes the first line.
_GUARD_TEXT = b"mngen render was interrupted: run it again to complete the files in this folder\n"
_TERRAFORM = "terraform/"
_TOOLS = {"terraform", "tofu", "packer"}
_PENDING = ".mngen/pending"
JOURNAL = f"{_PENDING}/journal.json"
"""The file of a step, by its path below the folder."""


class _Journal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One step: by path, the SHA-256 of a file before and after it; None where there is no file."""

    version: int
    files: dict[str, tuple[str | None, str | None]]


def write_all(
    folder: Path, contents: Mapping[str, str | None], *, added: Collection[str] = ()
) -> None:
    """Writes files into a folder and removes others: all of them or none.

    Args:
        folder: The folder, locked by the caller. None of the journal's folders in it is a symbolic
            link.
        contents: Text by path below the folder, in the order of writing; None removes the file.
        added: Those of the paths where there is no file yet, as far as the caller knows.

    Raises:
        OSError: A file could not be written; the folder is as it was.
        ToolError: Terraform is at work in the folder; or the step could be neither completed nor
            undone, and the next write completes it.
    """
    absent = set(added)
    old = {path: None if path in absent else read(folder / path) for path in contents}
    new = {path: None if text is None else text.encode() for path, text in contents.items()}
    journal = _Journal(1, {path: (_state(old[path]), _state(new[path])) for path in contents})
    try:
        _refuse_while_busy(folder, journal)
        (folder / _PENDING).mkdir(parents=True, exist_ok=True)
        for number, (path, content) in enumerate(new.items()):
            if content is not None:
                target = None if old[path] is None else folder / path
                _stage(target, folder / _PENDING / str(number), content)
        write_atomically(folder / JOURNAL, msgspec.json.encode(journal), durable=False)
        _place(folder, journal)
    except BaseException as error:
        try:
            _undo(folder, old, new)
            _forget(folder, contents)
        except OSError as second:
            raise ToolError(
                f"cannot write {second.filename or folder}: {second.strerror}; some files in "
                f"{folder} are new, others are still old",
                hint="fix this, then run mngen render again: it completes the rest",
            ) from error
        raise
    _forget(folder, contents)


def recover(folder: Path) -> None:
    """Completes what a killed write began, or drops it if it had changed nothing yet.

    Files that were edited in the meantime stay as they are.

    Args:
        folder: As for `write_all`.

    Raises:
        OSError: A file could not be written; the step is still incomplete.
        ToolError: Terraform is at work in the folder.
    """
    if not (folder / _PENDING).exists():
        return
    journal = _read_journal(folder)
    if journal is not None:
        _place(folder, journal, resumed=True)
    _forget(folder, journal.files if journal else ())


def is_incomplete(folder: Path) -> bool:
    """Returns whether a write is at work in a folder, or was killed there."""
    return (folder / JOURNAL).exists()


def parents_of(paths: Iterable[str]) -> list[str]:
    """Returns the folders in which files are, and those above, the outermost first."""
    found: set[str] = set()
    for path in paths:
        parent = path.rpartition("/")[0]
        while parent and parent not in found:
            found.add(parent)
            parent = parent.rpartition("/")[0]
    return sorted(found)


def sound_paths(folder: Path, paths: Iterable[str]) -> set[str]:
    """Returns those paths, read from a file, that lead to a place below a folder.

    The author of that file must not be able to have others changed: not by `..`, and not through
    symbolic links.
    """
    below = [
        path for path in paths if not {"", ".", ".."} & set(path.split("/")) and "\0" not in path
    ]
    links = {parent for parent in parents_of(below) if (folder / parent).is_symlink()}
    return {path for path in below if links.isdisjoint(parents_of([path]))}


def read(file: Path) -> bytes | None:
    """Returns the content of a file, or None where there is none.

    Raises:
        OSError: It cannot be read.
    """
    try:
        return file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


def digest(content: bytes) -> str:
    """Returns the SHA-256 of a file's content."""
    return hashlib.sha256(content).hexdigest()


def _state(content: bytes | None) -> str | None:
    return None if content is None else digest(content)


def _stage(target: Path | None, staged: Path, content: bytes) -> None:
    """Writes a file where it waits, with the permissions of the one that it replaces, if any."""
    # What is there may be a symbolic link to a file elsewhere.
    staged.unlink(missing_ok=True)
    staged.write_bytes(content)
    if target is None:
        return
    with suppress(FileNotFoundError):
        mode = target.lstat().st_mode
        if stat.S_ISREG(mode):
            staged.chmod(stat.S_IMODE(mode))


def _place(folder: Path, journal: _Journal, *, resumed: bool = False) -> None:
    """Moves the files of a step to their places.

    Args:
        folder: As for `write_all`.
        journal: The step.
        resumed: Whether some may be there already, and others may have been edited since.
    """
    guard = folder / UNFINISHED_FILE
    if any(path.startswith(_TERRAFORM) for path in journal.files):
        guard.parent.mkdir(exist_ok=True)
        _replace(folder, guard, _GUARD_TEXT)
    # A Terraform that starts from here on finds the guard.
    _refuse_while_busy(folder, journal)
    for parent in parents_of(path for path, (_, after) in journal.files.items() if after):
        (folder / parent).mkdir(exist_ok=True)
    for number, (path, (before, after)) in enumerate(journal.files.items()):
        target = folder / path
        staged = folder / _PENDING / str(number)
        if resumed and not (_state(read(target)) == before and _state(read(staged)) == after):
            continue
        if after is None:
            target.unlink(missing_ok=True)
        else:
            _move(staged, target)


def _replace(folder: Path, target: Path, content: bytes) -> None:
    """Writes one file atomically; killed meanwhile, it leaves nothing outside of `.mngen`."""
    staged = folder / _PENDING / "single"
    _stage(target, staged, content)
    _move(staged, target)


def _move(source: Path, target: Path) -> None:
    try:
        source.replace(target)
    except OSError as error:
        # A folder below the rendered one is a mount point.
        if error.errno != errno.EXDEV:
            raise
        write_atomically(target, source.read_bytes(), durable=False)


def _undo(folder: Path, old: Mapping[str, bytes | None], new: Mapping[str, bytes | None]) -> None:
    """Restores the old files; killed meanwhile, the step can still be completed."""
    for number, (path, content) in enumerate(old.items()):
        target, after = folder / path, new[path]
        if read(target) == content:
            continue
        if after is not None:
            _stage(target, folder / _PENDING / str(number), after)
        if content is None:
            target.unlink()
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            _replace(folder, target, content)


def _forget(folder: Path, paths: Iterable[str]) -> None:
    """Completes a step: removes the guard, the journal, and the folders that are empty now."""
    (folder / UNFINISHED_FILE).unlink(missing_ok=True)
    (folder / JOURNAL).unlink(missing_ok=True)
    shutil.rmtree(folder / _PENDING, ignore_errors=True)
    for parent in reversed(parents_of(paths)):
        with suppress(OSError):
            (folder / parent).rmdir()


def _read_journal(folder: Path) -> _Journal | None:
    """Returns the journal of a killed write; None where it was killed before there was one."""
    try:
        journal = msgspec.json.decode((folder / JOURNAL).read_bytes(), type=_Journal)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    sound = journal.version == 1 and sound_paths(folder, journal.files) == set(journal.files)
    return journal if sound else None


def _refuse_while_busy(folder: Path, journal: _Journal) -> None:
    """Refuses to change files that a running Terraform or Packer may read at any time.

    Raises:
        ToolError: One of them is running in the folder.
    """
    if all(before is None for before, _ in journal.files.values()):
        return
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
