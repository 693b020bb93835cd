"""How the machines' file systems are made and kept; what they hold is tested by the playbooks."""

from __future__ import annotations

import os
import shutil
import threading
from typing import TYPE_CHECKING

import pytest

from mngen.errors import ToolError
from mngen.sandbox.machines import _debian, _root

if TYPE_CHECKING:
    from pathlib import Path


def program(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_a_layer_appears_whole(tmp_path: Path) -> None:
    place = tmp_path / "layer"

    def build(making: Path) -> None:
        assert not place.exists()
        (making / "file").write_text("whole")

    _root._make(place, build)
    assert (place / "file").read_text() == "whole"
    assert [path.name for path in tmp_path.iterdir()] == ["layer"]


def test_a_layer_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def build(making: Path) -> None:
        (making / "half").mkdir()
        raise ToolError("debootstrap failed")

    with pytest.raises(ToolError):
        _root._make(tmp_path / "layer", build)
    assert list(tmp_path.iterdir()) == []


def test_what_a_crash_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / "making-old" / "half").mkdir(parents=True)
    _root._make(tmp_path / "layer", lambda _: None)
    assert [path.name for path in tmp_path.iterdir()] == ["layer"]


def test_who_comes_second_waits_and_makes_none(tmp_path: Path) -> None:
    built: list[int] = []
    started, finish = threading.Event(), threading.Event()

    def build(making: Path) -> None:
        built.append(1)
        started.set()
        assert finish.wait(60)

    def ask() -> None:
        with _root._locked(tmp_path):
            _root._make(tmp_path / "layer", build)

    first, second = threading.Thread(target=ask), threading.Thread(target=ask)
    first.start()
    assert started.wait(60)
    second.start()
    finish.set()
    first.join(60)
    second.join(60)
    assert built == [1]


@pytest.mark.parametrize("base", _root.BASES)
def test_a_changed_stand_in_makes_a_new_layer(
    base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _root._recipe(base)
    assert any("grubby.py" in line for line in before)
    assert any("etc/default/grub" in line for line in before)
    other = "amazon-linux-2" if base == "amazon-linux-2023" else "amazon-linux-2023"
    assert not any(f"files/{other}/" in line for line in before)
    copy = tmp_path / "machine"
    shutil.copytree(_root._SOURCES, copy)
    monkeypatch.setattr(_root, "_SOURCES", copy)
    (copy / "grubby.py").write_text("changed")
    assert _root._recipe(base) != before


def test_only_root_can_have_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "missing: root" in str(_root.machines_unavailable())
    with pytest.raises(ToolError, match="missing: root"):
        _root.machine_layers("amazon-linux-2023")


def test_missing_programs_are_named_by_their_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    program(tmp_path, "ssh", "")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("mngen.parts._probe._SYSTEM_FOLDERS", str(tmp_path))
    assert _root.machines_unavailable() == (
        "cannot boot emulated instances that can be baked; "
        "missing: debootstrap, setpriv, unshare, mount, ssh-keygen"
    )


def test_there_are_two_bases() -> None:
    with pytest.raises(ValueError, match="ubuntu"):
        _root.machine_layers("ubuntu")


TARGETS = """
cat <<'END'
bookworm-security main http://security.example/debian-security/
stable main http://other.example/debian/
bookworm contrib http://contrib.example/debian/
bookworm main mirror+file:/etc/apt/mirrors
bookworm main https://mirror.example/debian/
bookworm main https://later.example/debian/
END
"""


def test_debian_comes_from_where_apt_gets_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, "apt-get", TARGETS)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert _debian._mirror() == ["https://mirror.example/debian/"]
    program(tmp_path, "apt-get", "exit 100")
    assert _debian._mirror() == []


def test_debian_comes_through_the_proxy_of_apt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = "echo \"http_proxy='http://proxy.example:3128'\"\necho \"https_proxy='DIRECT'\""
    program(tmp_path, "apt-config", answer)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert _debian._proxies() == {"http_proxy": "http://proxy.example:3128", "https_proxy": ""}
    program(tmp_path, "apt-config", "exit 1")
    assert _debian._proxies() == {}


def test_a_failure_of_debootstrap_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = tmp_path / "programs"
    program(programs, "setpriv", "echo I: Retrieving; echo E: Failed getting release file; exit 1")
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    (tmp_path / "place").mkdir()
    with pytest.raises(ToolError, match="E: Failed getting release file"):
        _debian.build(tmp_path / "place")
