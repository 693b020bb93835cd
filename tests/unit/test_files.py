"""Files of mngen's own: whole or not at all, one writer at a time, in the user's folders."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from mngen._files import (
    cache_home,
    is_private,
    locked_file,
    locked_folder,
    make_private,
    runtime_home,
    state_home,
    write_atomically,
)
from tests.support.locks import waits_for_lock

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path


@pytest.mark.parametrize("durable", [True, False])
@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_a_new_file_has_the_permissions_of_the_umask(
    tmp_path: Path, mask: int, mode: int, *, durable: bool
) -> None:
    path = tmp_path / "record.json"
    # In a process of its own: the umask is the whole process's.
    script = (
        "import os, pathlib, sys; from mngen._files import write_atomically; "
        f"os.umask({mask}); "
        f"write_atomically(pathlib.Path(sys.argv[1]), b'new', durable={durable})"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], check=True, timeout=60)
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert list(tmp_path.iterdir()) == [path]


def test_an_old_file_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_bytes(b"old")
    path.chmod(0o640)
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_what_cannot_be_written_leaves_the_old_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "record.json"
    path.write_bytes(b"old")

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def waits(
    monkeypatch: pytest.MonkeyPatch, lock: Callable[[], AbstractContextManager[None]]
) -> bool:
    """Tell whether a second one waits for the first."""
    order: list[str] = []

    def second() -> None:
        with lock():
            order.append("second")

    other = threading.Thread(target=second)
    with monkeypatch.context() as patch:
        waiting = waits_for_lock(patch)
        with lock():
            other.start()
            assert waiting.wait(60)
            order.append("first")
        other.join(60)
    return order == ["first", "second"]


def test_of_two_one_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert waits(monkeypatch, lambda: locked_file(tmp_path / "lock"))
    assert waits(monkeypatch, lambda: locked_folder(tmp_path, "deploy"))
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_a_folder_that_cannot_be_locked_gets_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As over NFS, which locks only what is open for writing (flock(2))."""
    flock = fcntl.flock

    def over_nfs(descriptor: int, operation: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", over_nfs)
    assert waits(monkeypatch, lambda: locked_folder(tmp_path, "deploy"))
    assert [path.name for path in tmp_path.iterdir()] == [".deploy.mngen-lock"]


def test_a_fault_of_the_disk_is_none_of_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_descriptor: int, _operation: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(fcntl, "flock", broken)
    with pytest.raises(OSError, match="Input/output"), locked_folder(tmp_path, "deploy"):
        pass


@pytest.mark.parametrize(
    ("home", "variable", "below"),
    [
        (cache_home, "XDG_CACHE_HOME", ".cache"),
        (state_home, "XDG_STATE_HOME", ".local/state"),
    ],
)
def test_a_folder_of_the_user(
    home: Callable[[], Path],
    variable: str,
    below: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Source: https://specifications.freedesktop.org/basedir-spec/latest/ ."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for ignored in ("", "relative"):
        monkeypatch.setenv(variable, ignored)
        assert home() == tmp_path / below / "mngen"
    monkeypatch.delenv(variable)
    assert home() == tmp_path / below / "mngen"
    monkeypatch.setenv(variable, str(tmp_path / "own"))
    assert home() == tmp_path / "own" / "mngen"


def test_the_runtime_folder_is_the_users_or_one_of_a_name_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert runtime_home() == tmp_path / "mngen"
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "none"))
    assert runtime_home().name == f"mngen-{os.getuid()}"


def test_a_private_folder_and_those_above_it_are_closed_to_others(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    make_private(folder)
    make_private(folder)
    assert is_private(folder)
    assert is_private(folder.parent)
    folder.chmod(0o750)
    assert not is_private(folder)
    assert not is_private(tmp_path / "none")
    (tmp_path / "link").symlink_to(folder.parent)
    assert not is_private(tmp_path / "link")


def test_no_home_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    with pytest.raises(FileNotFoundError, match="nobody"):
        make_private(tmp_path / "nobody" / ".cache" / "mngen")
    assert list(tmp_path.iterdir()) == []
