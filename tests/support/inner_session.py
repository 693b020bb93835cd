"""A session of pytest within a test, to try what `tests.conftest` gives and demands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]


def inner_session(
    folder: Path, text: str, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the tests of one file as those of this project are run.

    Args:
        folder: Where the file is written, and where the folder `temporary` holds what its tests
            write.
        text: The file.
        arguments: Further ones of pytest.
        environment: Variables to set.

    Raises:
        subprocess.TimeoutExpired: It took longer than five minutes.
    """
    (folder / "test_inner.py").write_text(text, encoding="utf-8")
    outer = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", f"--config-file={_ROOT / 'pyproject.toml'}"]
    # In the common folder it would at last remove what earlier sessions have left, however much.
    command += ["-p", "tests.conftest", f"--basetemp={folder / 'temporary'}"]
    return subprocess.run(
        [*command, *arguments, str(folder)],
        cwd=_ROOT,
        env={**outer, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
