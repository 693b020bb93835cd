"""Folders that take long to make, kept for other runs as the sandbox keeps its machines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.sandbox.machines import _kept
from mngen.sandbox.machines._root import _cache, _digest, _locked, _make

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path


def kept_folder(
    group: str, kind: str, recipe: Iterable[str], build: Callable[[Path], None]
) -> Path:
    """Returns a folder in the user's cache; the first call makes it. Nothing may write to it.

    Args:
        group: The folder beside the machines' own. Each has a lock: who needs one of a group does
            not wait for another group.
        kind: The first part of its name. Of those of other versions, the machines' rule keeps the
            latest.
        recipe: All that it is made of, from which the rest of its name follows.
        build: Fills an empty folder.
    """
    folder = _cache().with_name(group)
    folder.mkdir(mode=0o700, exist_ok=True)
    place = folder / f"{kind}-{_digest(*recipe)}"
    with _locked(folder):
        new = not place.is_dir()
        _make(place, build)
        _kept.hold(place)
        if new:
            _kept.remove_unused(folder)
    return place
