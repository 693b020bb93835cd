"""Control groups of machines, of which each machine has a tree.

Only the trees of machines that are gone may be removed. While systemd-nspawn starts, groups that it
has just made hold no process yet, so whether a group is empty does not show that.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from mngen.sandbox.machines._address import unclaimed

TOPS = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/systemd"), Path("/sys/fs/cgroup/unified"))
"""Where control groups are made: of version 2, or of both if both are mounted."""

_PREFIX = "mngen-machine-"


def group_name(ip: str) -> str:
    """Returns what the group of the machine at an address is called, as the machine itself is."""
    return _PREFIX + ip.replace(".", "-")


def remove_groups(ip: str, tops: tuple[Path, ...] = TOPS) -> None:
    """Removes the groups of the machine that had an address and has ended."""
    for top in tops:
        # Another sandbox may be removing them too: unlike `Path.glob`, `os.walk` passes over that.
        for folder, _, _ in os.walk(top / group_name(ip), topdown=False):
            with suppress(OSError):
                Path(folder).rmdir()


def remove_abandoned_groups(tops: tuple[Path, ...] = TOPS) -> None:
    """Removes the groups of machines whose sandbox was killed before it removed them.

    Claims of addresses hold within a network namespace: containers that share the host's control
    groups, but not its network, take each other's machines for gone.
    """
    ips = {
        folder.name.removeprefix(_PREFIX).replace("-", ".")
        for top in tops
        for folder in top.glob(f"{_PREFIX}*")
    }
    for ip in ips:
        with unclaimed(ip) as gone:
            if gone:
                remove_groups(ip, tops)
