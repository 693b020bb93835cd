"""What system this is, as far as installing packages goes."""

from __future__ import annotations

import os
import platform
import shutil
import sys

from mngen.parts._judge import System
from mngen.parts._table import Family

_FAMILIES = {
    "amzn": Family.AMAZON,
    "debian": Family.DEBIAN,
    "ubuntu": Family.DEBIAN,
    "fedora": Family.FEDORA,
    "rhel": Family.FEDORA,
}


def this_system() -> System:
    """Returns what system this is."""
    return System(
        family=_family(),
        root=os.geteuid() == 0,
        apt=shutil.which("apt-get") is not None,
    )


def _family() -> Family | None:
    if sys.platform == "darwin":
        return Family.HOMEBREW
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return None
    return family_of(release.get("ID", ""), release.get("ID_LIKE", ""))


def family_of(name: str, like: str) -> Family | None:
    """Returns the family of a system.

    Source: https://www.freedesktop.org/software/systemd/man/latest/os-release.html

    Args:
        name: `ID` of its os-release file.
        like: `ID_LIKE`: systems that it is like, the closest first.
    """
    names = (name, *like.split())
    return next((_FAMILIES[each] for each in names if each in _FAMILIES), None)
