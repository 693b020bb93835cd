"""Where the wire-up finds the programs that it and the job run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mngen_wireup.errors import WireupError
from mngen_wireup.image import found_program

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A program in a folder of the working directory that is not on PATH."""
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv" / "torchrun").touch(mode=0o755)
    (tmp_path / "path" / "venv").mkdir(parents=True)
    (tmp_path / "path" / "venv" / "other").touch(mode=0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    return str(tmp_path / "venv" / "torchrun")


@pytest.mark.parametrize("name", ["venv/torchrun", "./venv/torchrun"])
def test_a_path_is_not_looked_up(name: str, program: str) -> None:
    assert found_program(name) == program
    assert found_program(program) == program


def test_a_name_is_looked_up_on_path(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WireupError, match="torchrun not found on PATH"):
        found_program("torchrun")
    monkeypatch.setenv("PATH", program.rpartition("/")[0])
    assert found_program("torchrun") == program


@pytest.mark.usefixtures("program")
@pytest.mark.parametrize("name", ["venv/other", "/no/such/torchrun"])
def test_a_path_without_a_program(name: str) -> None:
    with pytest.raises(WireupError, match=f"{name} not found"):
        found_program(name)
