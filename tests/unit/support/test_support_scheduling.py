"""How the kernel schedules the tests, and all that they start."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.skipif(sys.platform != "linux", reason="the policy is one of Linux")
def test_what_a_test_starts_is_scheduled_as_batch() -> None:
    script = "import os; print(os.sched_getscheduler(0) == os.SCHED_BATCH)"
    started = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    if os.sched_getscheduler(0) == os.SCHED_OTHER:
        pytest.skip("this system refuses another policy")
    assert started.stdout == "True\n"
