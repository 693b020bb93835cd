"""The outputs of jobs where nothing is uploaded: in a folder of the shared file system.

Without a bucket, the files of a job stay where its command has written them. A machine that has the
file system in the nodes' own place (a login node) copies them from there.
"""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from mngen.cluster import OUTPUTS_VARIABLE
from mngen.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from mngen.spec import Spec

_JOB = "{job}"


def folder_of(spec: Spec, job: str, variables: Iterable[Mapping[str, str]] | None) -> Path:
    """Returns the folder of a job's outputs on a shared file system of this machine.

    Args:
        spec: The deployment.
        job: ID of the job.
        variables: What each container of the job has in its environment; None if Batch no longer
            has a record of it: then the folders of the spec are tried that are named after a job.

    Raises:
        InputError: The job has no such folder, or it is not on this machine.
    """
    if variables is None:
        named = (each.outputs for each in spec.jobs.values() if each.outputs)
        paths = [each for each in named if _JOB in each]
        if not paths:
            raise InputError(
                f"AWS Batch has no record of job `{job}`, and no `outputs` in the spec contain "
                f"`{_JOB}`",
                hint="check the ID",
            )
    else:
        paths = [each[OUTPUTS_VARIABLE] for each in variables if OUTPUTS_VARIABLE in each]
        if not paths:
            raise InputError(
                f"job `{job}` was submitted without `outputs`",
                hint="add `outputs: /efs/runs/{job}` to the job in the spec, apply, and submit "
                "again",
            )
    folders = [each.replace(_JOB, folder_name(job)).rstrip("/") for each in dict.fromkeys(paths)]
    shared = {each: _mount_of(spec, each) for each in folders}
    if not any(shared.values()):
        raise InputError(
            f"the outputs of job `{job}` were in its container, in {folders[0]}, and are gone",
            hint="set `storage: {bucket: NAME}` in the spec, or choose a folder of the shared file "
            "system such as `outputs: /efs/runs/{job}`, then apply",
        )
    mounted = [each for each, mount in shared.items() if mount and Path(mount).is_mount()]
    if not mounted:
        path, mount = next((each, mount) for each, mount in shared.items() if mount)
        raise InputError(
            f"the outputs of job `{job}` are in {path}, and {mount} is not mounted on this machine",
            hint=f"run it where {mount} is mounted; jobs upload their outputs if the spec has a "
            "bucket: `storage: {bucket: NAME}`",
        )
    for each in mounted:
        if Path(each).is_dir():
            return Path(each)
    raise InputError(
        f"no folder {mounted[0]} with outputs of job `{job}`",
        hint=f"its command did not start (run mngen status {job}), or they were deleted",
    )


def folder_name(job: str) -> str:
    """Returns a job's ID as the name of a folder, as `container/mngen_wireup/plan.py` does."""
    return job.replace(":", "-")


def _mount_of(spec: Spec, path: str) -> str | None:
    """Returns the file system that a folder is on; None for the whole of it, and for any other."""
    if ".." in path.split("/"):
        return None
    return next((each for each in spec.storage.mounts if path.startswith(f"{each}/")), None)


def listed(folder: Path) -> tuple[dict[str, int], int]:
    """Returns the files of a folder with their sizes in bytes, and how many others are in it.

    Links are not followed, and neither they nor special files are copied, as in an upload.

    Args:
        folder: The folder.

    Raises:
        InputError: A folder cannot be read.
    """
    sizes: dict[str, int] = {}
    others = 0
    for each in _entries(folder):
        status = each.lstat()
        if stat.S_ISREG(status.st_mode):
            sizes[each.relative_to(folder).as_posix()] = status.st_size
        else:
            others += 1
    return dict(sorted(sizes.items())), others


def _entries(folder: Path) -> Iterator[Path]:
    """Yields all that is in a folder and those below it but folders."""

    def refuse(error: OSError) -> None:
        raise InputError(f"cannot read {error.filename}: {error.strerror}") from None

    for place, folders, names in os.walk(folder, onerror=refuse):
        for name in names:
            yield Path(place, name)
        yield from (link for name in folders if (link := Path(place, name)).is_symlink())


def copy_all(source: Path, target: Path, names: Iterable[str], on_file: Callable[[], None]) -> None:
    """Copies files to a folder. Until one is complete, it is smaller.

    Args:
        source: The folder that they are in.
        target: The folder to copy them to, with all folders that they need.
        names: Their paths below both.
        on_file: Is called after each.

    Raises:
        InputError: A file cannot be read.
        OSError: One cannot be written.
    """
    for name in names:
        try:
            readable = (source / name).open("rb")
        except OSError as error:
            raise InputError(f"cannot read {source / name}: {error.strerror}") from None
        with readable, (target / name).open("wb") as written:
            shutil.copyfileobj(readable, written)
        shutil.copystat(source / name, target / name)
        on_file()
