"""Running Terraform's program as it is, without mngen."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def terraform(
    folder: Path, env: Mapping[str, str], *arguments: str, seconds: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run a command of Terraform, with no terminal and no standard input.

    Args:
        folder: The folder to run in.
        env: The whole environment.
        arguments: The command with its options.
        seconds: How long it may take on a busy machine.

    Raises:
        subprocess.TimeoutExpired: It took longer.
    """
    return subprocess.run(
        ["terraform", *arguments],
        cwd=folder,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
