"""The rule that nothing is skipped in CI, tried on a test session of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.inner_session import inner_session

if TYPE_CHECKING:
    from pathlib import Path

TESTS = """
import pytest

def test_runs() -> None:
    assert 1 + 1 == 2

@pytest.mark.skipif({skipped}, reason="no such tool here")
def test_may_be_skipped() -> None:
    assert 2 + 2 == 4
"""


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_skipped_test_fails_the_session_and_is_named(workers: str, tmp_path: Path) -> None:
    text = TESTS.format(skipped=True)
    done = inner_session(tmp_path, text, "-n", workers, MNGEN_NO_SKIP="1")
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "test_inner.py::test_may_be_skipped: no such tool here" in done.stdout
    assert "1 passed, 1 skipped" in done.stdout


def test_a_session_without_skips_passes(tmp_path: Path) -> None:
    done = inner_session(tmp_path, TESTS.format(skipped=False), MNGEN_NO_SKIP="1")
    assert (done.returncode, done.stderr) == (0, "")
    assert "2 passed" in done.stdout


def test_elsewhere_a_skip_is_only_listed(tmp_path: Path) -> None:
    done = inner_session(tmp_path, TESTS.format(skipped=True), MNGEN_NO_SKIP="")
    assert done.returncode == 0
    assert "no such tool here" in done.stdout
