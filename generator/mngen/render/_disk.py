"""The rendered tree on disk: compared with what should be there, and updated.

A manifest keeps the hash of every file that was rendered. A file that differs from its hash was
edited by hand and is not overwritten unasked; one that is in the manifest and no longer rendered is
removed; any other file in the folder is someone else's and stays.
"""

from __future__ import annotations

import difflib
import os
import stat
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from mngen._files import locked_folder
from mngen.errors import InputError, OutOfDateError, Problem, ToolError
from mngen.render._staged import (
    JOURNAL,
    digest,
    is_incomplete,
    parents_of,
    read,
    recover,
    sound_paths,
    write_all,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.render._render import Tree

MANIFEST = ".mngen/manifest.json"

_LISTED = 10
_LOCK = "render"


class _Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the last render wrote: a SHA-256 for each file, by path."""

    version: int
    files: dict[str, str]


class Changes(msgspec.Struct, frozen=True):
    """How the tree on disk differs from a rendered one.

    Attributes:
        added: Paths that would be created.
        changed: Paths whose text would change.
        removed: Paths once rendered, now no longer.
        edited: Paths among the changed and removed that were edited by hand since.
        diff: A unified diff from the disk to the rendered tree; empty unless requested.
    """

    added: list[str] = msgspec.field(default_factory=list)
    changed: list[str] = msgspec.field(default_factory=list)
    removed: list[str] = msgspec.field(default_factory=list)
    edited: list[str] = msgspec.field(default_factory=list)
    diff: str = ""

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)


class Deployment:
    """The output folder of one deployment.

    Args:
        folder: The folder, `deploy/` by default; it need not exist yet.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def compare(self, tree: Tree) -> Changes:
        """Compares the disk with a rendered tree, changing nothing.

        Raises:
            InputError: A file is in the way or the manifest is damaged.
            OutOfDateError: A killed write has left some files old and others new.
            ToolError: The folder cannot be read.
        """
        with _explained(self.folder, "read"):
            self._refuse_blocked(tree)
            self._refuse_incomplete()
            return self._with_diff(self._compare(tree), tree)

    def _compare(self, tree: Tree) -> Changes:
        """Returns what differs, without the diff."""
        known = self._manifest()
        changes = Changes()
        for path in sorted({*tree, *known}):
            old = self._read(path)
            new = tree.get(path)
            if old == (new.encode() if new is not None else None):
                continue
            if old is None:
                changes.added.append(path)
            elif new is None:
                changes.removed.append(path)
            else:
                changes.changed.append(path)
            if old is not None and known.get(path) != digest(old):
                changes.edited.append(path)
        return changes

    def write(self, tree: Tree, *, overwrite: bool = False, diff: bool = False) -> Changes:
        """Updates the disk to a rendered tree, wholly or not at all.

        Files that an earlier render wrote and this one does not are removed; all others in the
        folder stay as they are.

        Args:
            tree: The rendered tree.
            overwrite: Whether files edited by hand may be overwritten.
            diff: Whether to work out the diff, which takes longer than all else.

        Returns:
            What was changed.

        Raises:
            InputError: A file was edited by hand and `overwrite` is not set.
            ToolError: The folder cannot be written; the tree on disk is as it was.
        """
        with _explained(self.folder, "write"):
            folder = Path(os.path.realpath(self.folder))
            if not folder.name:
                raise InputError(f"{folder} cannot be an output folder")
            self._refuse_blocked(tree)
            with _made(folder), locked_folder(folder, _LOCK):
                recover(folder)
                changes = self._compare(tree)
                if changes.edited and not overwrite:
                    raise InputError(self._edited(changes.edited))
                if diff:
                    changes = self._with_diff(changes, tree)
                contents: dict[str, str | None] = {
                    path: tree.get(path)
                    for path in (*changes.added, *changes.changed, *changes.removed)
                }
                manifest = _encode_manifest(tree)
                if self._read(MANIFEST) != manifest.encode():
                    contents[MANIFEST] = manifest
                if contents:
                    write_all(folder, contents, added=changes.added)
        return changes

    def _with_diff(self, changes: Changes, tree: Tree) -> Changes:
        paths = sorted((*changes.added, *changes.changed, *changes.removed))
        lines = (_diff(path, self._read(path), tree.get(path)) for path in paths)
        return msgspec.structs.replace(changes, diff="".join(chain.from_iterable(lines)))

    def _manifest(self) -> dict[str, str]:
        raw = self._read(MANIFEST)
        if raw is None:
            return {}
        try:
            manifest = msgspec.json.decode(raw, type=_Manifest)
        except msgspec.DecodeError:
            raise InputError(
                f"{self.folder / MANIFEST} is damaged: hand edits and rendered text cannot be "
                "distinguished",
                hint="restore it from version control, or remove the folder's rendered files",
            ) from None
        # A path from the manifest is removed from disk: one that leads out of the folder is forged.
        sound = sound_paths(self.folder, manifest.files)
        files = {path: found for path, found in manifest.files.items() if path in sound}
        return files if manifest.version == 1 else {}

    def _refuse_blocked(self, tree: Tree) -> None:
        """Refuses files and links of the user's that stand where a rendered folder belongs."""
        if self.folder.exists() and not self.folder.is_dir():
            raise InputError(
                f"{self.folder} is a file, where a folder belongs",
                hint="--out names another folder",
            )
        for below in parents_of((*tree, MANIFEST, JOURNAL)):
            place = self.folder / below
            try:
                mode = place.lstat().st_mode
            except (FileNotFoundError, NotADirectoryError):
                continue
            if not stat.S_ISDIR(mode):
                kind = "symbolic link" if stat.S_ISLNK(mode) else "file"
                raise InputError(
                    f"{place} is a {kind}, where a folder belongs", hint="move it away"
                )

    def _refuse_incomplete(self) -> None:
        """Refuses what a killed write has left, after a write that is still at work."""
        if not is_incomplete(self.folder):
            return
        with locked_folder(self.folder, _LOCK):
            incomplete = is_incomplete(self.folder)
        if incomplete:
            raise OutOfDateError(
                f"an interrupted mngen render left {self.folder} incomplete",
                hint="run mngen render again; it completes the files",
            )

    def _read(self, path: str) -> bytes | None:
        try:
            return read(self.folder / path)
        except IsADirectoryError:
            raise InputError(
                f"{self.folder / path} is a folder, where a rendered file belongs",
                hint="move it away",
            ) from None

    def _edited(self, paths: list[str]) -> Problem:
        shown = ", ".join(str(self.folder / path) for path in paths[:_LISTED])
        more = f" and {len(paths) - _LISTED} more" if len(paths) > _LISTED else ""
        return Problem(
            f"edited by hand since the last render: {shown}{more}",
            hint="run mngen render --diff to see the edits; move them into the spec or into a "
            "separate file, then run mngen render --overwrite",
        )


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Makes a folder, and removes it again if it is empty after an error."""
    existed = folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        if not existed:
            with suppress(OSError):
                folder.rmdir()
        raise


def _encode_manifest(tree: Tree) -> str:
    files = {path: digest(text.encode()) for path, text in sorted(tree.items())}
    encoded = msgspec.json.encode(_Manifest(version=1, files=files))
    return msgspec.json.format(encoded, indent=2).decode() + "\n"


def _diff(path: str, old: bytes | None, new: str | None) -> Iterator[str]:
    before = (old or b"").decode("utf-8", "replace").splitlines(keepends=True)
    after = (new or "").splitlines(keepends=True)
    lines = difflib.unified_diff(
        before,
        after,
        "/dev/null" if old is None else f"a/{path}",
        "/dev/null" if new is None else f"b/{path}",
    )
    for line in lines:
        yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


@contextmanager
def _explained(folder: Path, verb: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise ToolError(
            f"cannot {verb} {error.filename or folder}: {reason}",
            hint="nothing in the folder was changed" if verb == "write" else None,
        ) from None
