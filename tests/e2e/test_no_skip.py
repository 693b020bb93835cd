"""The rule that nothing is skipped in CI, tried on a test session of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

TESTS = """
import pytest

def test_runs() -> None:
    assert 1 + 1 == 2

@pytest.mark.skipif({skipped}, reason="no such tool here")
def test_may_be_skipped() -> None:
    assert 2 + 2 == 4
"""


def session(
    folder: Path, *, skipped: bool, no_skip: str, xdist: bool
) -> subprocess.CompletedProcess[str]:
    (folder / "test_inner.py").write_text(TESTS.format(skipped=skipped), encoding="utf-8")
    env = {name: text for name, text in os.environ.items() if not name.startswith("PYTEST_")}
    arguments = ["-p", "tests.conftest", *(["-n", "1"] if xdist else []), str(folder)]
    # Else it would remove at its end what earlier sessions have left, however much that is.
    arguments.append(f"--basetemp={folder / 'temporary'}")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "--config-file", str(ROOT / "pyproject.toml"), *arguments],
        cwd=ROOT,
        env={**env, "MNGEN_NO_SKIP": no_skip},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize("xdist", [False, True])
def test_a_skipped_test_fails_the_session_and_is_named(xdist: bool, tmp_path: Path) -> None:
    done = session(tmp_path, skipped=True, no_skip="1", xdist=xdist)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "test_inner.py::test_may_be_skipped: no such tool here" in done.stdout
    assert "1 passed, 1 skipped" in done.stdout


def test_a_session_without_skips_passes(tmp_path: Path) -> None:
    done = session(tmp_path, skipped=False, no_skip="1", xdist=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "2 passed" in done.stdout


def test_elsewhere_a_skip_is_only_listed(tmp_path: Path) -> None:
    done = session(tmp_path, skipped=True, no_skip="", xdist=False)
    assert done.returncode == 0
    assert "no such tool here" in done.stdout
