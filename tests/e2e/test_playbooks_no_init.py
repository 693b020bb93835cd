"""The playbooks on an emulated instance without an init, as where systemd-nspawn is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.cluster import BUILDER_USER_DATA
from tests.support.machines import booted
from tests.support.needs import skip_without
from tests.support.playbooks import play, variables

if TYPE_CHECKING:
    from pathlib import Path

# That of the demo; what is another's own, the bakes with an init show.
BASE = "amazon-linux-2023"


def test_it_is_baked_from_what_a_builder_starts_with(tmp_path: Path) -> None:
    skip_without("machines", "playbook")
    folder = tmp_path / "machine"
    folder.mkdir()
    data = BUILDER_USER_DATA.encode()
    with booted(folder, BASE, user_data=data, init=False) as machine:
        done = play(tmp_path, variables(BASE), machine=machine)
        assert done.code == 0, done.output
    assert "nr_cpus=48" in machine.read("/etc/default/grub")
    assert "there is no init on this machine" in (machine.console).read_text(encoding="utf-8")
