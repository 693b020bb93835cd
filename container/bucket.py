"""What the programs that copy between S3 and a job have in common: a client, and what errors mean.

`fetch_inputs.py` and `upload_outputs.py` import it from their own folder. It has the permissions of
the job's role. Environment:

    AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL   endpoint of S3, if it is not AWS's own

Needs Python 3.9 or newer and boto3 (Debian's and Ubuntu's python3-boto3).
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

PERMANENT, TEMPORARY = 64, 70
"""Exit codes of the programs: a retry does not help, or may."""
CONNECTIONS = 16
"""Requests at a time: enough for EFS and for many small files; the node does nothing else then."""


class TransferError(Exception):
    """Why files could not be copied.

    Attributes:
        code: Exit code.
    """

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Purpose:
    """What a program does with a bucket, in the words of its messages.

    Attributes:
        verb: What it cannot do when S3 does not respond: `fetch`.
        right: What the job's role may not do: `read`.
        key: What a role needs besides for a bucket with a KMS key of the user's own.
    """

    def __init__(self, verb: str, right: str, key: str) -> None:
        self.verb, self.right, self.key = verb, right, key


@contextmanager
def explained(url: str, purpose: Purpose) -> Iterator[None]:
    """Turns the errors of boto3 into a `TransferError`; those of the file system pass.

    Args:
        url: `s3://BUCKET/PREFIX/`, for the messages.
        purpose: What is done with it.

    Raises:
        TransferError: S3 refused, failed or did not respond; or the image has no boto3.
    """
    try:
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError
        from s3transfer.exceptions import RetriesExceededError
    except ImportError as error:
        raise TransferError(
            PERMANENT,
            f"{sys.executable} cannot access S3 ({error}): build the image"
            " with `mngen container build`, which adds boto3 if the spec has `storage.bucket`, or"
            " install python3-boto3 in it",
        ) from None
    try:
        yield
    except ClientError as error:
        raise refused(error.response, url, purpose) from None
    # Some are an OSError too.
    except (BotoCoreError, Boto3Error, RetriesExceededError) as error:
        raise _unanswered(error, url, purpose) from None


def make_client(region: str | None, attempts: int) -> Any:
    """Returns a client of S3.

    Args:
        region: That of the bucket; None for boto3's own.
        attempts: How often a request is tried in all.
    """
    import boto3
    from botocore.config import Config

    environ = os.environ
    return boto3.client(
        "s3",
        region_name=region,
        # boto3 before 1.28, as in Debian 12, does not read these itself.
        endpoint_url=environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or None,
        config=Config(
            connect_timeout=10,
            max_pool_connections=CONNECTIONS,
            retries={"mode": "standard", "total_max_attempts": attempts},
        ),
    )


def refused(response: Any, url: str, purpose: Purpose) -> TransferError:
    """Returns what an error response of S3 means."""
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    error = response.get("Error", {})
    said = f"{error.get('Code', status)}: {error.get('Message', '')}".rstrip(": .")
    if error.get("Code") == "NoSuchBucket":
        return TransferError(PERMANENT, f"no bucket {url.split('/')[2]} ({said})")
    if status in (401, 403):
        return TransferError(
            PERMANENT,
            f"the job's role may not {purpose.right} {url} ({said}): run `mngen apply`, which"
            f" allows it; for a bucket with a KMS key of your own, add {purpose.key}"
            " (`roles.job_policies`)",
        )
    if 400 <= status < 500 and status not in (408, 429):
        return TransferError(PERMANENT, f"S3 rejected the request for {url} ({said})")
    return TransferError(TEMPORARY, f"S3 failed on {url} ({said})")


def _unanswered(error: Exception, url: str, purpose: Purpose) -> TransferError:
    """Returns what it means that S3 did not respond."""
    from botocore.exceptions import CredentialRetrievalError, NoCredentialsError

    if isinstance(error, NoCredentialsError):
        return TransferError(
            PERMANENT, f"no credentials to {purpose.right} {url}: the job definition has no role"
        )
    source = "the job's role" if isinstance(error, CredentialRetrievalError) else "S3"
    return TransferError(
        TEMPORARY, f"cannot {purpose.verb} {url}: no response from {source}: {error}"
    )


def size_text(size: float) -> str:
    """Returns a number of bytes in the largest suitable unit: `3.4 GB`."""
    if size < 1000:
        return f"{size} B"
    for unit in ("kB", "MB", "GB"):
        size /= 1000
        if size < 1000:
            return f"{size:.1f} {unit}"
    return f"{size / 1000:.1f} TB"


def files_text(count: int) -> str:
    """Returns a number of files in words: `1 file`."""
    return "1 file" if count == 1 else f"{count} files"
