"""The system calls of namespaces and mounts that Python 3.11 has no functions for.

Numbers are those of the kernel's headers, the same on x86_64 and arm64.
Source: https://man7.org/linux/man-pages/man7/namespaces.7.html
"""

from __future__ import annotations

import ctypes
import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

NEW_MOUNTS = 0x00020000  # CLONE_NEWNS
NEW_NAMES = 0x04000000  # CLONE_NEWUTS
NEW_IPC = 0x08000000  # CLONE_NEWIPC
NEW_PIDS = 0x20000000  # CLONE_NEWPID
NEW_NETWORK = 0x40000000  # CLONE_NEWNET

READ_ONLY = 0x1  # MS_RDONLY
NO_SUID = 0x2  # MS_NOSUID
NO_DEVICES = 0x4  # MS_NODEV
NO_EXEC = 0x8  # MS_NOEXEC
BIND = 0x1000  # MS_BIND
RECURSIVE = 0x4000  # MS_REC
PRIVATE = 0x40000  # MS_PRIVATE

# What options of a tmpfs mean to mount(2), and those that take a flag back.
# Source: https://man7.org/linux/man-pages/man2/mount.2.html
_OPTIONS = {
    "ro": READ_ONLY,
    "nosuid": NO_SUID,
    "nodev": NO_DEVICES,
    "noexec": NO_EXEC,
    "sync": 0x10,  # MS_SYNCHRONOUS
    "mand": 0x40,  # MS_MANDLOCK
    "dirsync": 0x80,  # MS_DIRSYNC
    "noatime": 0x400,  # MS_NOATIME
    "nodiratime": 0x800,  # MS_NODIRATIME
    "relatime": 0x200000,  # MS_RELATIME
    "strictatime": 0x1000000,  # MS_STRICTATIME
}
_OPPOSITES = {
    "rw": "ro",
    "suid": "nosuid",
    "dev": "nodev",
    "exec": "noexec",
    "async": "sync",
    "nomand": "mand",
    "atime": "noatime",
    "diratime": "nodiratime",
    "norelatime": "relatime",
    "nostrictatime": "strictatime",
}

_LIBC = ctypes.CDLL(None, use_errno=True)
_DETACH = 2  # MNT_DETACH
_SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG
_DROP_CAPABILITY = 24  # PR_CAPBSET_DROP
_AT_FDCWD = -100
_AT_RECURSIVE = 0x8000
_MOUNT_ATTR_READ_ONLY = 0x1
_MOUNT_SETATTR = 442

# What Docker leaves to a container by default, by the numbers of <linux/capability.h>.
# Source: https://docs.docker.com/engine/containers/run/#runtime-privilege-and-linux-capabilities
_CONTAINER_CAPABILITIES = frozenset({0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31})


def unshare(flags: int) -> None:
    """Moves this process (for `NEW_PIDS`: its future children) into new namespaces.

    Raises:
        OSError: The kernel refuses.
    """
    _call(_LIBC.unshare, flags)


def leave_pids_to_own() -> None:
    """Makes future children live in this process's own PID namespace again.

    After `unshare(NEW_PIDS)` and one fork, a process must come back before it can unshare again.

    Raises:
        OSError: The kernel refuses.
    """
    descriptor = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _call(_LIBC.setns, descriptor, NEW_PIDS)
    finally:
        os.close(descriptor)


def mount(source: str, target: str, kind: str, flags: int = 0, options: str = "") -> None:
    """Mounts a file system.

    Args:
        source: A device, or the word that stands for one.
        target: Where to.
        kind: The file system's type, such as `tmpfs`; empty for a bind mount.
        flags: `READ_ONLY`, `BIND` and so on, added up.
        options: The file system's own options.

    Raises:
        OSError: The kernel refuses; `filename` is the target.
    """
    words = (source.encode(), os.fsencode(target), kind.encode() or None)
    _call(_LIBC.mount, *words, ctypes.c_ulong(flags), options.encode() or None, path=target)


def mount_in_memory(target: str, options: Sequence[str]) -> None:
    """Mounts a tmpfs as Docker does: without programs, devices and set-user-ID unless asked for.

    Source: https://github.com/moby/moby (daemon/oci_linux.go, `noexec`)

    Args:
        target: Where to.
        options: Options as in `docker run --tmpfs PATH:OPTIONS`.

    Raises:
        OSError: The kernel refuses; `filename` is the target.
    """
    flags = NO_SUID | NO_DEVICES | NO_EXEC
    data = []
    for option in options:
        if option in _OPTIONS:
            flags |= _OPTIONS[option]
        elif option in _OPPOSITES:
            flags &= ~_OPTIONS[_OPPOSITES[option]]
        elif option != "defaults":
            data.append(option)
    mount("tmpfs", target, "tmpfs", flags, ",".join(data))


def bind(source: str, target: str, *, recursive: bool = False, read_only: bool = False) -> None:
    """Shows a file or folder in another place too.

    Raises:
        OSError: The kernel refuses; `filename` is the target.
    """
    mount(source, target, "", BIND | (RECURSIVE if recursive else 0))
    if read_only:
        make_read_only(target)


def make_private(target: str) -> None:
    """Keeps mounts at and below a place from spreading to other namespaces, and back.

    Raises:
        OSError: The kernel refuses; `filename` is the target.
    """
    mount("none", target, "", RECURSIVE | PRIVATE)


def make_read_only(target: str, *, recursive: bool = True) -> None:
    """Makes a mount, and the mounts below it, read-only.

    Raises:
        OSError: The kernel refuses, or is older than Linux 5.12; `filename` is the target.
    """
    attributes = struct.pack("=QQQQ", _MOUNT_ATTR_READ_ONLY, 0, 0, 0)
    _call(
        _LIBC.syscall,
        ctypes.c_long(_MOUNT_SETATTR),
        ctypes.c_int(_AT_FDCWD),
        os.fsencode(target),
        ctypes.c_uint(_AT_RECURSIVE if recursive else 0),
        attributes,
        ctypes.c_size_t(len(attributes)),
        path=target,
    )


def enter_root(folder: str) -> None:
    """Makes a mount the root of this mount namespace and detaches everything else.

    Raises:
        OSError: The kernel refuses; `filename` is the folder.
    """
    os.chdir(folder)
    _call(_LIBC.pivot_root, b".", b".", path=folder)
    # Old and new root are stacked in one place, the old one on top.
    _call(_LIBC.umount2, b".", _DETACH, path=folder)
    os.chdir("/")


def die_with_parent(number: int) -> None:
    """Asks the kernel for a signal to this process when its parent ends.

    Raises:
        OSError: The kernel refuses.
    """
    _call(_LIBC.prctl, _SET_DEATH_SIGNAL, ctypes.c_ulong(number), 0, 0, 0)


def drop_capabilities() -> None:
    """Leaves this process, and what it executes, only the capabilities of a Docker container.

    Raises:
        OSError: The kernel refuses.
    """
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text("ascii"))
    for number in range(last + 1):
        if number not in _CONTAINER_CAPABILITIES:
            _call(_LIBC.prctl, _DROP_CAPABILITY, ctypes.c_ulong(number), 0, 0, 0)


def _call(function: Callable[..., int], *arguments: object, path: str | None = None) -> None:
    if function(*arguments) == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
