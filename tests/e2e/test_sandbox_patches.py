"""Patches of moto fit the version that is installed."""

from __future__ import annotations

import subprocess
import sys


def test_every_patch_fits_the_moto_that_is_installed() -> None:
    """In a process of its own, as the emulator is: the patches stay."""
    script = (
        "from mngen.sandbox.emulator._gaps import close_gaps\n"
        "from mngen.sandbox.machines._machines import Machines\n"
        "from moto.ec2.responses import EC2Response\n"
        "assert not hasattr(EC2Response, 'create_placement_group')\n"
        "close_gaps(Machines.__new__(Machines))\n"
        "assert hasattr(EC2Response, 'create_placement_group')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
