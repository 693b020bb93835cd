"""The rendered tree on disk: compared with what should be there, and brought to it.

A manifest keeps the hash of every file that was rendered. A file that differs from its hash was
edited by hand and is not overwritten unasked; one that is in the manifest and no longer rendered is
removed; any other file in the folder is someone else's and stays.
"""

from __future__ import annotations

import difflib
import errno
import hashlib
import os
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import msgspec

from mngen._files import locked_folder
from mngen.errors import InputError, Problem, ToolError
from mngen.render._swap import recover, replace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.render._render import Tree

MANIFEST = ".mngen/manifest.json"

_LISTED = 10
# A folder changes places with its new contents within one file system only.
_MOUNTED = {errno.EBUSY, errno.EXDEV}


class _Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the last render wrote: a SHA-256 for each file, by path."""

    version: int
    files: dict[str, str]


class Changes(msgspec.Struct, frozen=True):
    """How the tree on disk differs from a rendered one.

    Attributes:
        added: Paths that would be written anew.
        changed: Paths whose text would change.
        removed: Paths once rendered, now no longer.
        edited: Paths among the changed and removed that were edited by hand since.
        diff: A unified diff from the disk to the rendered tree.
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
            ToolError: The folder cannot be read.
        """
        with _explained(self.folder, "read"):
            self._refuse_blocked(tree)
            known = self._manifest()
            changes = Changes()
            diff: list[str] = []
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
                if old is not None and known.get(path) != _digest(old):
                    changes.edited.append(path)
                diff.extend(_diff(path, old, new))
            return Changes(
                changes.added, changes.changed, changes.removed, changes.edited, "".join(diff)
            )

    def write(self, tree: Tree, *, overwrite: bool = False) -> Changes:
        """Brings the disk to a rendered tree, wholly or not at all.

        Files that an earlier render wrote and this one does not are removed; all others in the
        folder stay as they are.

        Args:
            tree: The rendered tree.
            overwrite: Whether files edited by hand may be overwritten.

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
            folder.parent.mkdir(parents=True, exist_ok=True)
            with locked_folder(folder.parent, folder.name):
                recover(folder)
                changes = self.compare(tree)
                if changes.edited and not overwrite:
                    raise InputError(self._edited(changes.edited))
                manifest = _encode_manifest(tree)
                if changes or self._read(MANIFEST) != manifest.encode():
                    replace(folder, {**tree, MANIFEST: manifest}, remove=set(changes.removed))
        return changes

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
        sound = {
            path: digest
            for path, digest in manifest.files.items()
            if path and not path.startswith("/") and ".." not in path.split("/")
            if "\0" not in path
        }
        return sound if manifest.version == 1 else {}

    def _refuse_blocked(self, tree: Tree) -> None:
        """Refuses files and links of the user's that stand where a rendered folder belongs."""
        for below in sorted({parent for path in tree for parent in PurePosixPath(path).parents}):
            place = self.folder / below
            linked = place.is_symlink() and below.parts
            if linked or (place.exists() and not place.is_dir()):
                raise InputError(
                    f"{place} is a {'symbolic link' if linked else 'file'}, where a folder belongs",
                    hint="move it away" if below.parts else "--out names another folder",
                )

    def _read(self, path: str) -> bytes | None:
        try:
            return (self.folder / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
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


def _encode_manifest(tree: Tree) -> str:
    files = {path: _digest(text.encode()) for path, text in sorted(tree.items())}
    encoded = msgspec.json.encode(_Manifest(version=1, files=files))
    return msgspec.json.format(encoded, indent=2).decode() + "\n"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


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
        hint = None
        if error.errno in _MOUNTED:
            hint = "a mount point is in the way; let --out name a folder within it"
        elif verb == "write":
            hint = "nothing in the folder was changed"
        raise ToolError(
            f"cannot {verb} {error.filename or folder}: {reason}",
            hint=hint,
        ) from None
