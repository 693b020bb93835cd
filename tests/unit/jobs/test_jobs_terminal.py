"""A terminal that changes its size, or is closed, while a job is watched on it."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pexpect
import pytest

from tests.support.batch import Deployed, hold
from tests.support.cli import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mngen.jobs import Jobs

PATIENCE = 180  # seconds
ERRORS = "errors.txt"
WAYS = ["logs", "wait", "submit"]


class Watching:
    """A command that watches a job on a terminal of its own.

    Attributes:
        terminal: The terminal, with the command as the leader of its session.
        job: Id of the job.
    """

    def __init__(self, way: str, deployed: Deployed, jobs: Jobs, folder: Path, shell: str) -> None:
        self.errors = folder / ERRORS
        held = "MNGEN_SANDBOX_HOLD=RUNNING"
        self.job = "" if way == "submit" else hold(jobs, "RUNNING")
        arguments = {
            "logs": ["logs", self.job, "--follow"],
            "wait": ["wait", self.job],
            "submit": ["submit", "mpi", "-n", "2", "--name", uuid4().hex, "--follow", "-e", held],
        }[way]
        environment: Any = {**deployed.sandbox.environment(), "XDG_STATE_HOME": str(folder)}
        self.terminal: Any = pexpect.spawn(
            "sh",
            ["-c", shell, "sh", *CHECKOUT, *arguments],
            cwd=str(folder),
            env=environment,
            encoding="utf-8",
            timeout=PATIENCE,
            dimensions=(24, 200),
        )
        if way == "submit":
            self.terminal.expect(r"[0-9a-f-]{36}\r\n")
            self.job = str(self.terminal.after).strip()
        self.shows_lines = way != "wait"
        if self.shows_lines:
            self.terminal.expect("start: node 1 of 2")

    def close(self) -> None:
        """Close the terminal, and leave it to the kernel to say so to the command."""
        self.terminal.ptyproc.fileobj.close()

    def errors_have(self, text: str) -> bool:
        """Whether a text has been written to the file of errors."""
        return self.errors.exists() and text in self.errors.read_text(encoding="utf-8")


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def watch(deployed: Deployed, jobs: Jobs, folder: Path) -> Iterator[Callable[..., Watching]]:
    begun: list[Watching] = []

    def watched(way: str, shell: str = 'exec "$@"') -> Watching:
        begun.append(Watching(way, deployed, jobs, folder, shell))
        return begun[-1]

    yield watched
    for each in begun:
        jobs.cancel(each.job)
        each.terminal.close(force=True)


@pytest.mark.parametrize("way", WAYS)
def test_one_that_changes_its_size_shows_the_rest(
    way: str, deployed: Deployed, watch: Callable[..., Watching]
) -> None:
    watching = watch(way)
    terminal = watching.terminal
    if not watching.shows_lines:
        terminal.expect("RUNNING\r\n")
    for size in ((10, 40), (50, 132)):
        # The kernel sends SIGWINCH to whoever has the terminal.
        terminal.setwinsize(*size)
        if watching.shows_lines:
            text = f"{size[0]} rows by now"
            deployed.control(jobs={watching.job: {"log": {1: [text]}}})
            terminal.expect(f"{text}\r\n")
    deployed.control(jobs={watching.job: {"hold": None, "seconds": 0}})
    terminal.expect("SUCCEEDED")
    terminal.expect(pexpect.EOF)
    assert terminal.wait() == 0
    assert "Traceback" not in str(terminal.before)


@pytest.mark.usefixtures("hang_ups")
@pytest.mark.parametrize("way", WAYS)
def test_one_that_is_closed_ends_the_watching_alone(
    way: str, deployed: Deployed, watch: Callable[..., Watching]
) -> None:
    watching = watch(way, f'exec "$@" 2> {ERRORS}')
    eventually(lambda: watching.errors_have("RUNNING\n"))
    # The kernel sends SIGHUP to the leader of the session, as when the window or ssh goes.
    watching.close()
    watching.terminal.wait()
    assert watching.terminal.signalstatus == signal.SIGHUP
    assert not watching.errors_have("Traceback")
    assert not watching.errors_have("bug")
    assert deployed.job(watching.job)["status"] == "RUNNING"


def test_one_that_is_closed_under_nohup(deployed: Deployed, watch: Callable[..., Watching]) -> None:
    watching = watch("logs", f'trap "" HUP; exec "$@" 2> {ERRORS}')
    watching.close()
    deployed.control(jobs={watching.job: {"log": {1: ["to nobody"]}}})
    watching.terminal.wait()
    assert watching.terminal.exitstatus == 3
    assert watching.errors_have("error: cannot write the output: Input/output error")
    assert not watching.errors_have("Traceback")
    assert deployed.job(watching.job)["status"] == "RUNNING"
