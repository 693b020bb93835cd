"""First process of a PID namespace: runs a command, and writes down what it leaves behind.

Processes that lose their parent become children of this one, so none can hide.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from tests.support.witness import processes

ROOT = Path(__file__).resolve().parents[2]
# The command must not see the checkout, which is on none of its paths.
_START = "import sys; sys.path.insert(0, sys.argv.pop(1)); from tests.support.alone import main; "
# What was killed a moment ago may need some to be gone.
_GONE_SECONDS = 60.0


def alone(report: Path, *command: str) -> tuple[str, ...]:
    """Return the command line that runs a command so. Needs root.

    SIGINT for the command goes to the child of the process that this starts, which passes it on.

    Args:
        report: The file that `left_behind` reads.
        command: The command.
    """
    private = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
    first = (sys.executable, "-c", f"{_START}sys.exit(main())", str(ROOT), str(report))
    return (*private, *first, *command)


def left_behind(report: Path) -> dict[str, list[str]]:
    """Return the processes and mounts that the command left."""
    found: dict[str, list[str]] = json.loads(report.read_text(encoding="utf-8"))
    return found


def main() -> int:
    """Runs the command; returns its exit code."""
    before = mounts()
    process = subprocess.Popen(sys.argv[2:])
    signal.signal(signal.SIGINT, lambda number, _: process.send_signal(number))
    code = process.wait()
    deadline = time.monotonic() + _GONE_SECONDS
    while _living() and time.monotonic() < deadline:
        time.sleep(0.05)
    left = {"processes": processes(), "mounts": sorted(mounts() - before)}
    Path(sys.argv[1]).write_text(json.dumps(left), encoding="utf-8")
    return code % 256


def mounts() -> set[str]:
    """Returns where file systems are mounted."""
    lines = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    return {line.split()[1] for line in lines}


def _living() -> bool:
    """Collects ended processes, and returns whether there are others."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    return bool(processes())
