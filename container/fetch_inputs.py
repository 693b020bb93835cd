#!/usr/bin/env python3
"""Fetches the inputs of a job from S3 to the shared file system.

    fetch_inputs.py s3://BUCKET/PREFIX/ FOLDER

The wire-up of the main node runs it before the application starts. The folder is there as a whole
or not at all: objects go into a hidden folder beside it, which gets its name when the last one is
there. Where several jobs fetch the same inputs at a time, the first one's are taken.

The rights are those of the job's role. The last line of standard output says what was fetched, or
why nothing was. Environment:

    MNGEN_INPUTS_REGION     the region that is asked first: a VPC's endpoint for S3 serves its own
    AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL   where S3 is, if not at AWS

Exit codes:

    0    the folder is there
    64   it cannot be, and would not be at a second attempt: no client, no right, no such objects
    70   S3 or the network failed; another attempt may succeed
    143  ended by SIGTERM; nothing half is left

Needs Python 3.9 or newer and boto3 (Debian's and Ubuntu's python3-boto3).
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

WRONG, FAILED = 64, 70

# Requests at a time: enough for EFS and for many small files, on a machine that has nothing else
# to do yet.
CONNECTIONS = 16
# What was left by a container that was killed is removed by the next fetch after this many seconds.
STALE = 7 * 86_400.0


class TroubleError(Exception):
    """Why there is no folder.

    Attributes:
        code: Exit code.
    """

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def fetch(url: str, folder: str) -> str:
    """Fetches all objects below a URL into a folder, and returns what to say of it.

    Args:
        url: `s3://BUCKET/PREFIX/`.
        folder: Path of the folder; the names of the objects below it follow the prefix.

    Raises:
        TroubleError: The folder cannot be made; carries the exit code.
    """
    began = time.monotonic()
    try:
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError
        from s3transfer.exceptions import RetriesExceededError
    except ImportError as error:
        raise TroubleError(
            WRONG,
            f"{sys.executable} has no client for S3 ({error}): build the image"
            " with `mngen container build`, which adds it where the spec has `storage.bucket`, or"
            " install python3-boto3 in it",
        ) from None
    try:
        count, size = _fetch(url, folder)
    except ClientError as error:
        raise _refused(error.response, url) from None
    # Before OSError, which some of them are too.
    except (BotoCoreError, Boto3Error, RetriesExceededError) as error:
        raise _unanswered(error, url) from None
    except OSError as error:
        raise TroubleError(
            WRONG,
            f"cannot write {error.filename or folder}: {error.strerror}; user id {os.geteuid()}"
            f" needs to write in {os.path.dirname(folder)}: `mngen bake` opens that folder, and"
            f" so does `chmod 1777` as root on an instance that mounts the file system",
        ) from None
    files = "1 file" if count == 1 else f"{count} files"
    return f"{files}, {size_text(size)} from {url} in {time.monotonic() - began:.1f}s"


def _fetch(url: str, folder: str) -> tuple[int, int]:
    """Returns how many files there are, and of how many bytes in all."""
    bucket, _, prefix = url[len("s3://") :].partition("/")
    client = _client()
    objects = dict(_listed(client, bucket, prefix))
    if not objects:
        raise TroubleError(
            WRONG, f"there is nothing in {url}: submit the job again, which uploads the inputs"
        )
    parent, name = os.path.split(folder)
    _make_shared(parent)
    _sweep(parent)
    beside = tempfile.mkdtemp(prefix=f".{name}-", dir=parent)
    _remove_on_sigterm(beside)
    try:
        _download(client, bucket, prefix, objects, beside)
        os.chmod(beside, 0o755)  # as if it had been copied from a machine that mounts it
        try:
            os.rename(beside, folder)
        except OSError:
            # Another job has fetched the same a moment before.
            if not os.path.isdir(folder):
                raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return len(objects), sum(objects.values())


def _client() -> Any:
    import boto3
    from botocore.config import Config

    environ = os.environ
    return boto3.client(
        "s3",
        region_name=environ.get("MNGEN_INPUTS_REGION") or None,
        # Clients before 1.28, such as that of Debian 12, do not look at these themselves.
        endpoint_url=environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or None,
        config=Config(
            connect_timeout=10,
            max_pool_connections=CONNECTIONS,
            retries={"mode": "standard", "max_attempts": 5},
        ),
    )


def _listed(client: Any, bucket: str, prefix: str) -> Iterator[tuple[str, int]]:
    """Yields the objects' names after the prefix, and their sizes in bytes."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    for page in pages:
        for each in page.get("Contents", ()):
            name = each["Key"][len(prefix) :]
            if is_file(name):
                yield name, each["Size"]


def is_file(name: str) -> bool:
    """Whether an object of some name below the prefix becomes a file.

    Raises:
        TroubleError: Its path would lead out of the folder.
    """
    if not name or name.endswith("/"):
        return False  # what the console makes to show a folder
    if any(part in ("", ".", "..") for part in name.split("/")):
        raise TroubleError(WRONG, f"an object is named {name!r}, which cannot be a file's name")
    return True


def _download(client: Any, bucket: str, prefix: str, objects: dict[str, int], folder: str) -> None:
    """Downloads objects, of which names and sizes are given."""
    from boto3.s3.transfer import TransferConfig, create_transfer_manager

    for place in {os.path.dirname(f"{folder}/{name}") for name in objects}:
        os.makedirs(place, exist_ok=True)
    # Leaving the block for an error ends all that is under way.
    with create_transfer_manager(client, TransferConfig(max_concurrency=CONNECTIONS)) as manager:
        for each in [
            manager.download(bucket, prefix + name, f"{folder}/{name}") for name in objects
        ]:
            each.result()
    for name, size in objects.items():
        found = os.path.getsize(f"{folder}/{name}")
        if found != size:
            raise TroubleError(
                FAILED, f"s3://{bucket}/{prefix}{name} came with {found} of its {size} bytes"
            )


def _make_shared(folder: str) -> None:
    """Makes a folder that other users write to as well, as `mngen submit --upload` does."""
    if os.path.isdir(folder):
        return
    _make_shared(os.path.dirname(folder))
    try:
        os.mkdir(folder)
        os.chmod(folder, 0o1777)  # as /tmp: nobody removes what is another's
    except FileExistsError:
        pass


def _sweep(parent: str) -> None:
    """Removes what fetches have left that were killed long ago."""
    for each in os.scandir(parent):
        try:
            old = each.name.startswith(".") and time.time() - each.stat().st_mtime > STALE
        except OSError:
            continue
        if old:
            shutil.rmtree(each.path, ignore_errors=True)


def _remove_on_sigterm(folder: str) -> None:
    def end() -> None:
        number = signal.sigwait({signal.SIGTERM})
        gone = f"{folder}-gone"
        try:
            os.rename(folder, gone)  # so that no other thread opens one more file in it
            shutil.rmtree(gone, ignore_errors=True)
        except OSError:
            pass
        os._exit(128 + number)

    # Not by a handler: that would have to wait for the main thread, which waits for S3.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Thread(target=end, daemon=True).start()


def _refused(response: Any, url: str) -> TroubleError:
    """Returns what an answer of S3 means that is an error."""
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    error = response.get("Error", {})
    said = f"{error.get('Code', status)}: {error.get('Message', '')}".rstrip(": .")
    if error.get("Code") == "NoSuchBucket":
        return TroubleError(WRONG, f"there is no bucket {url.split('/')[2]} ({said})")
    if status in (401, 403):
        return TroubleError(
            WRONG,
            f"the job's role may not read {url} ({said}): `mngen apply` gives it the right; with a"
            " KMS key of your own on the bucket it needs kms:Decrypt too (`roles.job_policies`)",
        )
    if 400 <= status < 500 and status not in (408, 429):
        return TroubleError(WRONG, f"S3 refuses {url} ({said})")
    return TroubleError(FAILED, f"S3 failed on {url} ({said})")


def _unanswered(error: Exception, url: str) -> TroubleError:
    """Returns what it means that there is no answer."""
    from botocore.exceptions import CredentialRetrievalError, NoCredentialsError

    if isinstance(error, NoCredentialsError):
        return TroubleError(
            WRONG, f"there are no credentials to read {url} with: the job definition has no role"
        )
    kind = "the job's role cannot be had" if isinstance(error, CredentialRetrievalError) else "S3"
    return TroubleError(FAILED, f"cannot fetch {url}: {kind}: {error}")


def size_text(size: float) -> str:
    """Returns a number of bytes for a person: `3.4 GB`."""
    if size < 1000:
        return f"{size} B"
    for unit in ("kB", "MB", "GB"):
        size /= 1000
        if size < 1000:
            return f"{size:.1f} {unit}"
    return f"{size / 1000:.1f} TB"


def main() -> int:
    """Fetches what the arguments name; returns the exit code."""
    _, url, folder = sys.argv
    try:
        print(fetch(url, folder))
    except TroubleError as trouble:
        print(trouble)
        return trouble.code
    return 0


if __name__ == "__main__":
    sys.exit(main())
