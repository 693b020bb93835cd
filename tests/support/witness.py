"""First process of a node: runs a command as an init would, and reports what it leaves behind.

Processes that lose their parent become children of this one, so none can hide.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path


def main() -> int:
    """Runs the command; returns its exit code."""
    pid = os.fork()
    if pid == 0:
        if user := int(os.environ.pop("MNGEN_TEST_USER", "0")):
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
        os.execvp(sys.argv[1], sys.argv[1:])
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: os.kill(pid, number))
    _, status = os.waitpid(pid, 0)
    print("left:", ", ".join(left()) or "nothing", flush=True)
    return os.waitstatus_to_exitcode(status) % 256


def left() -> list[str]:
    """Returns processes, listening sockets and private folders that are still there."""
    # What was killed a moment ago may need one to be gone.
    deadline = time.monotonic() + 2
    while processes() and time.monotonic() < deadline:
        time.sleep(0.01)
    found = [f"process {text}" for text in processes()]
    for line in Path("/proc/net/tcp").read_text(encoding="utf-8").splitlines()[1:]:
        words = line.split()
        if words[3] == "0A":
            found.append(f"listening on {int(words[1].split(':')[1], 16)}")
    for folder in ("/dev/shm", "/run", "/tmp"):
        found += [str(path) for path in Path(folder).glob("mngen-*")]
    return found


def processes() -> list[str]:
    """Returns the processes of this node but for this one, zombies too."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if int(folder.name) != os.getpid():
                found.append((folder / "stat").read_text()[:40])
        except OSError:
            continue
    return found


if __name__ == "__main__":
    sys.exit(main())
