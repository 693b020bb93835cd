"""Copying files to where a job finds them: a folder of the shared file system.

Where this machine has the file system mounted in the nodes' own place (a login node), files are
copied there, and the job needs nothing more. From anywhere else they go into the spec's bucket, and
the job's main node fetches them into the same folder before the application starts, with the rights
of the job's role; see `container/fetch_inputs.py`.

The folder is named after the content, so the same files are the same place: repeating an upload
changes nothing, and a changed file makes another submission.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from mngen.cluster import (
    INPUTS_FROM_VARIABLE,
    INPUTS_REGION_VARIABLE,
    INPUTS_VARIABLE,
    inputs_prefix,
)
from mngen.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from io import BufferedReader

    from mypy_boto3_s3.client import S3Client

    from mngen.spec import Spec

_FOLDER = "mngen-inputs"
_LARGEST_OBJECT = 5 * 1024**3
"""Bytes of one PutObject.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/upload-objects.html
"""


class Inputs(Struct, frozen=True):
    """Files to be copied to a job.

    Attributes:
        files: The files, with the paths that they will have below `location`.
        location: Path of the folder where the job finds them, on the shared file system.
        url: `s3://…/`, from where the job fetches them; None where they are copied to `location`
            from this machine.
        region: The region of the deployment, in which a job asks for them.
    """

    files: tuple[tuple[str, Path], ...]
    location: str
    url: str | None = None
    region: str | None = None

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables of a job that has these inputs."""
        told = {
            INPUTS_VARIABLE: self.location,
            INPUTS_FROM_VARIABLE: self.url,
            INPUTS_REGION_VARIABLE: self.region,
        }
        return {name: value for name, value in told.items() if value is not None}


def find(spec: Spec, path: Path) -> Inputs:
    """Returns the files at a path, and where a job would find them; copies nothing yet.

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
        raise InputError(f"{path} contains no files")
    digest = _digest(files)
    mount = Path(spec.storage.efs.mount)
    location = f"{mount}/{_FOLDER}/{spec.name}/{digest}"
    if mount.is_mount():
        return Inputs(files, location)
    bucket = spec.storage.bucket
    if bucket is None:
        raise InputError(
            f"cannot upload {path}: {mount} is not mounted on this machine, and the spec has no "
            "bucket",
            hint=f"run it where {mount} is mounted, or set `storage: {{bucket: NAME}}` in the spec "
            "to an existing S3 bucket",
        )
    for name, file in files:
        if file.stat().st_size > _LARGEST_OBJECT:
            raise InputError(
                f"{name} is larger than 5 GiB", hint="copy it with `aws s3 cp`, which takes parts"
            )
    url = f"s3://{bucket}/{inputs_prefix(spec.name)}{digest}/"
    return Inputs(files, location, url, spec.region)


def bring(
    inputs: Inputs,
    s3: Callable[[], S3Client],
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Copies files to their place, or to the bucket from which the job fetches them.

    Args:
        inputs: The files.
        s3: Makes a client, if they go into a bucket.
        progress: Is called with how many files are there, and of how many.

    Raises:
        InputError: A file cannot be read, or the shared file system cannot be written.
        botocore.exceptions.ClientError: AWS refused.
    """
    on_progress = progress or (lambda _done, _total: None)
    if inputs.url is not None:
        bucket, _, prefix = inputs.url.removeprefix("s3://").partition("/")
        client = s3()
        for number, (name, file) in enumerate(inputs.files, start=1):
            # Some of botocore's errors are an OSError too, so only the opening is guarded.
            with _opened(file) as body:
                client.put_object(Bucket=bucket, Key=prefix + name, Body=body)
            on_progress(number, len(inputs.files))
        return
    try:
        _copy(inputs, Path(inputs.location), on_progress)
    except OSError as error:
        raise InputError(f"cannot write {inputs.location}: {error.strerror}") from None


def _copy(inputs: Inputs, place: Path, on_progress: Callable[[int, int], None]) -> None:
    """Copies all or nothing: a job must not find half of its files."""
    if place.is_dir():
        return
    _make_shared(place.parent)
    beside = Path(tempfile.mkdtemp(prefix=".", dir=place.parent))
    try:
        for number, (name, file) in enumerate(inputs.files, start=1):
            target = beside / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, target)
            on_progress(number, len(inputs.files))
        # Nodes may run as another user.
        beside.chmod(0o755)
        beside.rename(place)
    except OSError:
        shutil.rmtree(beside, ignore_errors=True)
        # Another process copied the same files a moment before.
        if not place.is_dir():
            raise


def _make_shared(folder: Path) -> None:
    """Makes a folder that other users write to as well: jobs' own, and those who submit."""
    if folder.is_dir():
        return
    _make_shared(folder.parent)
    with suppress(FileExistsError):
        folder.mkdir()
        folder.chmod(0o1777)


def _opened(file: Path) -> BufferedReader:
    try:
        return file.open("rb")
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}") from None


def _digest(files: tuple[tuple[str, Path], ...]) -> str:
    whole = hashlib.sha256()
    for name, file in files:
        with _opened(file) as body:
            content = hashlib.file_digest(body, "sha256").digest()
        whole.update(len(name.encode()).to_bytes(4, "big") + name.encode() + content)
    return whole.hexdigest()[:16]
