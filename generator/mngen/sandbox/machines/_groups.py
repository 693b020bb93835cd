"""Control groups of machines, of which each machine has a tree.

Only the trees of machines that are gone may be removed. While systemd-nspawn starts, groups that it
has just made hold no process yet, so whether a group is empty does not show that.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from mngen.sandbox.machines._address import is_claimed

TOPS = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/systemd"), Path("/sys/fs/cgroup/unified"))
"""Where control groups are made: of version 2, or of both if both are mounted."""

_PREFIX = "mngen-machine-"


def group_name(ip: str) -> str:
    """Returns what the group of the machine at an address is called, as the machine itself is."""
    return _PREFIX + ip.replace(".", "-")


def remove_groups(ip: str, tops: tuple[Path, ...] = TOPS) -> None:
    """Removes the groups of the machine that had an address and has ended."""
    for top in tops:
        for folder in sorted((top / group_name(ip)).glob("**/"), reverse=True):
            with suppress(OSError):
                folder.rmdir()


def remove_abandoned_groups(tops: tuple[Path, ...] = TOPS) -> None:
    """Removes the groups of machines whose sandbox was killed before it removed them."""
    ips = {
        folder.name.removeprefix(_PREFIX).replace("-", ".")
        for top in tops
        for folder in top.glob(f"{_PREFIX}*")
    }
    for ip in ips:
        if not is_claimed(ip):
            remove_groups(ip, tops)
