from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from mngen.sandbox.machines import _kept

if TYPE_CHECKING:
    from pathlib import Path

DAY = 86_400.0
HOLD = """
import sys
from pathlib import Path
from mngen.sandbox.machines._kept import hold
hold(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five file systems of one kind, last used 11 to 15 days ago, and one of another."""
    for number in range(5):
        used(tmp_path / f"debian-{number}", days=11 + number)
    used(tmp_path / "amazon-linux-2-0", days=99)
    (tmp_path / "lock").touch()
    return tmp_path


def used(place: Path, *, days: float) -> None:
    (place / "usr").mkdir(parents=True)
    mark = place.with_name(f"{place.name}.used")
    mark.touch()
    when = time.time() - days * DAY
    os.utime(mark, (when, when))


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


def test_the_latest_of_each_kind_are_kept(folder: Path) -> None:
    _kept.remove_unused(folder)
    assert left(folder) == ["amazon-linux-2-0", "debian-0", "debian-1", "debian-2"]
    assert sorted(path.name for path in folder.glob("*.used")) == [
        f"{name}.used" for name in left(folder)
    ]


def test_what_was_used_today_is_kept(folder: Path) -> None:
    for number in range(3):
        used(folder / f"debian-new{number}", days=0.5)
    used(folder / "debian-new3", days=0.9)
    _kept.remove_unused(folder)
    assert left(folder) == ["amazon-linux-2-0", *(f"debian-new{number}" for number in range(4))]


def test_one_of_which_no_use_is_known_counts_from_its_making(folder: Path) -> None:
    (folder / "debian-9").mkdir()
    _kept.remove_unused(folder)
    assert "debian-9" in left(folder)


def test_what_a_process_uses_is_kept_until_it_ends(folder: Path) -> None:
    place = folder / "debian-4"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(place)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        # As if it had been running for weeks.
        when = time.time() - 15 * DAY
        os.utime(folder / "debian-4.used", (when, when))
        _kept.remove_unused(folder)
        assert (place / "usr").is_dir()
        process.kill()
    _kept.remove_unused(folder)
    assert not place.exists()


def test_a_use_is_noted(folder: Path) -> None:
    _kept.hold(folder / "debian-4")
    _kept.remove_unused(folder)
    assert left(folder) == ["amazon-linux-2-0", "debian-0", "debian-1", "debian-4"]
