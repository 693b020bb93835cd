#!/usr/bin/env python3
"""Uploads the outputs of a job to S3: all files of a folder, and a record of them.

    upload_outputs.py FOLDER s3://BUCKET/PREFIX
    upload_outputs.py --check s3://BUCKET/PREFIX

The wire-up of the main node runs it when the application has ended. Before the application starts,
it runs the second form, which uploads an empty object, `PREFIX.started`. Files become objects below
`PREFIX/`, the smallest first: if the container is killed meanwhile, most of them have arrived. The
record, `PREFIX.json`, comes last: without it, the upload is incomplete.

Symbolic links and special files are left out. It has the permissions of the job's role. The last
line of standard output reports what was uploaded, or why it failed. Environment:

    MNGEN_OUTPUTS_REGION    region of the bucket: a VPC's gateway endpoint serves only its own
    AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL   endpoint of S3, if it is not AWS's own

Exit codes:

    0    all files are in the bucket
    64   they cannot be uploaded, and a retry does not help: no client, no permission, an invalid
         name; with an unreadable file or such a name, all others are in the bucket
    70   S3 or the network failed; a retry may succeed
    143  stopped by SIGTERM

Needs Python 3.9 or newer and boto3 (Debian's and Ubuntu's python3-boto3).
"""

from __future__ import annotations

import json
import os
import stat
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

# With -I, Python does not look for modules beside the program.
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from bucket import (
    CONNECTIONS,
    PERMANENT,
    Purpose,
    TransferError,
    explained,
    files_text,
    make_client,
    size_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PURPOSE = Purpose("upload to", "write to", "kms:GenerateDataKey and kms:Decrypt")

ATTEMPTS = 10
"""How often a request is tried in all: the result of a long computation may depend on it."""
CHECK_ATTEMPTS = 3
"""The same before the computation: it does not depend on it."""
LONGEST_KEY = 1024
"""Bytes of an object's key.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
"""
SHOWN = 5
"""How many files a message names."""


class Found(NamedTuple):
    """What is in a folder.

    Attributes:
        files: Paths of the files below the folder, with their sizes in bytes, the smallest first.
        left_out: Paths of links and special files.
        problems: What cannot be uploaded, and why.
    """

    files: Sequence[tuple[str, int]]
    left_out: Sequence[str]
    problems: Sequence[str]


class _Sent(NamedTuple):
    """What was uploaded.

    Attributes:
        files: How many files.
        size: Bytes of the objects.
        changed: Files that have changed meanwhile: their objects may hold some of both.
        problems: What could not be read, and why.
    """

    files: int
    size: int
    changed: Sequence[str]
    problems: Sequence[str]


def upload(folder: str, url: str) -> str:
    """Uploads all files of a folder; returns a line that reports it.

    Args:
        folder: Path of the folder; a missing one has no files.
        url: `s3://BUCKET/PREFIX`, to which `/` and the paths of the files are added.

    Raises:
        TransferError: It failed, or some files could not be uploaded; carries the exit code.
    """
    began = time.monotonic()
    bucket, prefix = _place(url)
    found = find_files(folder, prefix)
    # In this order: some errors of the network are an OSError too.
    with _readable(folder), explained(url, PURPOSE):
        client = make_client(_region(), ATTEMPTS)
        sent = _upload(client, bucket, prefix, folder, [name for name, _ in found.files])
        problems = [*found.problems, *sent.problems]
        if not problems:
            record = {
                "folder": folder,
                "files": sent.files,
                "bytes": sent.size,
                "left_out": len(found.left_out),
                "changed": len(sent.changed),
            }
            body = json.dumps(record).encode()
            client.put_object(Bucket=bucket, Key=f"{prefix}.json", Body=body)
    uploaded = files_text(sent.files)
    if problems:
        raise TransferError(
            PERMANENT, f"{uploaded} uploaded to {url}/, not these: {_shown(problems)}"
        )
    left_out = f"; {len(found.left_out)} left out (links, special files)" if found.left_out else ""
    changed = f"; changed during the upload: {_shown(sent.changed)}" if sent.changed else ""
    spent = time.monotonic() - began
    return f"{uploaded}, {size_text(sent.size)} to {url}/ in {spent:.1f}s{left_out}{changed}"


def check(url: str) -> None:
    """Checks that objects can be uploaded, by an empty one.

    Args:
        url: `s3://BUCKET/PREFIX`, to which `.started` is added.

    Raises:
        TransferError: It failed; carries the exit code.
    """
    bucket, prefix = _place(url)
    with explained(url, PURPOSE):
        client = make_client(_region(), CHECK_ATTEMPTS)
        client.put_object(Bucket=bucket, Key=f"{prefix}.started", Body=b"")


def _place(url: str) -> tuple[str, str]:
    """Returns the bucket and the prefix of a URL."""
    bucket, _, prefix = url[len("s3://") :].partition("/")
    return bucket, prefix


def _region() -> str | None:
    return os.environ.get("MNGEN_OUTPUTS_REGION") or None


def _shown(texts: Sequence[str]) -> str:
    more = f"; {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
    return f"{'; '.join(texts[:SHOWN])}{more}"


@contextmanager
def _readable(folder: str) -> Iterator[None]:
    """Turns an error of the file system in the middle of a file into a `TransferError`."""
    try:
        yield
    except OSError as error:
        place = error.filename or folder
        raise TransferError(PERMANENT, f"cannot read {place}: {error.strerror or error}") from None


def find_files(folder: str, prefix: str) -> Found:
    """Returns what is in a folder; symbolic links are not followed.

    Args:
        folder: Path of the folder.
        prefix: What the keys of the objects begin with, without the `/` before a path.
    """
    files: list[tuple[str, int]] = []
    left_out: list[str] = []
    problems: list[str] = []

    def failed(error: OSError) -> None:
        if os.path.lexists(folder):
            problems.append(f"{error.filename!r}: {error.strerror}")

    for place, folders, names in os.walk(folder, onerror=failed):
        left_out += [f"{place}/{name}" for name in folders if os.path.islink(f"{place}/{name}")]
        for name in names:
            path = f"{place}/{name}"
            below = path[len(folder) + 1 :]
            try:
                state = os.lstat(path)
            except OSError as error:
                problems.append(f"{below!r}: {error.strerror}")
                continue
            if not stat.S_ISREG(state.st_mode):
                left_out.append(path)
            elif problem := _name_problem(f"{prefix}/{below}"):
                problems.append(f"{below!r}: {problem}")
            else:
                files.append((below, state.st_size))
    return Found(sorted(files, key=lambda each: (each[1], each[0])), left_out, problems)


def _name_problem(key: str) -> str:
    """Returns why a file cannot become an object of a name; empty if it can.

    A listing, which is XML 1.0, cannot hold control characters.
    Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
    """
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in key):
        return "its name has a control character"
    try:
        long = len(key.encode()) > LONGEST_KEY
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    return f"its key would be longer than {LONGEST_KEY} bytes" if long else ""


def _upload(client: Any, bucket: str, prefix: str, folder: str, names: Sequence[str]) -> _Sent:
    """Uploads files, large ones in parts."""
    from boto3.s3.transfer import TransferConfig, create_transfer_manager

    started: list[tuple[str, tuple[int, int], Any]] = []
    problems: list[str] = []
    # Leaving the block with an error cancels the uploads in progress.
    with create_transfer_manager(client, TransferConfig(max_concurrency=CONNECTIONS)) as manager:
        for name in names:
            path = f"{folder}/{name}"
            try:
                state = _opened_state(path)
            except OSError as error:
                problems.append(f"{name!r}: {error.strerror}")
                continue
            started.append((name, state, manager.upload(path, bucket, f"{prefix}/{name}")))
        for _, _, future in started:
            future.result()
    changed = [
        repr(name)
        for name, state, future in started
        if _state(f"{folder}/{name}") != state or future.meta.size != state[0]
    ]
    size = sum(future.meta.size for _, _, future in started)
    return _Sent(len(started), size, changed, problems)


def _opened_state(path: str) -> tuple[int, int]:
    """Opens a file for reading, and returns its size in bytes and its time of modification in ns.

    s3transfer takes the size by stat, which on NFS may return what this node knew before another
    one wrote to the file; then the object would be cut short. Opening it asks the server.

    Source: close-to-open cache consistency, https://man7.org/linux/man-pages/man5/nfs.5.html
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        state = os.fstat(handle)
    finally:
        os.close(handle)
    return state.st_size, state.st_mtime_ns


def _state(path: str) -> tuple[int, int] | None:
    """Returns the size and the time of modification of a file; None if it is gone."""
    try:
        state = os.stat(path)
    except OSError:
        return None
    return state.st_size, state.st_mtime_ns


def main() -> int:
    """Uploads what the arguments name; returns the exit code."""
    _, folder, url = sys.argv
    try:
        if folder == "--check":
            check(url)
        else:
            print(upload(folder.rstrip("/"), url))
    except TransferError as error:
        print(error)
        return error.code
    return 0


if __name__ == "__main__":
    sys.exit(main())
