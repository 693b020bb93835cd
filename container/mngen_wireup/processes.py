"""The processes of this container, as /proc shows them."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


_INITS = ("tini", "docker-init", "catatonit")
"""First processes of a container that end with their child, and the kernel all others with them."""


def adopt_orphans() -> None:
    """Makes processes that lose their parent children of this one, so that none escapes."""
    if os.getpid() == 1 or (os.getppid() == 1 and _name(1) in _INITS):
        return
    import ctypes  # Takes a fifteenth of a child's start.

    set_child_subreaper = 36  # man 2 prctl
    ctypes.CDLL(None, use_errno=True).prctl(set_child_subreaper, 1, 0, 0, 0)


def _name(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", errors="replace") as comm:
            return comm.read().strip()
    except OSError:
        return ""


def descendants(root: int) -> list[int]:
    """Returns the PIDs of all processes below one."""
    below: dict[int, list[int]] = {}
    for pid, parent in _parents():
        below.setdefault(parent, []).append(pid)
    found = [root]
    for pid in found:
        found += below.get(pid, [])
    return found[1:]


def _parents() -> Iterator[tuple[int, int]]:
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                yield int(name), int(_stat(int(name))[1])
            except (OSError, IndexError):
                continue


def is_alive(pid: int) -> bool:
    """Whether a process exists and is not a zombie."""
    try:
        return _stat(pid)[0] not in (b"Z", b"X")
    except OSError:
        return False


def is_group_alive(leader: int) -> bool:
    """Whether a process group has a process, also after its leader has ended."""
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # of another user, after setuid
    return True


def _stat(pid: int) -> list[bytes]:
    """Returns the fields of /proc/<pid>/stat from the state on; see man 5 proc."""
    with open(f"/proc/{pid}/stat", "rb") as stat:
        return stat.read().rpartition(b")")[2].split()


def send_signal(pid: int, number: int) -> None:
    """Sends a signal to a process, which may have ended, and to the group that it leads."""
    try:
        (os.killpg if os.getpgid(pid) == pid else os.kill)(pid, number)
    except OSError:
        pass


def signal_name(number: int) -> str:
    """Returns the name of a signal, such as SIGTERM; empty if there is no such signal."""
    import signal  # Takes longer to import than all modules of a child node.

    try:
        return signal.Signals(number).name
    except ValueError:
        return ""
