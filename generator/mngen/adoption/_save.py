"""Writes what an import made: all files or none, and none that is there."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from mngen._files import locked_folder, write_atomically
from mngen.adoption._adopt import REPORT, Adoption
from mngen.adoption._imports import IMPORTS
from mngen.adoption._record import RECORD
from mngen.errors import InputError, Problem, ToolError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def save(adoption: Adoption, file: Path, out: Path, *, overwrite: bool = False) -> list[Path]:
    """Writes the spec with its job definitions, the report, the record and the import blocks.

    The spec comes last, so that a spec is never without what it names.

    Args:
        adoption: What to write.
        file: The spec.
        out: Folder of the rendered tree.
        overwrite: Whether files that are there with another content may be overwritten.

    Returns:
        The files, the spec first.

    Raises:
        InputError: A file is there already, and nothing was written.
        ToolError: A file cannot be written; what was written before is removed again.
    """
    texts: dict[Path, str] = {}
    if adoption.imports:
        texts[out / IMPORTS] = adoption.imports
    if adoption.record:
        texts[file.parent / RECORD] = adoption.record
    texts |= {file.parent / path: text for path, text in adoption.files.items()}
    texts[file.parent / REPORT] = adoption.report
    texts[file] = adoption.spec
    with _locked(file):
        old = {path: _content(path) for path in texts}
        there = [path for path, text in texts.items() if old[path] not in (None, text.encode())]
        if there and not overwrite:
            raise InputError(
                *(
                    Problem(f"{path} already exists", hint="move it away, or pass --overwrite")
                    for path in there
                )
            )
        _write(texts, old)
    return list(reversed(texts))


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Keeps a second import of the same spec waiting until the first has written its files."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with locked_folder(file.parent, file.name):
            yield
    except OSError as error:
        raise ToolError(
            f"cannot write {error.filename or file}: {error.strerror or error}",
            hint="nothing was changed",
        ) from None


def _content(path: Path) -> bytes | None:
    # A device may never end, and a folder cannot be replaced.
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is not a file", hint="pass another path")
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _write(texts: dict[Path, str], old: dict[Path, bytes | None]) -> None:
    done: list[Path] = []
    try:
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            done.append(path)
            write_atomically(path, text.encode())
    except BaseException:
        for path in done:
            before = old[path]
            if before is None:
                path.unlink(missing_ok=True)
            else:
                write_atomically(path, before)
        raise
