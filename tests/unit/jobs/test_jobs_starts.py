"""Commands for jobs find all that they import, and write the same, when Python starts for them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from uuid import uuid4

from tests.support.cli import CHECKOUT

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from tests.support.batch import Deployed


def test_commands_start(
    deployed: Deployed, run: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    name = f"n{uuid4().hex[:10]}"
    job = run("submit", "one", "--name", name).stdout.strip()
    deployed.control(jobs={job: {"seconds": 0}})
    assert run("wait", job).returncode == 0
    for command in (
        ("jobs", "--name", name),
        ("status", job),
        ("timeline", job),
        ("cost",),
        ("cancel", job, "--yes"),
    ):
        started = run(*command, program=CHECKOUT)
        assert shown(started) == shown(run(*command))
        assert started.stdout or started.stderr


def shown(done: subprocess.CompletedProcess[str]) -> tuple[int, list[str]]:
    """What a command wrote, without what changes every second."""
    return done.returncode, re.sub(r"\d+ s\b", "", done.stdout + done.stderr).split()
