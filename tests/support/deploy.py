"""A rendered tree in small, and mngen at work in it, for tests of the Terraform room.

`terraform_data` is built into Terraform: it needs no provider, no network and no account.
"""

from __future__ import annotations

import json
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from tests.support.cli import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# The interrupt, which the slow step gets too, is not enough: Terraform has to stop it.
SLOW = """
resource "terraform_data" "first" {}

resource "terraform_data" "slow" {
  depends_on = [terraform_data.first]

  provisioner "local-exec" {
    command = "echo $$ > pid.txt; trap '' INT; exec /bin/sleep 60"
  }
}

resource "terraform_data" "after" {
  depends_on = [terraform_data.slow]
}
"""


def write_tree(root: Path, text: str) -> Path:
    """Write a deployment with one Terraform file, and return its Terraform folder."""
    folder = root / "deploy" / "terraform"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "main.tf").write_text(text, encoding="utf-8")
    return folder


def state(folder: Path) -> dict[str, str | None]:
    """Read the managed resources of a local state: their addresses, and `tainted` or None."""
    data = json.loads((folder / "terraform.tfstate").read_text(encoding="utf-8"))
    return {
        f"{resource['type']}.{resource['name']}": instance.get("status")
        for resource in data["resources"]
        for instance in resource["instances"]
    }


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 120) -> None:
    """Wait for something to become true; on a busy machine, three starts of Python take long.

    Raises:
        AssertionError: It did not.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.02)


def sleeper(folder: Path) -> Path:
    """Wait for the slow step of `SLOW` to begin, and return its process's folder in /proc."""
    file = folder / "pid.txt"
    wait_until(lambda: file.is_file() and file.read_text().endswith("\n"), "the slow step")
    return Path("/proc", file.read_text().strip())


class Started:
    """A command that runs; what it writes is in `text`."""

    def __init__(self, process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
        self.process = process
        self._log = Path(log.name)

    @property
    def text(self) -> str:
        """All that it wrote so far, to standard output and standard error."""
        return self._log.read_text(encoding="utf-8")

    def end(self) -> int:
        """Wait for its end and return its exit code."""
        return self.process.wait(120)


@contextmanager
def started(
    *arguments: str, cwd: Path, env: dict[str, str], program: tuple[str, ...] = CHECKOUT
) -> Iterator[Started]:
    """Start a command, mngen by default, and kill it at the end if it still runs."""
    with (cwd / f"{'-'.join(arguments[:1])}.log").open("wb") as log:
        process = subprocess.Popen(
            [*program, *arguments],
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            yield Started(process, log)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
