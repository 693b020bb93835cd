"""Hides programs from a command: in their places it sees files that cannot be run.

Changing PATH would not do: nodes of a rehearsal have their own, and sshd is also looked for in the
system's folders. As root, a file without content or permissions is mounted over each program in a
mount namespace of the command's own.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mngen.parts import NODE_PATH, PARTS, Module, Program

if TYPE_CHECKING:
    from collections.abc import Iterable

_MOUNT = """
set -e
while [ "$1" != -- ]; do
  if [ -d "$1" ]; then mount -t tmpfs none "$1"; else mount --bind /dev/null "$1"; fi
  shift
done
shift
"""
_BESIDE = Path(sys.executable).parent
_FOLDERS = f"{NODE_PATH}:{os.defpath}"


def programs_of(parts: Iterable[str]) -> list[Path]:
    """Return where programs of these parts are: on PATH, beside Python, in the usual folders."""
    names = {
        each.name for name in parts for each in PARTS[name].found_by if isinstance(each, Program)
    }
    folders = dict.fromkeys([str(_BESIDE), *os.get_exec_path(), *_FOLDERS.split(":")])
    found = (Path(folder, name) for folder in folders for name in sorted(names))
    # A link leads to what is mounted over: several names may share it. What mounts goes last.
    places = {path.resolve() for path in found if os.access(path, os.X_OK)}
    return sorted(places, key=lambda path: (path.name == "mount", path))


def modules_of(parts: Iterable[str]) -> list[Path]:
    """Return the folders that nodes' Python modules of these parts are loaded from."""
    names = [
        each.name.partition(".")[0]
        for name in parts
        for each in PARTS[name].found_by
        if isinstance(each, Module) and each.in_nodes
    ]
    libraries = Path("/usr/lib/python3/dist-packages")
    return [path for name in names if (path := libraries / name).is_dir()]


def hiding(parts: Iterable[str], *command: str) -> tuple[str, ...]:
    """Return a command line that runs a command, which sees none of these parts; as root.

    Args:
        parts: Names of parts; what cannot be hidden, such as abilities, is left.
        command: The command.
    """
    names = list(parts)
    unshare = shutil.which("unshare")
    assert unshare is not None
    places = [str(path) for path in (*modules_of(names), *programs_of(names))]
    return (unshare, "--mount", "sh", "-c", f'{_MOUNT}exec "$@"', "sh", *places, "--", *command)
