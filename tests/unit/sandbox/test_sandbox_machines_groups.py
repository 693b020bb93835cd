"""Control groups of machines: those of machines that run stay, even while they hold no process."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from mngen.sandbox.machines._address import claim_address, unclaimed
from mngen.sandbox.machines._groups import group_name, remove_abandoned_groups, remove_groups

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest


def _tops(folder: Path, *ips: str) -> tuple[Path, Path]:
    tops = (folder / "unified", folder / "systemd")
    for top in tops:
        (top / "user.slice").mkdir(parents=True)
        for ip in ips:
            (top / group_name(ip) / "payload" / "init.scope").mkdir(parents=True)
    return tops


def test_only_groups_of_machines_that_are_gone_are_removed(tmp_path: Path) -> None:
    running, gone = claim_address(), claim_address()
    gone.release()
    tops = _tops(tmp_path, running.ip, gone.ip)
    remove_abandoned_groups(tops)
    for top in tops:
        assert {each.name for each in top.iterdir()} == {"user.slice", group_name(running.ip)}
        assert (top / group_name(running.ip) / "payload" / "init.scope").is_dir()
    running.release()
    remove_abandoned_groups(tops)
    assert [each.name for top in tops for each in top.iterdir()] == ["user.slice"] * 2


def test_groups_of_one_machine_are_removed_whole(tmp_path: Path) -> None:
    tops = _tops(tmp_path, "127.64.0.9", "127.64.0.90")
    remove_groups("127.64.0.9", tops)
    for top in tops:
        assert {each.name for each in top.iterdir()} == {"user.slice", group_name("127.64.0.90")}


def test_groups_that_another_sandbox_removes_meanwhile_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tops = _tops(tmp_path, "127.64.0.9")
    scandir = os.scandir

    def removed_before(path: str | int) -> Iterator[os.DirEntry[str]]:
        if isinstance(path, str) and path.endswith("payload"):
            shutil.rmtree(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", removed_before)
    remove_groups("127.64.0.9", tops)
    for top in tops:
        assert {each.name for each in top.iterdir()} == {"user.slice"}


def test_an_address_is_claimed_until_it_is_released() -> None:
    address = claim_address()
    with unclaimed(address.ip) as free:
        assert not free
    address.release()
    with unclaimed(address.ip) as free:
        assert free
        with unclaimed(address.ip) as twice:
            assert not twice
