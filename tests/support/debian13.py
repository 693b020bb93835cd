"""Debian 13: OpenSSH 10 and Open MPI 5, as the base that the Dockerfile takes by default has them.

Made by debootstrap once, and kept in the user's cache folder, under a name that follows from all
that it is made of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.sandbox.machines import _debian, _kept
from mngen.sandbox.machines._root import _cache, _digest, _locked, _make

if TYPE_CHECKING:
    from pathlib import Path

SUITE = "trixie"
# What the Dockerfile installs but for sshd, whose installation makes host keys: the test's build
# then fetches one package, and not a hundred megabytes each time.
_PACKAGES = ("ca-certificates", "openmpi-bin", "python3-mpi4py", "tini")


def debian13() -> Path:
    """Returns the folder; the first call makes it, which takes a minute or two and 600 MB.

    Nothing may write to it.

    Raises:
        ToolError: debootstrap failed.
    """
    # Not among the machines' own, which those who need one would have to wait for.
    folder = _cache().with_name("debian13")
    folder.mkdir(mode=0o700, exist_ok=True)
    place = folder / f"{SUITE}-{_digest(_debian.RECIPE, SUITE, *_PACKAGES)}"
    with _locked(folder):
        new = not place.is_dir()
        _make(place, lambda made: _debian.build(made, _PACKAGES, suite=SUITE))
        _kept.hold(place)
        if new:
            _kept.remove_unused(folder)
    return place
