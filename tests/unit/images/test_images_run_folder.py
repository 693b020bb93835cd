"""Logs of bakes do not pile up."""

from __future__ import annotations

import os
import stat
import time
from typing import TYPE_CHECKING

import pytest

from mngen.images._lock import run_folder

if TYPE_CHECKING:
    from pathlib import Path

DAY = 86_400.0


@pytest.fixture
def bakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "mngen" / "bake"


def ran(bakes: Path, name: str, *, days: float) -> None:
    (bakes / name / "logs").mkdir(parents=True)
    when = time.time() - days * DAY
    os.utime(bakes / name, (when, when))


def test_the_latest_twenty_are_kept(bakes: Path) -> None:
    for number in range(30):
        ran(bakes, f"seismic-{number:02}", days=2 + number)
    folder = run_folder("seismic-new")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    left = sorted(path.name for path in bakes.iterdir())
    assert left == [*(f"seismic-{number:02}" for number in range(19)), "seismic-new"]


def test_those_of_the_last_day_are_kept_however_many(bakes: Path) -> None:
    for number in range(30):
        ran(bakes, f"seismic-{number:02}", days=number / 60)
    run_folder("seismic-new")
    assert len(list(bakes.iterdir())) == 31
