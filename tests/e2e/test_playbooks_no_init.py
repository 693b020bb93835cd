"""The playbooks on an emulated instance without an init, as where systemd-nspawn is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mngen.cluster import BUILDER_USER_DATA
from tests.support.machines import booted
from tests.support.needs import skip_without
from tests.support.playbooks import play, variables

if TYPE_CHECKING:
    from pathlib import Path

BASES = ("amazon-linux-2023", "amazon-linux-2")


@pytest.mark.parametrize("base", BASES)
def test_it_is_baked_from_what_a_builder_starts_with(base: str, tmp_path: Path) -> None:
    skip_without("machines", "playbook")
    folder = tmp_path / "machine"
    folder.mkdir()
    data = BUILDER_USER_DATA.encode()
    with booted(folder, base, user_data=data, init=False) as machine:
        done = play(tmp_path, variables(base), machine=machine)
        assert done.code == 0, done.output
    assert "nr_cpus=48" in machine.read("/etc/default/grub")
    assert "there is no init on this machine" in (machine.console).read_text(encoding="utf-8")
