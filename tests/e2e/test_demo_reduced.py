"""`mngen demo` where nothing optional is installed: it says so first, and ends with success."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.parts import PARTS
from tests.support.cli import CHECKOUT
from tests.support.deploy import started
from tests.support.hidden import hiding
from tests.support.needs import skip_without

if TYPE_CHECKING:
    from pathlib import Path

MINUTES = 2400.0
# Without these there is no demo, or no Python to run it with.
KEPT = {"terraform", "terraform-program", "node-python", "bash", "venv"}


def test_every_optional_part_may_be_missing(tmp_path: Path, narrow_env: dict[str, str]) -> None:
    skip_without("sandbox", "root", "unshare", "mount")
    # Ansible stands beside this Python, and is hidden with all else.
    command = hiding(set(PARTS) - KEPT, *CHECKOUT, "demo", "--keep", "kept")
    with started(*command[1:], cwd=tmp_path, env=narrow_env, program=command[:1]) as running:
        assert running.process.wait(MINUTES) == 0, running.text
        text = running.text
    plan = text[: text.index("── 1/9 ")]
    assert plan.startswith("9 steps, about 3 min left:\n  1 check the spec\n")
    assert "  4 bake the AMIs: AMIs are copied from their base, not baked; " in plan
    assert "  5 build the container image: the container image is not built; no container" in plan
    assert "  8 rehearse it on this machine: the job is not rehearsed with real MPI; " in plan
    for part in ("debootstrap", "sshd", "mpirun", "ip", "mpi4py", "ansible"):
        assert PARTS[part].title in plan, part
    # At the end each step says the same, and what could be built was.
    assert "│ copied " in text
    assert "│ not built: no container engine is installed" in text
    assert "│ not here: cannot rehearse the job of the demo; missing: " in text
    assert text.count("│ VALID") == 4
    assert "│ 0 resources left " in text
    assert (tmp_path / "kept" / "demo.log").is_file()
