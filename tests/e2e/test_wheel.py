"""The wheel, installed away from the checkout, is the same mngen."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.support.cli import CHECKOUT, mngen, read_tree

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))


def run(*command: str | Path) -> str:
    # Without the variables of the test session: what is installed must not lean on them.
    env = {name: text for name, text in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def build_wheel(source: Path, folder: Path) -> Path:
    """Build with the backend from the lock, so that nothing is downloaded."""
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check")
    run(sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", folder, source)
    (wheel,) = folder.glob("mngen-*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel, and with the dependencies that this one has."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    options = ("--no-deps", "--no-index", "--disable-pip-version-check")
    python = folder / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", *options, wheel)
    # A folder that a .pth names is searched, but its own .pth files are not read: the checkout,
    # which is on this environment's path through such a file, stays out.
    libraries = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    (libraries / "dependencies.pth").write_text(
        f"{sysconfig.get_path('purelib')}\n{sysconfig.get_path('platlib')}\n", encoding="utf-8"
    )
    return folder


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
