"""The programs that bake: their output, their interruption, and their end with mngen's own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from mngen.errors import InterruptedRunError, ToolError
from mngen.images._cancel import Cancel
from mngen.images._children import run_logged
from tests.support.deploy import wait_until
from tests.support.processes import TIDY, has_ended

if TYPE_CHECKING:
    from pathlib import Path


def run(tmp_path: Path, code: str, cancel: Cancel | None = None) -> tuple[int, list[str]]:
    lines: list[str] = []
    ended = run_logged(
        [sys.executable, "-c", code],
        folder=tmp_path,
        environment=dict(os.environ),
        log=tmp_path / "log",
        cancel=cancel or Cancel(),
        on_line=lines.append,
    )
    return ended, lines


def test_output_goes_to_the_log_and_line_by_line_to_the_caller(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("before\n")
    code = (
        "import sys; print('one'); sys.stderr.buffer.write('zwei \\u00fc\\n'.encode()); sys.exit(3)"
    )
    ended, lines = run(tmp_path, code)
    assert ended == 3
    assert sorted(lines) == ["one", "zwei ü"]
    assert (tmp_path / "log").read_text().startswith("before\n")


def test_a_program_that_is_not_there_is_said(tmp_path: Path) -> None:
    lines: list[str] = []
    code = run_logged(
        ["/absent/packer"],
        folder=tmp_path,
        environment={},
        log=tmp_path / "log",
        cancel=Cancel(),
        on_line=lines.append,
    )
    assert (code, lines) == (127, ["cannot run /absent/packer: No such file or directory"])


def test_an_interrupt_lets_the_program_clean_up(tmp_path: Path) -> None:
    cancel = Cancel()
    log = tmp_path / "log"
    log.touch()

    def interrupt() -> None:
        wait_until(lambda: b"\n" in log.read_bytes(), "start")
        cancel()

    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    ended, lines = run(tmp_path, TIDY, cancel)
    interrupter.join()
    assert (ended, lines[1:]) == (7, ["tidying"])


def test_a_program_that_ignores_everything_is_killed_when_the_user_insists(tmp_path: Path) -> None:
    cancel = Cancel()
    log = tmp_path / "log"
    log.touch()

    def insist() -> None:
        wait_until(lambda: b"\n" in log.read_bytes(), "start")
        for _ in range(3):
            cancel()

    interrupter = threading.Thread(target=insist)
    interrupter.start()
    ended, lines = run(
        tmp_path, TIDY.replace("signal.signal(signal.SIGINT, tidy)", "signal.signal(2, 1)"), cancel
    )
    interrupter.join()
    assert ended == 128 + signal.SIGKILL
    wait_until(lambda: has_ended(int(lines[0])), "the program's end")


def test_a_killed_program_takes_its_helpers_with_it(tmp_path: Path) -> None:
    code = (
        "import os, signal, subprocess, sys, time\n"
        "helper = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(helper.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended, lines = run(tmp_path, code)
    assert ended == 128 + signal.SIGKILL
    wait_until(lambda: has_ended(int(lines[0])), "the helper's end")


@pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux tells a process of its parent's end"
)
def test_when_mngen_is_killed_the_program_still_cleans_up(tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = (
        "import os, subprocess, sys, time\n"
        f"log = open({str(log)!r}, 'wb')\n"
        "from mngen import _process\n"
        f"command = [sys.executable, '-c', {TIDY!r}]\n"
        "subprocess.Popen(_process.supervised(command, os.getpid(), mode='watch'), stdout=log, "
        "start_new_session=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code])
    wait_until(lambda: log.exists() and b"\n" in log.read_bytes(), "start")
    program = int(log.read_text())
    parent.kill()
    parent.wait()
    wait_until(lambda: has_ended(program), "the program's end")
    assert log.read_text().splitlines() == [str(program), "tidying"]


class TestCancel:
    def test_waiting_ends_when_it_is_true(self) -> None:
        answers = iter([False, False, True])
        Cancel().wait_until(lambda: next(answers), "it", seconds=5, every=0.01)
        assert list(answers) == []

    def test_waiting_in_vain_says_for_what(self) -> None:
        with pytest.raises(ToolError, match="timed out after 0 min waiting for i-1 to run"):
            Cancel().wait_until(lambda: False, "i-1 to run", seconds=0, every=0.01)

    def test_an_interrupt_ends_every_wait(self) -> None:
        cancel = Cancel()
        threading.Timer(0.2, cancel).start()
        start = time.monotonic()
        with pytest.raises(InterruptedRunError):
            cancel.sleep(30)
        assert time.monotonic() - start < 10
        assert not cancel.abandoned
        with pytest.raises(InterruptedRunError):
            cancel.check()
        cancel()
        cancel()
        assert cancel.abandoned
