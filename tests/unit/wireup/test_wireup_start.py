"""What the wire-up does with an environment that it cannot use."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.support.wireup import CONTAINER


def test_wrong_environment_ends_at_once() -> None:
    done = subprocess.run(
        [sys.executable, "-IS", str(CONTAINER / "wireup.py")],
        env={**os.environ, "MNGEN_LAUNCHER": "slurm", "AWS_BATCH_JOB_NODE_INDEX": "7"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 64
    lines = done.stderr.splitlines()
    assert lines[0].startswith("mngen[7] +0.0")
    assert "error: " in lines[0]
    assert lines[1].endswith("end: exit 64")
    assert done.stdout == ""
