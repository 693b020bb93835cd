#!/usr/bin/env python3
"""Fetches the inputs of a job from S3 to the shared file system.

    fetch_inputs.py s3://BUCKET/PREFIX/ FOLDER

The wire-up of the main node runs it before the application starts. The folder is either complete or
missing: objects go into a hidden folder beside it, which is renamed when it is complete. If several
jobs fetch the same inputs at the same time, the first to finish wins.

It has the permissions of the job's role. The last line of standard output reports what was fetched,
or why it failed. Environment:

    MNGEN_INPUTS_REGION     region of the bucket: a VPC's gateway endpoint serves only its own
    AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL   endpoint of S3, if it is not AWS's own

Exit codes:

    0    the folder is complete
    64   it cannot be fetched, and a retry does not help: no client, no permission, no such objects
    70   S3 or the network failed; a retry may succeed
    143  stopped by SIGTERM; the incomplete folder is removed

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

# With -I, Python does not look for modules beside the program.
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from bucket import (
    CONNECTIONS,
    PERMANENT,
    TEMPORARY,
    Purpose,
    TransferError,
    explained,
    files_text,
    make_client,
    size_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

STALE_SECONDS = 7 * 86_400.0
"""The age at which a later fetch removes what a killed container has left."""
PURPOSE = Purpose("fetch", "read", "kms:Decrypt")


def fetch(url: str, folder: str) -> str:
    """Fetches all objects below a URL into a folder; returns a line that reports it.

    Args:
        url: `s3://BUCKET/PREFIX/`.
        folder: Path of the folder; the objects get their names after the prefix in it.

    Raises:
        TransferError: It failed; carries the exit code.
    """
    began = time.monotonic()
    try:
        with explained(url, PURPOSE):
            count, size = _fetch(url, folder)
    except OSError as error:
        raise TransferError(
            PERMANENT,
            f"cannot write {error.filename or folder}: {error.strerror}; user ID {os.geteuid()}"
            f" needs write permission in {os.path.dirname(folder)}: run `mngen bake`, which opens"
            " that folder, or `chmod 1777` as root on an instance that mounts the file system",
        ) from None
    return f"{files_text(count)}, {size_text(size)} from {url} in {time.monotonic() - began:.1f}s"


def _fetch(url: str, folder: str) -> tuple[int, int]:
    """Returns how many files there are, and of how many bytes in all."""
    bucket, _, prefix = url[len("s3://") :].partition("/")
    client = make_client(os.environ.get("MNGEN_INPUTS_REGION") or None, 5)
    objects = dict(_listed(client, bucket, prefix))
    if not objects:
        raise TransferError(
            PERMANENT, f"no objects in {url}: submit the job again, which uploads the inputs"
        )
    parent, name = os.path.split(folder)
    _make_shared(parent)
    _remove_stale(parent)
    beside = tempfile.mkdtemp(prefix=f".{name}-", dir=parent)
    _remove_on_sigterm(beside)
    try:
        _download(client, bucket, prefix, objects, beside)
        os.chmod(beside, 0o755)  # as if the user had copied it there
        try:
            os.rename(beside, folder)
        except OSError:
            # Another job has just fetched the same inputs.
            if not os.path.isdir(folder):
                raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return len(objects), sum(objects.values())


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
        TransferError: Its path would leave the folder.
    """
    if not name or name.endswith("/"):
        return False  # the S3 console creates such objects to show a folder
    if any(part in ("", ".", "..") for part in name.split("/")):
        raise TransferError(
            PERMANENT, f"invalid name of an object: {name!r} is not a path of a file"
        )
    return True


def _download(client: Any, bucket: str, prefix: str, objects: dict[str, int], folder: str) -> None:
    """Downloads objects, given by name and size."""
    from boto3.s3.transfer import TransferConfig, create_transfer_manager

    for place in {os.path.dirname(f"{folder}/{name}") for name in objects}:
        os.makedirs(place, exist_ok=True)
    # Leaving the block with an error cancels the downloads in progress.
    with create_transfer_manager(client, TransferConfig(max_concurrency=CONNECTIONS)) as manager:
        for each in [
            manager.download(bucket, prefix + name, f"{folder}/{name}") for name in objects
        ]:
            each.result()
    for name, size in objects.items():
        found = os.path.getsize(f"{folder}/{name}")
        if found != size:
            raise TransferError(
                TEMPORARY, f"s3://{bucket}/{prefix}{name} is incomplete: {found} of {size} bytes"
            )


def _make_shared(folder: str) -> None:
    """Creates a folder that other users can write to, as `mngen submit --upload` does."""
    if os.path.isdir(folder):
        return
    _make_shared(os.path.dirname(folder))
    try:
        os.mkdir(folder)
        os.chmod(folder, 0o1777)  # as /tmp: users cannot remove each other's files
    except FileExistsError:
        pass


def _remove_stale(parent: str) -> None:
    """Removes what fetches that were killed long ago have left."""
    for each in os.scandir(parent):
        try:
            old = each.name.startswith(".") and time.time() - each.stat().st_mtime > STALE_SECONDS
        except OSError:
            continue
        if old:
            shutil.rmtree(each.path, ignore_errors=True)


def _remove_on_sigterm(folder: str) -> None:
    def end() -> None:
        number = signal.sigwait({signal.SIGTERM})
        gone = f"{folder}-gone"
        try:
            os.rename(folder, gone)  # so that no other thread creates a file in it
            shutil.rmtree(gone, ignore_errors=True)
        except OSError:
            pass
        os._exit(128 + number)

    # Not a handler, which would have to wait for the main thread, which waits for S3.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Thread(target=end, daemon=True).start()


def main() -> int:
    """Fetches what the arguments name; returns the exit code."""
    _, url, folder = sys.argv
    try:
        print(fetch(url, folder))
    except TransferError as error:
        print(error)
        return error.code
    return 0


if __name__ == "__main__":
    sys.exit(main())
