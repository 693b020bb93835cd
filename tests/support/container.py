"""Programs of the container as processes of this machine, and a bucket that can refuse them."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.relay import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CONTAINER = Path(__file__).resolve().parents[2] / "container"
WIREUP = CONTAINER / "wireup.py"
SOON = 240.0


class Running:
    """A process whose output can be waited for."""

    def __init__(self, command: list[str], env: dict[str, str], log: Path) -> None:
        self.log = log
        # Several processes write at a time, and none may write over what another has written.
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                command,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        """All that it has written."""
        return self.log.read_text(encoding="utf-8")

    def await_line(self, text: str) -> None:
        """Wait until it has written something."""
        deadline = time.monotonic() + SOON
        while text not in self.said:
            assert self.process.poll() is None, self.said
            assert time.monotonic() < deadline, self.said
            time.sleep(0.02)

    def code(self) -> int:
        """Wait for its end and return its exit code."""
        return self.process.wait(SOON)


@contextmanager
def starting(folder: Path) -> Iterator[Callable[..., Running]]:
    """Start processes, with their output in a folder, and leave none of them behind."""
    running: list[Running] = []

    def started(*command: str | Path, env: dict[str, str]) -> Running:
        log = folder / f"log-{len(running)}"
        running.append(Running([str(word) for word in command], env, log))
        return running[-1]

    try:
        yield started
    finally:
        for each in running:
            if each.process.poll() is None:
                each.process.kill()
                each.process.wait()


@contextmanager
def ended(running: Running, code: int) -> Iterator[str]:
    """Wait for an end with an exit code, and return the output."""
    found = running.code()
    said = running.said
    assert found == code, said
    assert "Traceback" not in said
    yield said


def wire_up(env: dict[str, str], *command: str, python: str = sys.executable) -> Any:
    """The arguments of `start` for a node."""
    return (python, "-I", WIREUP, *command), env


def refusal(status: int, code: str) -> Answer:
    """An error response of S3."""
    body = f"<Error><Code>{code}</Code><Message>so it is</Message></Error>".encode()
    return Answer(status, (("Content-Type", "application/xml"),), body)
