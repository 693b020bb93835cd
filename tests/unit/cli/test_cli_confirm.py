"""Without a terminal, a command that would ask refuses at once, in words of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.cli import CHECKOUT, mngen

if TYPE_CHECKING:
    from pathlib import Path

HINTS = {
    "apply": "run mngen plan to see what would change",
    "destroy": "everything that the tree built is deleted, its data included",
    "ami prune": "run mngen ami list to see which AMIs are unused",
    "ami cleanup": "without --yes, the resources are listed first",
    "cancel 8a7f": "run mngen status 8a7f to see the job",
}


@pytest.mark.parametrize("command", HINTS)
def test_refusal_speaks_of_the_command(command: str, tmp_path: Path) -> None:
    done = mngen(*command.split(), cwd=tmp_path, program=CHECKOUT)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"error: not a terminal: pass --yes to confirm\n  help: {HINTS[command]}\n"
    )
