"""Code of modules in zip files is kept in a folder, and stands for the same source alone."""

from __future__ import annotations

import marshal
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

from tests.support.playbooks import keep_code

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A folder, and beside it the program that keeps code there."""
    return keep_code(tmp_path)


def said(kept: Path, source: str) -> str:
    """Return what a module says when a new Python imports it from a zip file."""
    archive = kept.parent / "modules.zip"
    with zipfile.ZipFile(archive, "w") as writer:
        writer.writestr("spoken.py", source)
    code = "import sys; sys.path.insert(0, sys.argv[1]); import spoken"
    done = subprocess.run(
        [sys.executable, "-c", code, archive],
        env={"PYTHONPATH": str(kept.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout


def test_the_same_source_is_compiled_once(kept: Path) -> None:
    assert said(kept, "print(1)") == "1\n"
    [file] = kept.iterdir()
    # Only root may write there: it is code.
    assert kept.stat().st_mode & 0o777 == 0o700
    file.write_bytes(marshal.dumps(compile("print('kept')", "spoken.py", "exec")))
    assert said(kept, "print(1)") == "kept\n"
    assert said(kept, "print(2)") == "2\n"
    assert len(list(kept.iterdir())) == 2


def test_who_cannot_write_there_compiles_it_each_time(kept: Path) -> None:
    kept.write_text("a file in its place", encoding="utf-8")
    assert said(kept, "print(1)") == "1\n"
    assert said(kept, "print(1)") == "1\n"
