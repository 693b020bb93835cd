"""The wheel, installed away from the checkout, is the same mngen."""

from __future__ import annotations

import shutil
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.cli import CHECKOUT, mngen, read_tree
from tests.support.wheel import ROOT, build_wheel, run

EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))

# Built and installed once, by one worker.
pytestmark = pytest.mark.xdist_group("wheel")


def test_the_installed_package_is_not_the_checkout(installed: Path) -> None:
    found = run(installed / "bin" / "python", "-c", "import mngen; print(mngen.__file__)")
    assert Path(found.strip()).is_relative_to(installed)


@pytest.mark.parametrize("provider", ["5", "6"])
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_it_renders_the_same_bytes(
    example: Path, provider: str, installed: Path, tmp_path: Path
) -> None:
    shutil.copy(example, tmp_path / "mngen.yaml")
    arguments = ("render", "--file", "mngen.yaml", "--provider", provider, "--out")
    console_script = (str(installed / "bin" / "mngen"),)
    for out, program in (("here", CHECKOUT), ("there", console_script)):
        done = mngen(*arguments, out, cwd=tmp_path, program=program)
        assert done.returncode == 0, done.stderr
    here = read_tree(tmp_path / "here")
    assert here
    assert read_tree(tmp_path / "there") == here


def test_the_source_archive_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", tmp_path)
    (archive,) = tmp_path.glob("mngen-*.tar.gz")
    again = build_wheel(archive, tmp_path / "wheel")
    with zipfile.ZipFile(wheel) as first, zipfile.ZipFile(again) as second:
        assert {name: second.read(name) for name in second.namelist()} == {
            name: first.read(name) for name in first.namelist()
        }
