"""The wheel, built and installed away from the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run(*command: str | Path, cwd: Path = ROOT) -> str:
    """Run a program in a folder, by default the checkout, and return what it prints."""
    # Without the variables of the test session: what is installed must not lean on them.
    env = {name: text for name, text in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        command,
        cwd=cwd,
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


def install_wheel(wheel: Path, folder: Path) -> Path:
    """Make an environment with a wheel, and with the dependencies that this one has."""
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
