"""Writing to file systems that are full, read-only or mounted where the output belongs."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from mngen.errors import ToolError
from mngen.render import MANIFEST, Deployment
from tests.support.cli import mngen, read_tree
from tests.support.needs import skip_without

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OLD = {"terraform/main.tf": "old\n", "gone.tf": "gone\n"}
NEW = {"terraform/main.tf": "new\n", "terraform/modules/a/main.tf": "a\n"}


@contextmanager
def mounted(place: Path, options: str) -> Iterator[Path]:
    """Mount a file system in memory."""
    skip_without("root", "mount")
    place.mkdir(exist_ok=True)
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", place],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if mount.returncode != 0:
        pytest.skip(f"nothing can be mounted here: {mount.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], timeout=120, check=True)


@pytest.mark.parametrize("options", ["size=128k", "nr_inodes=16"], ids=["bytes", "files"])
def test_a_full_disk_leaves_the_old_tree(tmp_path: Path, options: str) -> None:
    with mounted(tmp_path / "disk", options) as disk:
        folder = disk / "deploy"
        Deployment(folder).write(OLD)
        (folder / "mine").write_bytes(b"mine")
        before = read_tree(disk)
        large = {f"{index}/main.tf": "x" * 4096 for index in range(40)}
        with pytest.raises(ToolError, match="No space left on device") as caught:
            Deployment(folder).write(large)
        assert caught.value.problems[0].hint == "nothing in the folder was changed"
        assert read_tree(disk) == before
        assert [path.name for path in disk.iterdir()] == ["deploy"]

        small = {"terraform/main.tf": "new\n"}
        Deployment(folder).write(small)
        assert (folder / "terraform/main.tf").read_text(encoding="utf-8") == "new\n"
        assert (folder / "mine").read_bytes() == b"mine"


def test_a_full_disk_on_the_first_write_leaves_nothing(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=64k") as disk:
        spec = tmp_path / "mngen.yaml"
        assert mngen("init", cwd=tmp_path).returncode == 0
        done = mngen("render", "--file", str(spec), "--out", str(disk / "deploy"), cwd=tmp_path)
        assert done.returncode == 3
        assert done.stdout == ""
        assert done.stderr.endswith(
            ": No space left on device\n  help: nothing in the folder was changed\n"
        )
        assert list(disk.iterdir()) == []


def test_a_read_only_disk_is_said(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=1m") as disk:
        Deployment(disk / "deploy").write(OLD)
        before = read_tree(disk)
        subprocess.run(["mount", "-o", "remount,ro", disk], timeout=120, check=True)
        with pytest.raises(ToolError, match="Read-only file system"):
            Deployment(disk / "deploy").write({"a.tf": "new\n"})
        assert Deployment(disk / "deploy").compare({"a.tf": "new\n"}).added == ["a.tf"]
        assert read_tree(disk) == before


def test_a_mount_point_as_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "deploy"
    with mounted(folder, "size=1m"):
        (folder / "mine").write_bytes(b"mine")
        Deployment(folder).write(OLD)
        Deployment(folder).write(NEW)
        assert texts(folder) == {**NEW, "mine": "mine"}


def test_a_mount_point_within_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "deploy"
    Deployment(folder).write(OLD)
    (folder / "terraform/main.tf").unlink()
    with mounted(folder / "terraform", "size=1m"):
        (folder / "terraform/mine").write_bytes(b"mine")
        Deployment(folder).write(OLD)
        Deployment(folder).write(NEW)
        assert texts(folder) == {**NEW, "terraform/mine": "mine"}


def texts(folder: Path) -> dict[str, str]:
    found = read_tree(folder)
    del found[MANIFEST]
    return {path: text.decode() for path, text in found.items()}
