"""The wheel, installed away from the checkout, is the same mngen."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.cli import read_tree
from tests.support.wheel import ROOT, build_wheel, run

EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))


def test_the_installed_package_is_not_the_checkout(installed: Path) -> None:
    found = run(installed / "bin" / "python", "-c", "import mngen; print(mngen.__file__)")
    assert Path(found.strip()).is_relative_to(installed)


# Renders all examples in one process: to start another for each takes longer than that.
RENDER = """
import sys
from mngen.cli._main import run
sys.exit(any(run(["render", "--file", file, "--provider", provider, "--out", f"{name}-{provider}"])
             for name, file in zip(sys.argv[1::2], sys.argv[2::2]) for provider in ("5", "6")))
"""


@pytest.fixture(scope="module")
def rendered(
    installed: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """What this checkout makes of all examples, and what the wheel does."""
    words = [word for each in EXAMPLES for word in (each.stem, str(each))]
    trees = []
    for python in (Path(sys.executable), installed / "bin" / "python"):
        folder = tmp_path_factory.mktemp("rendered")
        run(python, "-c", RENDER, *words, cwd=folder)
        trees.append(read_tree(folder))
    return trees[0], trees[1]


@pytest.mark.parametrize("provider", ["5", "6"])
@pytest.mark.parametrize("example", [each.stem for each in EXAMPLES])
def test_it_renders_the_same_bytes(
    example: str, provider: str, rendered: tuple[dict[str, bytes], dict[str, bytes]]
) -> None:
    here, there = (
        {name: text for name, text in tree.items() if name.startswith(f"{example}-{provider}/")}
        for tree in rendered
    )
    assert here
    assert there == here


def test_the_source_archive_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", tmp_path)
    (archive,) = tmp_path.glob("mngen-*.tar.gz")
    again = build_wheel(archive, tmp_path / "wheel")
    with zipfile.ZipFile(wheel) as first, zipfile.ZipFile(again) as second:
        assert {name: second.read(name) for name in second.namelist()} == {
            name: first.read(name) for name in first.namelist()
        }
