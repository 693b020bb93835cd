"""What is read of processes, by the kernel's own account of real ones.

Layout: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from tests.support.deploy import wait_until
from tests.support.processes import children_of, state_of

if TYPE_CHECKING:
    from pathlib import Path


def test_a_process_is_known_whatever_its_name_is(tmp_path: Path) -> None:
    found = shutil.which("sleep")
    assert found is not None
    program = shutil.copy(found, tmp_path / "a) Z 1 (b")
    with subprocess.Popen([program, "600"]) as process:
        wait_until(lambda: state_of(process.pid) == "S", "it to sleep")
        assert process.pid in children_of(os.getpid())
        assert children_of(process.pid) == []
        process.kill()
        wait_until(lambda: state_of(process.pid) == "Z", "its end")
        assert process.pid in children_of(os.getpid())
    assert state_of(process.pid) == ""
    assert process.pid not in children_of(os.getpid())
