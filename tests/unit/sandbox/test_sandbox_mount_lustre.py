"""The stand-in for mount.lustre takes and refuses the options that the real one does.

Expected values: lustre/lustre-release 2.15, lustre/utils/mount_lustre.c (opt_map, the words of
errors) and lustre/llite/llite_lib.c (ll_sbi_flags_name); the options of Amazon's own line for
/etc/fstab:
https://docs.aws.amazon.com/fsx/latest/LustreGuide/mount-fs-auto-mount-onreboot.html.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from mngen._resources import playbooks
from mngen.sandbox.machines.stand_ins import mount_lustre

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = "fs-0123456789abcdef0.fsx.us-east-1.amazonaws.com@tcp:/abcd1234"


def run(source: str, target: Path, options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, mount_lustre.__file__, source, target, "-o", options],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("options", "refused"),
    [
        ("defaults,noatime,flock,_netdev", []),
        ("defaults,relatime,flock,_netdev", []),
        ("rw,noatime,flock", []),
        ("localflock,user_xattr,retry=3", []),
        # What mount(8) does not pass on, and systemd reads.
        ("flock,x-systemd.automount", ["x-systemd.automount"]),
        ("tls,flock", ["tls"]),
        ("nfsvers=4.1", ["nfsvers=4.1"]),
    ],
)
def test_options_that_the_client_does_not_know(options: str, refused: list[str]) -> None:
    assert mount_lustre.unknown(options.split(",")) == refused


def test_the_playbooks_write_amazons_line() -> None:
    text = (playbooks() / "roles" / "fsx" / "defaults" / "main.yml").read_text()
    assert "fsx_options: defaults,noatime,flock,_netdev\n" in text
    assert '"{{ mngen_fsx_dns_name }}@tcp:/{{ mngen_fsx_mount_name }}"' in text


@pytest.mark.parametrize("source", ["fs-0123456789abcdef0:/", "abcd1234", "10.0.0.5:/abcd1234"])
def test_a_source_that_names_no_server_is_refused(source: str, tmp_path: Path) -> None:
    done = run(source, tmp_path, "flock")
    assert done.returncode == 22
    assert f"Can't parse NID '{source}'" in done.stderr


def test_an_unknown_option_is_an_error_of_the_client(tmp_path: Path) -> None:
    done = run(SOURCE, tmp_path, "flock,tls")
    assert done.returncode == 22
    assert f"mount {SOURCE} at {tmp_path} failed: Invalid argument" in done.stderr
    assert "Is 'abcd1234' the correct filesystem name?" in done.stderr


@pytest.mark.skipif(mount_lustre.STORE.is_dir(), reason="this computer has a folder /srv/fsx")
def test_without_a_server_the_error_is_that_of_the_management_service(tmp_path: Path) -> None:
    done = run(SOURCE, tmp_path, "defaults,noatime,flock,_netdev")
    assert done.returncode == 5
    assert "Is the MGS running?" in done.stderr
