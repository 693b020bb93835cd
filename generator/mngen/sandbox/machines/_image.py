"""What an AMI holds that was made of a machine of the sandbox, and how to look into it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from mngen.errors import InputError, ToolError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_END_SECONDS = 20.0
_ENTRIES = "boot/loader/entries"
_GRUB_CFG = "boot/grub2/grub.cfg"
_LIMIT = re.compile(r"(?<!\S)nr_cpus=(\d+)(?!\S)")

# The mount is in its own namespace and ends with its keeper, which ends with this process.
_VIEW = """
set -e
mount -t overlay overlay -o "ro,lowerdir=$LOWER" view
echo ready
exec cat >/dev/null
"""


class Images:
    """The disks that AMIs keep, in a sandbox's home.

    `<home>/images/<ami-id>` is an overlay's upper folder, and `<ami-id>.json` beside it has what
    lies below: the disks of the AMIs that it was made from, and the base at the bottom.
    """

    def __init__(self, home: Path) -> None:
        self._folder = home / "images"

    def folder(self, ami_id: str) -> Path:
        """Returns where the AMI's disk is kept.

        Raises:
            InputError: The AMI was not made of a machine of the sandbox, or is not available yet.
        """
        folder = self._folder / ami_id
        if not self._record(ami_id).exists() or not folder.is_dir():
            raise InputError(f"the sandbox keeps no disk of the image {ami_id}")
        return folder

    def layers(self, ami_id: str) -> tuple[Path, ...]:
        """Returns the folders that make up the AMI's file system, topmost first.

        Raises:
            InputError: As `folder`.
        """
        folder = self.folder(ami_id)
        below = json.loads(self._record(ami_id).read_text(encoding="utf-8"))
        return (folder, *map(Path, below))

    def place(self, ami_id: str) -> Path:
        """Returns where to put the disk of a new AMI."""
        self._folder.mkdir(exist_ok=True)
        return self._folder / ami_id

    def record(self, ami_id: str, below: Sequence[Path]) -> None:
        """Completes an AMI whose disk is in its place."""
        text = json.dumps([str(path) for path in below])
        self._record(ami_id).write_text(text, encoding="utf-8")

    def remove(self, ami_id: str) -> None:
        """Removes the AMI's disk."""
        self._record(ami_id).unlink(missing_ok=True)
        shutil.rmtree(self._folder / ami_id, ignore_errors=True)

    def clear(self) -> None:
        """Removes all disks."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def kept(self) -> list[str]:
        """Lists the AMIs whose disks are complete."""
        return sorted(path.stem for path in self._folder.glob("*.json"))

    def _record(self, ami_id: str) -> Path:
        return self._folder / f"{ami_id}.json"


def kernel_limit(layers: Sequence[Path]) -> int | None:
    """Returns the `nr_cpus` that the kernel of an image starts with; None for no limit.

    The boot loader starts the newest kernel: of the boot entries of Amazon Linux 2023 the one whose
    file comes last by its version, of those in grub.cfg on Amazon Linux 2 the first. Of several
    limits the kernel heeds the lowest, and none of 0.

    Args:
        layers: The folders that make up the image's file system, topmost first.

    Sources: grubby 8.40 (`sort -Vr` of the entries' names); Linux, `nrcpus` in kernel/smp.c.
    """
    entries: dict[str, Path] = {}
    for layer in reversed(layers):
        for path in (layer / _ENTRIES).glob("*.conf"):
            entries[path.name] = path
    # A whiteout of the overlay hides what is below it.
    there = sorted((name for name, path in entries.items() if path.is_file()), key=_by_version)
    if there:
        lines = re.findall(r"^options\s(.*)$", entries[there[-1]].read_text(), re.MULTILINE)
    else:
        found = next((path for layer in layers if (path := layer / _GRUB_CFG).is_file()), None)
        text = found.read_text() if found else ""
        lines = re.findall(r"^\s*linux\s(.*)$", text, re.MULTILINE)
    limits = [int(limit) for limit in _LIMIT.findall(lines[0])] if lines else []
    return min((limit for limit in limits if limit), default=None)


def _by_version(name: str) -> list[tuple[int, str]]:
    """Orders names as `sort -V`: runs of digits by their number."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


@contextmanager
def mounted(layers: Sequence[Path]) -> Iterator[Path]:
    """Shows the file system that layers make up together, to be read only. Needs root.

    Symbolic links in it that begin with `/` lead to this computer's own files, not to the image's:
    read those with `chroot`, or with `os.readlink`.

    Args:
        layers: Folders, topmost first.

    Yields:
        Its root.

    Raises:
        ToolError: It cannot be mounted.
    """
    with TemporaryDirectory(prefix="mngen-view-") as name:
        folder = Path(name)
        (folder / "view").mkdir()
        links = [folder / f"lower{number}" for number in range(len(layers))]
        for link, layer in zip(links, layers, strict=True):
            link.symlink_to(layer)
        keeper = subprocess.Popen(
            ["unshare", "--mount", "/bin/sh", "-c", _VIEW],
            cwd=folder,
            env={
                "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                "LOWER": ":".join(link.name for link in links),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            if keeper.stdout is None or keeper.stdout.readline() != b"ready\n":
                _, complaint = keeper.communicate(timeout=_END_SECONDS)
                raise ToolError(f"cannot show the image: {complaint.decode().strip()}")
            yield Path(f"/proc/{keeper.pid}/root") / folder.relative_to("/") / "view"
        finally:
            if keeper.stdin is not None:
                keeper.stdin.close()
            keeper.wait(_END_SECONDS)
            for pipe in (keeper.stdout, keeper.stderr):
                if pipe is not None:
                    pipe.close()
