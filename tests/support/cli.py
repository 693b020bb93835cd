"""Running the command line as a user does: in a separate process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# The console script of the environment that the tests run in.
CHECKOUT = (str(Path(sys.executable).with_name("mngen")),)

# Starts what follows with SIGINT ignored, as the background of a shell script does.
DEAF = ("sh", "-c", "trap '' INT; exec \"$@\"", "sh")


def mngen(
    *arguments: str,
    cwd: Path,
    program: Sequence[str] = CHECKOUT,
    env: dict[str, str] | None = None,
    timeout: float = 180,
) -> subprocess.CompletedProcess[str]:
    """Run mngen with no terminal and no standard input.

    Args:
        arguments: The command with its options.
        cwd: The folder to run in.
        program: How mngen is started; from this checkout by default.
        env: The whole environment; this process's own by default.
        timeout: Seconds after which it is killed.

    Raises:
        subprocess.TimeoutExpired: It took longer than ``timeout``.
    """
    return subprocess.run(
        [*program, *arguments],
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        # In a locale without UTF-8 too, click writes it.
        encoding="utf-8",
        timeout=timeout,
        check=False,
    )


def loads(module: str) -> tuple[str, ...]:
    """Return a program that runs mngen, and exits with 1 if that succeeds and loads a module."""
    script = (
        "import sys; from mngen.cli._main import run; code = run(sys.argv[1:]); "
        f"sys.exit(code or {module!r} in sys.modules)"
    )
    return (sys.executable, "-c", script)


def read_tree(root: Path) -> dict[str, bytes]:
    """Read every file below a folder, by its path relative to it."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }
