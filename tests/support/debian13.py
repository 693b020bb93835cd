"""Debian 13: OpenSSH 10 and Open MPI 5, as the base that the Dockerfile takes by default has them.

Made by debootstrap once, and kept in the user's cache folder, under a name that follows from all
that it is made of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.sandbox.machines import _debian
from tests.support.kept import kept_folder

if TYPE_CHECKING:
    from pathlib import Path

SUITE = "trixie"
# What the Dockerfile installs but for sshd, whose installation makes host keys: the test's build
# then installs one package, and not a hundred megabytes each time.
_PACKAGES = ("ca-certificates", "openmpi-bin", "python3-mpi4py", "tini")


def debian13() -> Path:
    """Returns the folder; the first call makes it, which takes a minute or two and 600 MB.

    Nothing may write to it.

    Raises:
        ToolError: debootstrap failed.
    """
    recipe = (_debian.RECIPE, SUITE, *_PACKAGES)
    return kept_folder(
        "debian13", SUITE, recipe, lambda made: _debian.build(made, _PACKAGES, suite=SUITE)
    )
