"""Killed at any moment, a write leaves the old tree or the new one after the next write.

A write is stopped at each of its system calls. All that a kill leaves behind is on the disk, so the
disk is copied after every change, and each copy gets the next write. Until then, the tree is old or
new as well, or a file stands in it that Terraform refuses.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest

from mngen.errors import InputError, OutOfDateError, ToolError
from mngen.render import MANIFEST, Deployment
from mngen.terraform import check_folder
from tests.support.cli import read_tree
from tests.support.needs import skip_without
from tests.support.processes import NOBODY, CannotTraceError, become_nobody, killed_when, outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OLD = {"terraform/main.tf": "old\n", "terraform/modules/a/main.tf": "old a\n"}
NEW = {"terraform/main.tf": "new\n", "terraform/modules/b/main.tf": "new b\n"}
MINE = ("terraform/terraform.tfstate", "terraform/modules/a/mine.tf")
GUARD = "terraform/mngen_render_unfinished.tf"

State: TypeAlias = list[tuple[str, int, int, int, int]]
"""Of each entry of a folder: path, inode, mode, links, size."""


def prepare(root: Path, *, first: bool) -> Path:
    folder = root / "deploy"
    root.mkdir()
    if not first:
        Deployment(folder).write(OLD)
        for path in MINE:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(f"mine: {path}", encoding="utf-8")
    return folder


def state(folder: str) -> State:
    """Return all of a folder that a kill could leave behind, as fast as can be."""
    found = []
    for entry in os.scandir(folder):
        status = entry.stat(follow_symlinks=False)
        found.append((entry.path, status.st_ino, status.st_mode, status.st_nlink, status.st_size))
        if entry.is_dir(follow_symlinks=False):
            found += state(entry.path)
    return found


def entries(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def left_by_kills(write: Callable[[], object], root: Path) -> list[tuple[Path, State]]:
    """Return what a write would leave if it were killed: before it, and after each change.

    Each is a copy of the root with its hard links, and the state of the root itself.
    """
    left: list[tuple[Path, State]] = []

    def copied() -> bool:
        now = state(str(root))
        if not left or now != left[-1][1]:
            copy = root.with_name(f"{root.name}-{len(left)}")
            subprocess.run(["cp", "--archive", root, copy], check=True)
            left.append((copy, now))
        return False

    try:
        killed_when(write, copied)
    except CannotTraceError:
        pytest.skip("tracing is not allowed here")
    return left


def stage_of(folder: Path, old: dict[str, bytes], new: dict[str, bytes]) -> str:
    """Tell what a killed write has left; neither the old tree nor the new one is accepted only
    together with the file that Terraform refuses.
    """
    tree = read_tree(folder) if folder.exists() else {}
    found = {path: text for path, text in tree.items() if not path.startswith(".mngen/pending/")}
    if found.pop(GUARD, None) is not None:
        with pytest.raises(InputError, match="interrupted mngen render"):
            check_folder(folder / "terraform")
        with pytest.raises(OutOfDateError, match="interrupted mngen render"):
            Deployment(folder).compare(NEW)
        return "refused"
    assert found in (old, new)
    return "old" if found == old else "new"


@pytest.mark.parametrize("first", [False, True], ids=["update", "first write"])
@pytest.mark.parametrize("then", [NEW, OLD], ids=["then the same", "then the old"])
def test_killed_at_any_system_call(tmp_path: Path, *, first: bool, then: dict[str, str]) -> None:
    mine = {} if first else {path: f"mine: {path}".encode() for path in MINE}
    complete = prepare(tmp_path / "complete", first=first)
    old = read_tree(complete) if complete.exists() else {}
    Deployment(complete).write(NEW)
    new = read_tree(complete)
    rendered = {path: text.encode() for path, text in NEW.items()}
    assert new == {**rendered, **mine, MANIFEST: new[MANIFEST]}
    Deployment(complete).write(then)
    whole = read_tree(complete)

    written = prepare(tmp_path / "written", first=first)
    stays = [] if first else ["deploy", "deploy/terraform", *(f"deploy/{path}" for path in mine)]

    def inodes(root: Path) -> list[int]:
        return [(root / path).stat().st_ino for path in stays]

    before = inodes(written.parent)
    stages: list[str] = []
    for root, found in left_by_kills(partial(Deployment(written).write, NEW), written.parent):
        where = {path: inode for path, inode, *_ in found}
        assert [where[str(written.parent / path)] for path in stays] == before
        folder = root / "deploy"
        stages.append(stage_of(folder, old, new))

        copied = inodes(root)
        assert outcome(partial(Deployment(folder).write, then)).startswith("Changes(")
        assert read_tree(folder) == whole
        assert inodes(root) == copied
        assert entries(root) == ["deploy"]
        assert entries(folder / ".mngen") == ["manifest.json"]
    assert read_tree(written) == new
    assert stages.count("refused") > 4
    assert [stage for stage, _ in itertools.groupby(stages)] == ["old", "refused", "new"]


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everyone may enter, unlike those of pytest."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_killed_while_a_failed_write_is_undone(open_folder: Path) -> None:
    skip_without("root")
    # The last folder cannot be written to, which is found when all else is in its place.
    old, new = {**OLD, "z/z.tf": "old\n"}, {**NEW, "z/z.tf": "new\n"}

    def fail(folder: Path) -> None:
        become_nobody()
        with pytest.raises(ToolError, match="Permission denied"):
            Deployment(folder).write(new)

    written = open_folder / "written" / "deploy"
    Deployment(written).write(old)
    before = read_tree(written)
    for path in (written.parent, written, *written.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    (written / "z").chmod(0o555)
    stages: list[str] = []
    for root, _ in left_by_kills(partial(fail, written), written.parent):
        folder = root / "deploy"
        stages.append(stage_of(folder, before, before))

        (folder / "z").chmod(0o755)
        Deployment(folder).write(new)
        assert {path: text.decode() for path, text in read_tree(folder).items()} == {
            **new,
            MANIFEST: (folder / MANIFEST).read_text(encoding="utf-8"),
        }
        assert entries(folder / ".mngen") == ["manifest.json"]
    assert read_tree(written) == before
    assert [stage for stage, _ in itertools.groupby(stages)] == ["old", "refused", "old"]


def unfinished(tmp_path: Path) -> Path:
    """Return a folder in which a write was killed after its first file."""
    folder = prepare(tmp_path / "root", first=False)
    main = folder / "terraform/main.tf"
    try:
        assert killed_when(
            lambda: Deployment(folder).write(NEW),
            lambda: main.read_text(encoding="utf-8") == NEW["terraform/main.tf"],
        )
    except CannotTraceError:
        pytest.skip("tracing is not allowed here")
    return folder


def test_terraform_refuses_what_a_killed_write_left(tmp_path: Path) -> None:
    skip_without("terraform")
    terraform = unfinished(tmp_path) / "terraform"
    for command in ("init", "validate", "plan"):
        done = subprocess.run(
            ["terraform", f"-chdir={terraform}", command, "-no-color"],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 1
        assert "mngen render was interrupted: run it again" in done.stdout + done.stderr


def test_an_edit_after_the_kill_is_kept(tmp_path: Path) -> None:
    folder = unfinished(tmp_path)
    edited = folder / "terraform/modules/a/main.tf"
    edited.write_text("mine\n", encoding="utf-8")
    with pytest.raises(InputError, match="edited by hand since the last render"):
        Deployment(folder).write(OLD)
    assert edited.read_text(encoding="utf-8") == "mine\n"
    Deployment(folder).write(OLD, overwrite=True)
    assert edited.read_text(encoding="utf-8") == OLD["terraform/modules/a/main.tf"]
