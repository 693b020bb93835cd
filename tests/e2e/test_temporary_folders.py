"""The folder of each test, tried on a test session of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.inner_session import inner_session

if TYPE_CHECKING:
    from pathlib import Path

TESTS = """
from pathlib import Path

import pytest

@pytest.fixture
def broken(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    raise ValueError

@pytest.mark.parametrize("number", [1, 2])
def test_passes(number: int, tmp_path: Path) -> None:
    assert tmp_path.stat().st_mode & 0o777 == 0o700
    assert not list(tmp_path.iterdir())
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").touch()

def test_fails(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert not list(tmp_path.iterdir())

def test_is_not_set_up(broken: None) -> None:
    pass
"""


@pytest.mark.parametrize("workers", ["0", "1"])
def test_those_of_failed_tests_are_kept_and_no_others(workers: str, tmp_path: Path) -> None:
    done = inner_session(tmp_path, TESTS, "-n", workers)
    assert "1 failed, 2 passed, 1 error" in done.stdout
    top = tmp_path / "temporary" / ("popen-gw0" if workers == "1" else "")
    kept = sorted(path.parent.name.rstrip("0123456789") for path in top.glob("*/file"))
    assert kept == ["test_fails", "test_is_not_set_up"]
    assert not list(top.glob("test_passes*"))
