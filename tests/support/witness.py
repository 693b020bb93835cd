"""First process of a node: runs a command as an init would, and reports what it leaves behind.

Processes that lose their parent become children of this one, so none can hide. Several hundred
nodes of a test run start it, so it does without modules that Python takes long to import.
"""

from __future__ import annotations

import os
import signal
import sys
import time


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
    with open("/proc/net/tcp", encoding="utf-8") as file:
        for line in file.readlines()[1:]:
            words = line.split()
            if words[3] == "0A":
                found.append(f"listening on {int(words[1].split(':')[1], 16)}")
    for folder in ("/dev/shm", "/run", "/tmp"):
        if os.path.isdir(folder):
            found += [f"{folder}/{name}" for name in os.listdir(folder) if name[:6] == "mngen-"]
    return found


def processes() -> list[str]:
    """Returns the processes of this node but for this one, zombies too."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                with open(f"/proc/{name}/stat", encoding="utf-8") as file:
                    found.append(file.read()[:40])
            except OSError:
                continue
    return found


if __name__ == "__main__":
    sys.exit(main())
