"""Folders that are rendered as they are: their text files, copied byte for byte.

The rendered tree stands on its own, so what needs no rendering is in it too. Such a file gets no
header: where a file begins with a `#!` or a `# syntax=` line, that line has to stay the first. The
manifest covers it like any other, so an edit by hand is noticed all the same. A tree holds text
and no modes: a script is run through its interpreter.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from mngen._files import is_leftover
from mngen.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def static_tree(folders: Iterable[tuple[Path, str]]) -> dict[str, str]:
    """Reads folders that are rendered as they are.

    Args:
        folders: Each folder with its path in the rendered tree, such as `container`.

    Returns:
        The text of every file by its path in the rendered tree, sorted.

    Raises:
        ToolError: A folder is missing or empty, or a file in it is not text.
    """
    return {
        f"{target}/{path}": text
        for source, target in sorted(folders, key=lambda each: each[1])
        for path, text in _texts(source)
    }


@lru_cache(maxsize=16)
def _texts(source: Path) -> tuple[tuple[str, str], ...]:
    found = sorted(
        (path.relative_to(source).as_posix(), path)
        for path in source.rglob("*")
        if path.is_file() and not is_leftover(path.relative_to(source))
    )
    if not found:
        raise ToolError(f"files of mngen are missing from {source}", hint="install mngen again")
    return tuple((name, _read(path)) for name, path in found)


def _read(path: Path) -> str:
    try:
        # Not `read_text`, which would turn the end of every line into a plain one.
        return path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ToolError(f"cannot read {path}, a file of mngen: {error}") from None
