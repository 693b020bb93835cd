"""Bringing files to where a job finds them: the shared file system, or the spec's bucket.

Where this machine has the file system mounted in the nodes' own place (a login node), files are
copied there, and the job needs nothing more. From anywhere else they go into the bucket, which a
container reads with the rights of the job's role (`roles.job_policies`) and a program for S3.

The place is named after the content, so the same files are the same place: to repeat an upload
changes nothing, and a changed file makes another submission.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from mngen.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from io import BufferedReader

    from mypy_boto3_s3.client import S3Client

    from mngen.spec import Spec

VARIABLE = "MNGEN_INPUTS"
"""The variable that tells a job where its inputs are; `{inputs}` in the command does as well."""

_FOLDER = "mngen-inputs"
_LARGEST_OBJECT = 5 * 1024**3
"""Bytes of one PutObject.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/upload-objects.html
"""


class Inputs(Struct, frozen=True):
    """Files to be brought to a job.

    Attributes:
        files: The files, with the paths that they will have below `location`.
        location: Where they will be: a folder of the shared file system, or `s3://…/`.
    """

    files: tuple[tuple[str, Path], ...]
    location: str


def find(spec: Spec, path: Path) -> Inputs:
    """Returns the files at a path, and where a job would find them; brings nothing yet.

    Args:
        spec: The deployment.
        path: A file, or a folder with all that is in it.

    Raises:
        InputError: There are no files, they cannot be read, or there is no place for them.
    """
    if path.is_dir():
        found = sorted(each for each in path.rglob("*") if each.is_file())
        files = tuple((each.relative_to(path).as_posix(), each) for each in found)
    else:
        files = ((path.name, path),)
    if not files:
        raise InputError(f"{path} holds no files")
    digest = _digest(files)
    mount = Path(spec.storage.efs.mount)
    if mount.is_mount():
        return Inputs(files, f"{mount}/{_FOLDER}/{spec.name}/{digest}")
    bucket = spec.storage.bucket
    if bucket is None:
        raise InputError(
            f"there is no place for {path}: {mount} is not mounted on this machine, and the spec "
            "names no bucket",
            hint=f"run it where {mount} is mounted, or write `storage: {{bucket: NAME}}` into the "
            "spec, an S3 bucket that there is already",
        )
    for name, file in files:
        if file.stat().st_size > _LARGEST_OBJECT:
            raise InputError(
                f"{name} is larger than 5 GiB", hint="copy it with `aws s3 cp`, which takes parts"
            )
    return Inputs(files, f"s3://{bucket}/mngen/{spec.name}/inputs/{digest}/")


def bring(
    inputs: Inputs,
    s3: Callable[[], S3Client],
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Brings files to their place.

    Args:
        inputs: The files.
        s3: Makes a client, if the place is a bucket.
        progress: Is called with how many files are there, and of how many.

    Raises:
        InputError: A file cannot be read, or the shared file system cannot be written.
        botocore.exceptions.ClientError: AWS refused.
    """
    tell = progress or (lambda _done, _total: None)
    if inputs.location.startswith("s3://"):
        bucket, _, prefix = inputs.location.removeprefix("s3://").partition("/")
        client = s3()
        for number, (name, file) in enumerate(inputs.files, start=1):
            # Some of botocore's errors are an OSError too, so only the opening is guarded.
            with _opened(file) as body:
                client.put_object(Bucket=bucket, Key=prefix + name, Body=body)
            tell(number, len(inputs.files))
        return
    try:
        _copy(inputs, Path(inputs.location), tell)
    except OSError as error:
        raise InputError(f"{inputs.location} cannot be written: {error.strerror}") from None


def _copy(inputs: Inputs, place: Path, tell: Callable[[int, int], None]) -> None:
    """Copies all or nothing: a job must not find half of its files."""
    if place.is_dir():
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=".", dir=place.parent))
    try:
        for number, (name, file) in enumerate(inputs.files, start=1):
            target = beside / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, target)
            tell(number, len(inputs.files))
        # Nodes may run as another user.
        beside.chmod(0o755)
        beside.rename(place)
    except OSError:
        shutil.rmtree(beside, ignore_errors=True)
        # Someone else brought the same files a moment before.
        if not place.is_dir():
            raise


def _opened(file: Path) -> BufferedReader:
    try:
        return file.open("rb")
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from None


def _digest(files: tuple[tuple[str, Path], ...]) -> str:
    whole = hashlib.sha256()
    for name, file in files:
        with _opened(file) as body:
            content = hashlib.file_digest(body, "sha256").digest()
        whole.update(len(name.encode()).to_bytes(4, "big") + name.encode() + content)
    return whole.hexdigest()[:16]
