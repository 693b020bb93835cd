"""The secret that main leaves on the shared file system."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from mngen_wireup.errors import WireupError
from mngen_wireup.plan import plan_from
from mngen_wireup.secret import SharedSecret
from tests.support.processes import as_nobody

if TYPE_CHECKING:
    from pathlib import Path


def shared(folder: Path, attempt: str = "1") -> SharedSecret:
    plan = plan_from(
        {
            "AWS_BATCH_JOB_ID": "job-7",
            "AWS_BATCH_JOB_ATTEMPT": attempt,
            "MNGEN_SHARED": str(folder),
        },
        ["app"],
    )
    return SharedSecret(plan)


def test_child_finds_what_main_left(tmp_path: Path) -> None:
    child = shared(tmp_path)
    assert child.find() is None
    secret = shared(tmp_path).create()
    assert len(secret) == 64
    assert child.find() == secret
    folder = tmp_path / ".mngen" / "job-7-1"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "secret").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in folder.iterdir()] == ["secret"]
    assert shared(tmp_path, attempt="2").find() is None


def test_other_users_jobs_can_use_the_same_folder(tmp_path: Path) -> None:
    shared(tmp_path).create()
    assert (tmp_path / ".mngen").stat().st_mode & 0o7777 == 0o1777


def test_secret_is_removed(tmp_path: Path) -> None:
    left = shared(tmp_path)
    left.create()
    left.remove()
    assert list((tmp_path / ".mngen").iterdir()) == []
    assert left.find() is None
    left.remove()


def test_crashed_run_of_the_same_attempt_is_replaced(tmp_path: Path) -> None:
    old = shared(tmp_path).create()
    (tmp_path / ".mngen" / "job-7-1" / ".secret").write_text("half")
    new = shared(tmp_path).create()
    assert new != old
    assert shared(tmp_path).find() == new
    assert [path.name for path in (tmp_path / ".mngen").iterdir()] == ["job-7-1"]


@pytest.mark.parametrize("name", ["job-7-1", "job-7-1/secret"])
def test_secret_that_others_can_read_is_not_trusted(tmp_path: Path, name: str) -> None:
    shared(tmp_path).create()
    (tmp_path / ".mngen" / name).chmod(0o755)
    with pytest.raises(WireupError, match="is accessible to other users") as caught:
        shared(tmp_path).find()
    assert caught.value.code == 69


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be two users")
def test_folder_of_somebody_else(tmp_path: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(0o755)
    shared(tmp_path).create()
    assert "WireupError: cannot write the job's secret to" in as_nobody(shared(tmp_path).create)
    assert "WireupError: cannot read the job's secret in" in as_nobody(shared(tmp_path).find)


def test_folder_that_is_not_there(tmp_path: Path) -> None:
    absent = shared(tmp_path / "absent")
    assert absent.find() is None
    with pytest.raises(WireupError, match="No such file or directory") as caught:
        absent.create()
    assert caught.value.code == 64
