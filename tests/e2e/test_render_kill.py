"""Killed at any moment, a write leaves the old tree or the new one, and the next write is whole.

A write is stopped at each of its system calls. All that a kill leaves behind is on the disk, so it
is killed once after every change of the disk.
"""

from __future__ import annotations

import itertools
import os
import shutil
from typing import TYPE_CHECKING

import pytest

from mngen.render import MANIFEST, Deployment
from tests.support.cli import read_tree
from tests.support.processes import (
    CannotTraceError,
    can_refuse_exchange,
    killed_when,
    outcome,
    refuse_exchange,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OLD = {"terraform/main.tf": "old\n", "terraform/modules/a/main.tf": "old a\n"}
NEW = {"terraform/main.tf": "new\n", "terraform/modules/b/main.tf": "new b\n"}
MINE = ("terraform/terraform.tfstate", "terraform/modules/a/mine.tf")


def prepare(root: Path, *, first: bool) -> Path:
    folder = root / "deploy"
    root.mkdir()
    if not first:
        Deployment(folder).write(OLD)
        for path in MINE:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(f"mine: {path}", encoding="utf-8")
    return folder


def state(folder: str) -> list[tuple[str, int, int, int, int]]:
    """Return all of a folder that a kill could leave behind, as fast as can be."""
    found = []
    for entry in os.scandir(folder):
        status = entry.stat(follow_symlinks=False)
        found.append((entry.path, status.st_ino, status.st_mode, status.st_nlink, status.st_size))
        if entry.is_dir(follow_symlinks=False):
            found += state(entry.path)
    return found


def after_changes(root: Path, count: int) -> Callable[[], bool]:
    """Return a test for the moment in which the disk has changed that many times."""
    last, changes = state(str(root)), 0

    def reached() -> bool:
        nonlocal last, changes
        now = state(str(root))
        changes += now != last
        last = now
        return changes >= count

    return reached


def entries(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write_new(folder: Path) -> Callable[[], object]:
    return lambda: Deployment(folder).write(NEW)


def write_without_exchange(folder: Path) -> Callable[[], object]:
    def write() -> object:
        refuse_exchange()
        return Deployment(folder).write(NEW)

    return write


@pytest.mark.parametrize("first", [False, True], ids=["update", "first write"])
@pytest.mark.parametrize("exchange", [True, False], ids=["exchange", "no exchange"])
def test_killed_at_any_system_call(tmp_path: Path, *, exchange: bool, first: bool) -> None:
    if not exchange and not can_refuse_exchange():
        pytest.skip("no filter for this processor's system calls")
    act = write_new if exchange else write_without_exchange
    mine = {} if first else {path: f"mine: {path}".encode() for path in MINE}
    complete = prepare(tmp_path / "complete", first=first)
    old = read_tree(complete)
    Deployment(complete).write(NEW)
    new = read_tree(complete)
    rendered = {path: text.encode() for path, text in NEW.items()}
    assert new == {**rendered, **mine, MANIFEST: new[MANIFEST]}

    outcomes: list[str] = []
    while True:
        folder = prepare(tmp_path / f"at-{len(outcomes)}", first=first)
        inodes = {path: (folder / path).stat().st_ino for path in mine}
        try:
            killed = killed_when(act(folder), after_changes(folder.parent, len(outcomes)))
        except CannotTraceError:
            pytest.skip("tracing is not allowed here")
        found = read_tree(folder) if folder.exists() else None
        if not killed:
            break
        assert found in (old, new, None)
        outcomes.append("away" if found is None else "old" if found == old else "new")

        assert outcome(act(folder)).startswith("Changes(")
        assert read_tree(folder) == new
        assert {path: (folder / path).stat().st_ino for path in mine} == inodes
        assert entries(folder.parent) == ["deploy"]
        shutil.rmtree(folder.parent)
    assert found == new
    assert len(outcomes) > 8
    # First one, then the other. Where folders cannot be exchanged, the folder is away for one
    # moment: it is kept beside, and the next write brings it back.
    stages = [stage for stage, _ in itertools.groupby(outcomes)]
    if first:
        assert stages in (["away", "new"], ["away"])
    else:
        assert stages == (["old", "new"] if exchange else ["old", "away", "new"])


def test_a_killed_write_without_exchange_is_mended_by_one_with(tmp_path: Path) -> None:
    if not can_refuse_exchange():
        pytest.skip("no filter for this processor's system calls")
    folder = prepare(tmp_path / "root", first=False)
    kept = read_tree(folder)
    # What is there between the two renames.
    folder.rename(folder.with_name(".deploy.mngen-old"))
    (tmp_path / "root" / ".deploy.mngen-new-abc").mkdir()

    Deployment(folder).write(OLD)

    assert read_tree(folder) == kept
    assert entries(folder.parent) == ["deploy"]
