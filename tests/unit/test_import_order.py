"""Imports point one way; CONTRIBUTING shows the order that the linter holds them to."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = ROOT / "pyproject.toml"
BACKWARDS = """
[importlinter]
root_package = mngen

[importlinter:contract:backwards]
name = Backwards
type = layers
layers =
    mngen.cluster
    mngen.rules
"""


def lint(config: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [program, "--no-cache", config],
        cwd=ROOT,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )


def test_imports_follow_the_order_of_the_packages() -> None:
    done = lint(PROJECT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 kept, 0 broken" in done.stdout


def test_an_import_against_the_order_is_found(tmp_path: Path) -> None:
    config = tmp_path / "backwards.ini"
    config.write_text(BACKWARDS, encoding="utf-8")
    done = lint(config)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "mngen.rules is not allowed to import mngen.cluster" in done.stdout


def test_contributing_shows_the_order() -> None:
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))
    (contract,) = project["tool"]["importlinter"]["contracts"]
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert "```text\n" + "\n".join(contract["layers"]) + "\n```\n" in page
