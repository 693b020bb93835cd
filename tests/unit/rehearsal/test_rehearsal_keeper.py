"""The process that nodes live in, as far as it shows without one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import mngen

_SCRIPT = """\
import json, sys
sys.path.insert(0, sys.argv[1])
from mngen.rehearsal import _keeper
print(json.dumps(sorted(sys.modules)))
"""


def test_it_starts_with_few_modules() -> None:
    """Each rehearsal waits for that; what the commands import takes longer than all else."""
    # Without the site's packages: one that measures coverage would load modules of its own.
    command = [sys.executable, "-IS", "-c", _SCRIPT, str(Path(mngen.__file__).parents[1])]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded: list[str] = json.loads(done.stdout)
    own = ("_keeper", "_linux", "_network", "_node", "_root")
    assert [name for name in loaded if name.partition(".")[0] == "mngen"] == [
        *("mngen", "mngen._later", "mngen._version", "mngen.rehearsal"),
        *(f"mngen.rehearsal.{name}" for name in own),
    ]
    assert not {"dataclasses", "logging"} & set(loaded)
