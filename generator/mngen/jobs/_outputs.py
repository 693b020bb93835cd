"""Fetching the `outputs` of jobs: from the bucket, as the main node uploaded them.

An attempt of a job has its files below `mngen/<deployment>/outputs/<job>/<attempt>/`, and a record
of them, `<attempt>.json`, which comes last; see `container/upload_outputs.py`. Without a
bucket, they are copied from the shared file system.

The fetched folder is either complete or missing. Until it is complete, its files are in a hidden
folder beside it, which another run continues. Two runs at the same time take turns.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from mngen._files import locked_folder
from mngen._text import counted
from mngen.account import array_of, size_of
from mngen.cluster import OUTPUTS_TO_VARIABLE, outputs_prefix
from mngen.errors import InputError, Problem, ToolError
from mngen.jobs._arrays import ids_in, require_no_array
from mngen.jobs._batch import KEPT_DAYS, job_id
from mngen.jobs._shared_outputs import copy_all, folder_of, listed
from mngen.jobs._types import ENDED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

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
    """Outputs of a job, as they are in the bucket or on the shared file system.

    Attributes:
        id: ID of the job.
        attempt: The attempt that they are of, counted from 1; None for all of them, which have one
            folder of the shared file system.
        url: Where they are: `s3://BUCKET/…/`, or the path of the folder.
        objects: Size in bytes by path below the folder.
        source: The folder in the container; None if the upload is incomplete.
        files: How many files there must be; None if the upload is incomplete.
        left_out: How many links and special files are not among them.
    """

    id: str
    attempt: int | None
    url: str
    objects: Mapping[str, int]
    source: str | None = None
    files: int | None = None
    left_out: int = 0


class ArrayOutputs(Struct, frozen=True):
    """Outputs of the jobs of an array.

    Attributes:
        id: ID of the array.
        jobs: Those of each job that has any, by index.
        problems: Why the others have none.
    """

    id: str
    jobs: tuple[Outputs, ...]
    problems: tuple[Problem, ...]


class Fetched(Struct, frozen=True):
    """Outputs that were fetched.

    Attributes:
        id: ID of the job.
        attempt: The attempt that they are of, counted from 1; None for all of them.
        url: Where they are from.
        folder: Where they are; None if the job has written no file.
        files: How many files they are.
        bytes: Their size.
        left_out: How many links and special files were left out.
        missing: How many files were uploaded and are no longer in the bucket.
        complete: Whether these are all files: the upload was finished, and nothing is missing.
    """

    id: str
    attempt: int | None
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
    """Returns what a job has left in the bucket, or on the shared file system if none was uploaded.

    Args:
        s3: The client.
        spec: The deployment.
        job: ID of the job.
        describe: Returns what Batch knows of a job; None if it no longer has a record of it.
        attempt: The attempt; None for the last one, of a job that has ended.

    Raises:
        InputError: There is nothing: the job is still running, has no `outputs`, did not upload
            them, or they were deleted; or its folder is not on this machine.
        ToolError: A record is damaged.
        botocore.exceptions.ClientError: AWS refused.
    """
    wanted = job_id(job)
    if not _ID.fullmatch(wanted):
        raise InputError(f"job `{job}` not found", hint="run mngen jobs for a list")
    described = describe(wanted)
    if described is not None:
        require_no_array({**described, "jobId": wanted}, "which have outputs each")
    bucket = spec.storage.bucket
    if bucket is None or (described is not None and not _uploads(described)):
        return _find_shared(spec, wanted, described, attempt)
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


def find_array_outputs(
    s3: S3Client,
    spec: Spec,
    job: str,
    describe: Callable[[Sequence[str]], Iterable[JobDetailTypeDef]],
    attempt: int | None = None,
) -> ArrayOutputs | None:
    """Returns what the jobs of an array have left; None for a job that is not an array.

    The bucket shows the jobs of an array of which Batch no longer has a record.

    Args:
        s3: The client.
        spec: The deployment.
        job: ID of the job.
        describe: Returns what Batch knows of jobs; those that it has no record of are left out.
        attempt: The attempt; None for the last one of each job, once it has ended.

    Raises:
        InputError: None of its jobs has outputs.
        ToolError: A record is damaged.
        botocore.exceptions.ClientError: AWS refused.
    """
    wanted = job_id(job)
    if not _ID.fullmatch(wanted) or array_of(wanted) is not None:
        return None
    array = next(iter(describe([wanted])), None)
    if array is not None and size_of(array) is None:
        return None
    ids = _uploaded(s3, spec, wanted) if array is None else ids_in(array)
    if not ids:
        return None
    known = {each["jobId"]: each for each in describe(ids)}
    found: list[Outputs] = []
    problems: list[Problem] = []
    for each in ids:
        try:
            found.append(find_outputs(s3, spec, each, known.get, attempt))
        except InputError as error:
            problems += error.problems
    if not found:
        raise InputError(
            f"none of the {len(ids)} jobs of the array `{wanted}` has outputs; the first: "
            f"{problems[0].message}",
            hint=problems[0].hint,
        )
    return ArrayOutputs(wanted, tuple(found), tuple(problems))


def _uploaded(s3: S3Client, spec: Spec, array: str) -> list[str]:
    """Returns the IDs of the jobs of an array that have uploaded anything, by index."""
    bucket, prefix = spec.storage.bucket, f"{outputs_prefix(spec.name)}{array}:"
    if bucket is None:
        return []
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=bucket, Prefix=prefix, Delimiter="/"
    )
    indexes = {
        each["Prefix"][len(prefix) :].rstrip("/")
        for page in pages
        for each in page.get("CommonPrefixes", ())
    }
    return [f"{array}:{index}" for index in sorted(int(one) for one in indexes if one.isdecimal())]


def _uploads(described: JobDetailTypeDef) -> bool:
    """Whether a job uploads its outputs, with the settings that it was submitted with."""
    return any(OUTPUTS_TO_VARIABLE in each for each in _variables(described))


def _find_shared(
    spec: Spec, job: str, described: JobDetailTypeDef | None, attempt: int | None
) -> Outputs:
    """Returns what a job has left on the shared file system.

    Raises:
        InputError: There is nothing, or an attempt is asked for.
    """
    folder = folder_of(spec, job, None if described is None else _variables(described))
    if attempt is not None:
        raise InputError(
            f"all attempts of job `{job}` have written to {folder}", hint="leave --attempt out"
        )
    if described is not None and described["status"] not in ENDED:
        raise InputError(
            f"job `{job}` is {described['status']}, and may still write to {folder}",
            hint=f"wait for it (mngen wait {job}), or copy what you need from there",
        )
    objects, left_out = listed(folder)
    return Outputs(job, None, f"{folder}/", objects, str(folder), len(objects), left_out)


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
    """Fetches the outputs of a job; a run that was interrupted is continued.

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
    beside = target.parent / f".{target.name}.{outputs.id}-{outputs.attempt or 0}.part"
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
    """Fetches what is not in a folder yet; a file that has its name and its size is complete."""
    there = _kept(folder, outputs.objects)
    wanted = [name for name in outputs.objects if name not in there]
    for place in {(folder / name).parent for name in wanted}:
        place.mkdir(parents=True, exist_ok=True)
    total, done = len(outputs.objects), len(there)
    progress(done, total)
    is_uploaded = outputs.url.startswith("s3://")
    numbers = count(done + 1)

    def on_file() -> None:
        progress(next(numbers), total)

    if is_uploaded:
        _download_all(s3, outputs.url, folder, wanted, on_file)
    else:
        copy_all(Path(outputs.url), folder, wanted, on_file)
    for name in wanted:
        found = (folder / name).stat().st_size
        if found != outputs.objects[name]:
            (folder / name).unlink()
            raise ToolError(
                f"{outputs.url}{name} has changed during the "
                f"{'download' if is_uploaded else 'copy'}: {found} bytes, not "
                f"{outputs.objects[name]}",
                hint="repeat it",
            )


def _download_all(
    s3: S3Client, url: str, folder: Path, names: Sequence[str], on_file: Callable[[], None]
) -> None:
    """Downloads files. Until one is complete, it has another name.

    Raises:
        ToolError: They are archived, or S3 breaks off.
    """
    from boto3.s3.transfer import TransferConfig, create_transfer_manager
    from s3transfer.exceptions import RetriesExceededError

    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    try:
        # Leaving the block with an error cancels the downloads in progress, and removes them.
        with (
            _restored(url),
            create_transfer_manager(s3, TransferConfig(max_concurrency=_AT_ONCE)) as manager,
        ):
            started = [
                manager.download(bucket, prefix + name, str(folder / name)) for name in names
            ]
            for each in started:
                each.result()
                on_file()
    except RetriesExceededError as error:
        raise ToolError(
            f"S3 broke off the download of {url}: {error}",
            hint="repeat it: what has been downloaded is kept",
        ) from None


def _kept(folder: Path, objects: Mapping[str, int]) -> set[str]:
    """Returns what an earlier run has downloaded, and removes what it has left besides.

    No link is followed.
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
