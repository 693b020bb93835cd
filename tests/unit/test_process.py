"""Running a program: its end with mngen's own, and scripts in the interpreter that supervises."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from functools import partial
from typing import TYPE_CHECKING

import pytest

from mngen import _process
from tests.support.deploy import wait_until
from tests.support.processes import TIDY

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux tells a process of its parent's end"
)
@pytest.mark.parametrize("mode", ["become", "watch", "script"])
def test_when_mngen_is_killed_the_program_still_cleans_up(tmp_path: Path, mode: str) -> None:
    log, script = tmp_path / "log", tmp_path / "tidy.py"
    script.write_text(TIDY, encoding="utf-8")
    command = [str(script)] if mode == "script" else [sys.executable, str(script)]
    code = (
        "import os, subprocess, sys, time\n"
        "from mngen import _process\n"
        f"command = _process.supervised({command!r}, os.getpid(), mode={mode!r})\n"
        f"subprocess.Popen(command, stdout=open({str(log)!r}, 'wb'), start_new_session=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code])
    wait_until(lambda: log.exists() and b"\n" in log.read_bytes(), "start")
    parent.kill()
    parent.wait()
    wait_until(lambda: b"tidying" in log.read_bytes(), "the program's end")


def run(command: list[str], stdin: str = "") -> tuple[int, list[str]]:
    lines: list[str] = []
    with tempfile.TemporaryFile() as file:
        code = _process.run(
            command,
            outputs=[_process.Output(file, lines.append)],
            on_poll=lambda _: None,
            stdin=stdin,
            end=partial(_process.end_group, ask=True, seconds=10, rest=False),
        )
    return code, lines


@pytest.mark.parametrize("mode", ["become", "watch", "script"])
def test_nothing_starts_for_a_parent_that_is_gone(tmp_path: Path, mode: _process.Mode) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    marker = tmp_path / "marker"
    script = tmp_path / "mark.py"
    script.write_text(f"open({str(marker)!r}, 'w')", encoding="utf-8")
    command = [str(script)] if mode == "script" else [sys.executable, str(script)]
    code, lines = run(_process.supervised(command, gone.pid, mode=mode))
    assert (code, lines, marker.exists()) == (1, [], False)


def test_a_script_sees_its_arguments_and_the_installed_packages(tmp_path: Path) -> None:
    script = tmp_path / "say.py"
    script.write_text("import sys, msgspec\nprint(sys.argv[1:])\nsys.exit(4)", encoding="utf-8")
    command = _process.supervised([str(script), "a b", "*"], os.getpid(), mode="script")
    assert run(command) == (4, ["['a b', '*']"])


def test_a_program_reads_what_it_is_given_however_long() -> None:
    text = "x" * 1_000_000
    code, lines = run(["sh", "-c", "wc -c; exit 5"], stdin=text)
    assert (code, [line.strip() for line in lines]) == (5, ["1000000"])
