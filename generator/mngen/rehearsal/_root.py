"""The root folder of a node: this machine's folders or a container image, and what is its own."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

from mngen.rehearsal import _linux

if TYPE_CHECKING:
    from collections.abc import Sequence

_WORK = Path("/run")
_HOST = _WORK / "host"
_OWN = ("dev", "proc", "root", "run", "sys", "tmp")
_EMPTY = {"root": "700", "run": "755", "tmp": "1777", "var/tmp": "1777"}
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}
_INERT = _linux.NO_SUID | _linux.NO_DEVICES | _linux.NO_EXEC


class Roots:
    """The roots of all nodes, prepared by the keeper and entered by each node.

    The keeper's mount namespace is private: what is mounted in it is seen by no one else, and is
    gone with the last of its processes. Its /run becomes the place to work in, so every source,
    which may be below /run, is opened before and bound to a place there.
    """

    def __init__(
        self,
        root: str | None,
        binds: Sequence[tuple[str | None, str, bool]],
        unshared: Sequence[int] = (),
        files: Sequence[tuple[str, Sequence[str]]] = (),
    ) -> None:
        """Prepares.

        Args:
            root: An unpacked image, or None for this machine's own folders.
            binds: Source, or None for a new folder; target; whether the target is read-only.
            unshared: Indexes of nodes that have separate folders in place of the new ones.
            files: Targets of each node's own file systems in memory, with their options.

        Raises:
            OSError: A source cannot be opened, or the kernel refuses.
        """
        image = None if root is None else _hold(root)
        sources = [None if source is None else _hold(source) for source, _, _ in binds]
        _linux.mount("mngen", str(_WORK), "tmpfs", options="mode=755")
        self._image = None if image is None else _keep(image, _WORK / "image")
        self._unshared = unshared
        self._files = dict(files)
        self._new = [target for source, target, _ in binds if source is None]
        self._binds = {
            target: (_keep(source, _WORK / f"bind{number}"), read_only)
            for number, (source, (_, target, read_only)) in enumerate(
                zip(sources, binds, strict=True)
            )
        }
        if self._image is None:
            _show_host()

    def enter(self, index: int, hostname: str, address: str) -> None:
        """Makes a node's root and goes into it; the calling process has its own mounts.

        Raises:
            OSError: The kernel refuses.
        """
        own = _WORK / f"node{index}"
        own.mkdir()
        root = self._overlay(own) if self._image is not None else _HOST
        for name in _OWN:
            (root / name).mkdir(exist_ok=True)
        if self._image is None:
            for name, mode in _EMPTY.items():
                if (root / name).is_dir():
                    _linux.mount("tmpfs", str(root / name), "tmpfs", _linux.NO_SUID, f"mode={mode}")
        _kernel_files(root)
        _devices(root / "dev")
        hosts = own / "hosts"
        hosts.write_text(f"127.0.0.1 localhost\n::1 localhost\n{address} {hostname}\n", "ascii")
        if (root / "etc/hosts").is_file():
            _linux.bind(str(hosts), str(root / "etc/hosts"))
        # The outer ones first, as Docker does: one would hide those below it.
        # Source: https://github.com/moby/moby (daemon/volumes_unix.go, sortMounts)
        for target in sorted((*self._binds, *self._files), key=lambda each: each.count("/")):
            self._mount(root, target, index)
        if self._image is None:
            _linux.make_read_only(str(root), recursive=False)
        _linux.enter_root(str(root))

    def _mount(self, root: Path, target: str, index: int) -> None:
        if target in self._files:
            place = _place(root, target, is_folder=True)
            _linux.mount_in_memory(str(place), self._files[target])
            return
        source, read_only = self._binds[target]
        place = _place(root, target, is_folder=source.is_dir())
        if index in self._unshared and target in self._new:
            _keep(None, place)
        else:
            _linux.bind(str(source), str(place), recursive=True, read_only=read_only)

    def _overlay(self, own: Path) -> Path:
        upper, work, root = own / "upper", own / "work", own / "root"
        for folder in (upper, work, root):
            folder.mkdir()
        options = f"lowerdir={self._image},upperdir={upper},workdir={work}"
        _linux.mount("overlay", str(root), "overlay", options=options)
        return root


def _hold(path: str) -> str:
    """Opens a path and returns another that leads to the same, whatever is mounted over it."""
    return f"/proc/self/fd/{os.open(path, os.O_PATH | os.O_CLOEXEC)}"


def _keep(held: str | None, copy: Path) -> Path:
    """Binds what is held open, or else a new folder, to a new place; returns that."""
    if held is None:
        copy.mkdir(exist_ok=True)
        _linux.mount("tmpfs", str(copy), "tmpfs", _linux.NO_SUID, "mode=1777")
        return copy
    _create(copy, is_folder=Path(held).is_dir())
    _linux.bind(held, str(copy), recursive=True)
    return copy


def _show_host() -> None:
    """Gathers this machine's folders in one place, read-only."""
    _HOST.mkdir()
    _linux.mount("mngen", str(_HOST), "tmpfs", options="mode=755")
    for entry in sorted(Path("/").iterdir()):
        copy = _HOST / entry.name
        if entry.name in _OWN:
            copy.mkdir()
        elif entry.is_symlink():
            copy.symlink_to(entry.readlink())
        elif entry.is_dir():
            copy.mkdir()
            _linux.bind(str(entry), str(copy), recursive=True, read_only=True)


def _kernel_files(root: Path) -> None:
    """Mounts /proc and /sys as Docker does: what would change the machine is read-only."""
    proc, sys = root / "proc", root / "sys"
    _linux.mount("proc", str(proc), "proc", _INERT)
    for name in ("sys", "sysrq-trigger"):
        if (proc / name).exists():
            _linux.bind(str(proc / name), str(proc / name), read_only=True)
    _linux.mount("sysfs", str(sys), "sysfs", _INERT | _linux.READ_ONLY)
    groups = Path("/sys/fs/cgroup")
    if groups.is_dir():
        _linux.bind(str(groups), str(sys / "fs/cgroup"), recursive=True, read_only=True)


def _devices(dev: Path) -> None:
    """Makes the devices that a container has."""
    _linux.mount("tmpfs", str(dev), "tmpfs", _linux.NO_SUID, "mode=755")
    for name in _DEVICES:
        (dev / name).touch()
        _linux.bind(f"/dev/{name}", str(dev / name))
    for name, target in _LINKS.items():
        (dev / name).symlink_to(target)
    (dev / "pts").mkdir()
    inert = _linux.NO_SUID | _linux.NO_EXEC
    _linux.mount("devpts", str(dev / "pts"), "devpts", inert, "newinstance,ptmxmode=666,mode=620")
    (dev / "shm").mkdir()
    _linux.mount("shm", str(dev / "shm"), "tmpfs", _INERT, "mode=1777")


def _place(root: Path, target: str, *, is_folder: bool) -> Path:
    """Returns the path below a root that something can be bound to; makes it where it is not.

    Where a folder of this machine lacks it, that folder is covered by one of the node's own, with
    the same things in it: on the machine itself nothing is made.
    """
    place = root
    *parents, last = Path(target).relative_to("/").parts
    for name in parents:
        place = _make(place, name, is_folder=True)
    return _make(place, last, is_folder=is_folder)


def _make(folder: Path, name: str, *, is_folder: bool) -> Path:
    path = folder / name
    if path.is_symlink():
        # It would be followed out of the node's root.
        raise OSError(errno.ELOOP, "a symbolic link is in the way", str(path))
    if path.exists():
        return path
    try:
        _create(path, is_folder=is_folder)
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        _cover(folder)
        _create(path, is_folder=is_folder)
    return path


def _create(path: Path, *, is_folder: bool) -> None:
    if is_folder:
        path.mkdir(exist_ok=True)
    else:
        path.touch()


def _cover(folder: Path) -> None:
    """Covers a read-only folder by a writable one that shows the same."""
    held = Path(_hold(str(folder)))
    entries = sorted(held.iterdir())
    _linux.mount("mngen", str(folder), "tmpfs", options="mode=755")
    for entry in entries:
        copy = folder / entry.name
        if entry.is_symlink():
            copy.symlink_to(entry.readlink())
        elif entry.is_dir() or entry.is_file():
            _create(copy, is_folder=entry.is_dir())
            _linux.bind(str(entry), str(copy), recursive=True)
