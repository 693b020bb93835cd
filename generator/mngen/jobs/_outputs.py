"""Downloading what jobs have left in the bucket: their `outputs`, as the main node uploaded them.

An attempt of a job has its files below `mngen/<deployment>/outputs/<job>/<attempt>/`, and a record
of them, `<attempt>.json`, which comes last; see `container/upload_outputs.py`.

The downloaded folder is either complete or missing. Until it is complete, its files are in a hidden
folder beside it, which another run continues. Two runs at the same time take turns.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from mngen._files import locked_folder
from mngen._text import counted
from mngen.cluster import OUTPUTS_TO_VARIABLE, outputs_prefix
from mngen.errors import InputError, ToolError
from mngen.jobs._batch import KEPT_DAYS, job_id
from mngen.jobs._types import ENDED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mypy_boto3_batch.type_defs import JobDetailTypeDef
    from mypy_boto3_s3.client import S3Client

    from mngen.spec import Spec

_ID = re.compile(r"[A-Za-z0-9-]{1,64}(:[0-9]{1,5})?")
_OBJECT = re.compile(r"(?P<attempt>[0-9]{1,5})(?:(?P<record>\.json)|/(?P<name>.+))", re.DOTALL)
_AT_ONCE = 10
"""Downloads at a time: as many as a client has connections."""


class _Record(Struct):
    """What the main node has uploaded of an attempt.

    Attributes:
        folder: The folder in the container.
        files: How many files.
        bytes: Their size.
        left_out: How many links and special files stayed behind.
    """

    folder: str
    files: int
    bytes: int
    left_out: int = 0


class Outputs(Struct, frozen=True):
    """Outputs of a job, as they are in the bucket.

    Attributes:
        id: ID of the job.
        attempt: The attempt that they are of, counted from 1.
        url: Where they are: `s3://BUCKET/…/`.
        objects: Size in bytes by path below the folder.
        source: The folder in the container; None if the upload is incomplete.
        files: How many files were uploaded; None if the upload is incomplete.
        left_out: How many links and special files were not.
    """

    id: str
    attempt: int
    url: str
    objects: Mapping[str, int]
    source: str | None = None
    files: int | None = None
    left_out: int = 0


class Fetched(Struct, frozen=True):
    """Outputs that were downloaded.

    Attributes:
        id: ID of the job.
        attempt: The attempt that they are of, counted from 1.
        url: Where they are from.
        folder: Where they are; None if the job has written no file.
        files: How many files they are.
        bytes: Their size.
        left_out: How many links and special files the job did not upload.
        missing: How many files were uploaded and are no longer in the bucket.
        complete: Whether these are all files: the upload was finished, and nothing is missing.
    """

    id: str
    attempt: int
    url: str
    folder: str | None
    files: int
    bytes: int
    left_out: int
    missing: int
    complete: bool


def find_outputs(
    s3: S3Client,
    spec: Spec,
    job: str,
    describe: Callable[[str], JobDetailTypeDef | None],
    attempt: int | None = None,
) -> Outputs:
    """Returns what a job has left in the bucket.

    Args:
        s3: The client.
        spec: The deployment.
        job: ID of the job.
        describe: Returns what Batch knows of a job; None if it no longer has a record of it.
        attempt: The attempt; None for the last one, of a job that has ended.

    Raises:
        InputError: There is nothing: the job is still running, has no `outputs`, did not upload
            them, or they were deleted; or the spec has no bucket.
        ToolError: A record is damaged.
        botocore.exceptions.ClientError: AWS refused.
    """
    bucket = spec.storage.bucket
    if bucket is None:
        raise InputError(
            "the spec has no bucket for outputs",
            hint="set `storage: {bucket: NAME}`, and `outputs` of the job, then apply",
        )
    wanted = job_id(job)
    if not _ID.fullmatch(wanted):
        raise InputError(f"job `{job}` not found", hint="run mngen jobs for a list")
    described = describe(wanted)
    _refuse_array(wanted, described)
    if attempt is None and described is not None and described["status"] not in ENDED:
        raise InputError(
            f"job `{wanted}` is {described['status']}: outputs are uploaded when the command has "
            "ended",
            hint=f"wait for it (mngen wait {wanted}), or pass --attempt for an earlier attempt",
        )
    prefix = f"{outputs_prefix(spec.name)}{wanted}/"
    attempts, records = _listed(s3, bucket, prefix)
    last = max(attempts, default=None) if attempt is None else attempt
    if last is None or last not in attempts:
        raise _nothing(wanted, attempt, described, f"s3://{bucket}/{prefix}")
    found = Outputs(wanted, last, f"s3://{bucket}/{prefix}{last}/", attempts[last])
    if last not in records:
        return found
    record = _read(s3, bucket, f"{prefix}{last}.json")
    if record.files and not found.objects:
        raise InputError(
            f"the {counted(record.files, 'file')} of job `{wanted}` are no longer in {found.url}",
            hint="a lifecycle rule of the bucket, or someone, has deleted them",
        )
    return msgspec.structs.replace(
        found, source=record.folder, files=record.files, left_out=record.left_out
    )


def _refuse_array(job: str, described: JobDetailTypeDef | None) -> None:
    """Refuses an array job, whose children alone run.

    Source: https://docs.aws.amazon.com/batch/latest/APIReference/API_ArrayPropertiesDetail.html
    (`size` is that of a parent)

    Raises:
        InputError: It is one.
    """
    size = described.get("arrayProperties", {}).get("size") if described is not None else None
    if size is not None:
        raise InputError(
            f"job `{job}` is an array of {size} jobs, which have outputs each",
            hint=f"name one of them: mngen fetch {job}:0",
        )


def _listed(s3: S3Client, bucket: str, prefix: str) -> tuple[dict[int, dict[str, int]], set[int]]:
    """Returns the files of each attempt with their sizes, and the attempts with a record.

    Raises:
        InputError: The path of an object would leave the folder.
    """
    attempts: dict[int, dict[str, int]] = {}
    records = set()
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for each in page.get("Contents", ()):
            match = _OBJECT.fullmatch(each["Key"][len(prefix) :])
            if match is None:
                continue  # such as what the S3 console creates to show a folder
            number = int(match["attempt"])
            files = attempts.setdefault(number, {})
            if match["record"]:
                records.add(number)
            elif not match["name"].endswith("/"):
                files[_checked(match["name"])] = each["Size"]
    return attempts, records


def _checked(name: str) -> str:
    if "\0" in name or any(part in ("", ".", "..") for part in name.split("/")):
        raise InputError(
            f"invalid name of an object: {name!r} is not the path of a file in a folder",
            hint="the job has not uploaded it: delete it from the bucket",
        )
    return name


def _read(s3: S3Client, bucket: str, key: str) -> _Record:
    with _restored(f"s3://{bucket}/{key}"):
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    try:
        return msgspec.json.decode(body, type=_Record)
    except msgspec.DecodeError as error:
        raise ToolError(f"s3://{bucket}/{key} is damaged: {error}") from None


@contextmanager
def _restored(url: str) -> Iterator[None]:
    """Explains why S3 refuses objects that a lifecycle rule has moved to an archive.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html (InvalidObjectState)

    Raises:
        ToolError: There are some.
    """
    from botocore.exceptions import ClientError

    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] != "InvalidObjectState":
            raise
        raise ToolError(
            f"S3 has archived objects of {url} (S3 Glacier, or an archive tier)",
            hint="restore them (aws s3api restore-object), which takes up to two days, and repeat",
        ) from None


def _nothing(
    job: str, attempt: int | None, described: JobDetailTypeDef | None, url: str
) -> InputError:
    """Returns why there are no outputs of a job, as far as Batch remembers it."""
    if described is None:
        return InputError(
            f"no outputs of job `{job}` in {url}, and AWS Batch has no record of the job",
            hint="check the ID; AWS Batch keeps jobs for "
            f"{KEPT_DAYS} days, and a lifecycle rule of the bucket may have deleted the outputs",
        )
    if not any(OUTPUTS_TO_VARIABLE in each for each in _variables(described)):
        return InputError(
            f"job `{job}` was submitted without `outputs`",
            hint="add `outputs: /efs/runs/{job}` to the job in the spec, apply, and submit again",
        )
    if attempt is not None:
        return InputError(f"no outputs of attempt {attempt} of job `{job}` in {url}")
    if not described.get("startedAt"):
        return InputError(
            f"job `{job}` has never run, so it has no outputs", hint=f"run mngen status {job}"
        )
    if described["status"] == "SUCCEEDED":
        # An upload that fails lets the job fail.
        return InputError(
            f"no outputs of job `{job}` in {url}, though it has succeeded",
            hint="its container image may be older than `outputs`: run mngen container build and "
            "mngen container push, and submit again; or they were deleted, perhaps by a lifecycle "
            "rule of the bucket",
        )
    return InputError(
        f"no outputs of job `{job}` in {url}",
        hint=f"its command did not start, or the upload failed (mngen logs {job} shows why); or "
        "they were deleted, perhaps by a lifecycle rule of the bucket",
    )


def _variables(described: JobDetailTypeDef) -> list[dict[str, str]]:
    """Returns the variables of each container of a job."""
    job: Any = described
    ranges = job.get("nodeProperties", {}).get("nodeRangeProperties", [])
    containers = [job.get("container") or {}, *(each.get("container") or {} for each in ranges)]
    return [
        {each["name"]: each["value"] for each in container.get("environment") or ()}
        for container in containers
    ]


def fetch_outputs(
    s3: S3Client,
    outputs: Outputs,
    to: Path,
    *,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Fetched:
    """Downloads the outputs of a job; a run that was interrupted is continued.

    Args:
        s3: The client.
        outputs: The outputs.
        to: The folder to create.
        force: Whether to add the files to an existing folder, and to overwrite those in it.
        progress: Is called with how many files are there, and of how many.

    Raises:
        InputError: The folder exists, or cannot be written.
        ToolError: The disk is full, or S3 sent other than it had listed.
        botocore.exceptions.ClientError: AWS refused.
        botocore.exceptions.BotoCoreError: AWS cannot be reached, or does not answer.
    """
    from botocore.exceptions import BotoCoreError

    total = len(outputs.objects)
    missing = max(0, (outputs.files or 0) - total)
    fetched = Fetched(
        id=outputs.id,
        attempt=outputs.attempt,
        url=outputs.url,
        folder=str(to) if total else None,
        files=total,
        bytes=sum(outputs.objects.values()),
        left_out=outputs.left_out,
        missing=missing,
        complete=outputs.files is not None and not missing,
    )
    if not total:
        return fetched
    # A link that the user names is the user's own; those that are found below it are not followed.
    target = Path(os.path.realpath(to))
    if not force and _is_taken(target):
        raise _taken(to)
    if target.exists() and not target.is_dir():
        raise InputError(f"{to} is not a folder", hint="pass another folder with --to")
    beside = target.parent / f".{target.name}.{outputs.id}-{outputs.attempt}.part"
    files = beside / "files"
    try:
        with _locked(beside):
            # Another run may have finished it meanwhile.
            if not force and _is_taken(target):
                raise _taken(to)
            if files.is_symlink():
                raise _linked(files)
            files.mkdir(exist_ok=True)
            _download(s3, outputs, files, progress or (lambda _done, _total: None))
            if force and target.is_dir():
                _move(files, target, outputs.objects)
            else:
                files.rename(target)
            shutil.rmtree(beside, ignore_errors=True)
    except BotoCoreError:
        # Timeouts and errors of TLS among these are an OSError too.
        raise
    except OSError as error:
        place = error.filename or beside
        message = f"cannot write {place}: {error.strerror or error}"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ToolError(
                message, hint="free some space and repeat: what has been downloaded is kept"
            ) from None
        raise InputError(message, hint="pass another folder with --to") from None
    return fetched


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Holds the lock of a folder, which is created if missing; waits while another run holds it.

    Raises:
        InputError: It is a symbolic link.
        OSError: It cannot be made.
    """
    try:
        with ExitStack() as lock:
            while not _was_locked(folder, lock):
                lock.close()
            yield
    finally:
        # Nothing was downloaded, or NFS has kept the file of the lock until it was closed.
        with suppress(OSError):
            folder.rmdir()


def _was_locked(folder: Path, lock: ExitStack) -> bool:
    """Returns whether the folder is still there, once its lock is held.

    The run that held it before removes the folder when it has finished.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if folder.is_symlink():
        raise _linked(folder)
    with suppress(FileNotFoundError):
        before = folder.stat()
        lock.enter_context(locked_folder(folder, "fetch"))
        return os.path.samestat(before, folder.stat())
    return False


def _linked(path: Path) -> InputError:
    return InputError(f"{path} is a symbolic link", hint="delete it")


def _taken(to: Path) -> InputError:
    return InputError(
        f"{to} already exists",
        hint="pass another folder with --to, or --force to overwrite files in it",
    )


def _is_taken(target: Path) -> bool:
    """Whether there is a file, or a folder with anything in it."""
    return target.exists() and not (target.is_dir() and not any(target.iterdir()))


def _download(
    s3: S3Client, outputs: Outputs, folder: Path, progress: Callable[[int, int], None]
) -> None:
    """Downloads what is not in a folder yet; a file that has its name is complete."""
    from boto3.s3.transfer import TransferConfig, create_transfer_manager
    from s3transfer.exceptions import RetriesExceededError

    bucket, _, prefix = outputs.url.removeprefix("s3://").partition("/")
    there = _kept(folder, outputs.objects)
    wanted = [name for name in outputs.objects if name not in there]
    for place in {(folder / name).parent for name in wanted}:
        place.mkdir(parents=True, exist_ok=True)
    total, done = len(outputs.objects), len(there)
    progress(done, total)
    try:
        # Leaving the block with an error cancels the downloads in progress, and removes them.
        with (
            _restored(outputs.url),
            create_transfer_manager(s3, TransferConfig(max_concurrency=_AT_ONCE)) as manager,
        ):
            started = [
                manager.download(bucket, prefix + name, str(folder / name)) for name in wanted
            ]
            for number, each in enumerate(started, start=done + 1):
                each.result()
                progress(number, total)
    except RetriesExceededError as error:
        raise ToolError(
            f"S3 broke off the download of {outputs.url}: {error}",
            hint="repeat it: what has been downloaded is kept",
        ) from None
    for name in wanted:
        found = (folder / name).stat().st_size
        if found != outputs.objects[name]:
            (folder / name).unlink()
            raise ToolError(
                f"{outputs.url}{name} has changed during the download: {found} bytes, not "
                f"{outputs.objects[name]}",
                hint="repeat it",
            )


def _kept(folder: Path, objects: Mapping[str, int]) -> set[str]:
    """Returns what an earlier run has downloaded, and removes what it has left besides.

    What is being downloaded has another name until it is complete. No link is followed.
    """
    kept = set()
    for place, folders, names in os.walk(folder):
        for name in (*names, *folders):
            path = Path(place, name)
            below = path.relative_to(folder).as_posix()
            if path.is_symlink():
                path.unlink()
            elif path.is_file():
                if objects.get(below) == path.stat().st_size:
                    kept.add(below)
                else:
                    path.unlink()
    return kept


def _move(source: Path, target: Path, objects: Mapping[str, int]) -> None:
    """Moves files into an existing folder, over those of the same name.

    Raises:
        InputError: A folder in it is a symbolic link, which could lead anywhere.
        OSError: A folder has the name of a file, or the reverse; or nothing can be written.
    """
    for name in objects:
        place = target
        for part in name.split("/")[:-1]:
            place /= part
            if place.is_symlink():
                raise InputError(
                    f"{place} is a symbolic link, which is not followed",
                    hint="pass another folder with --to",
                )
            place.mkdir(exist_ok=True)
        (source / name).replace(target / name)
