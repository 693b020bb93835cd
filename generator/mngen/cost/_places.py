"""Where finished jobs are kept: a file, or an object in a bucket, each replaced as a whole."""

from __future__ import annotations

import re
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from mngen._aws import translated
from mngen._files import locked_folder, write_atomically
from mngen.errors import InputError, ToolError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from botocore.exceptions import ClientError
    from mypy_boto3_s3.client import S3Client

# A name, or the ARN of an access point.
_ADDRESS = re.compile(
    r"s3://(?P<bucket>arn:[^/]+:accesspoint[/:][^/]+|[^/]+)/(?P<key>.*[^/])", re.DOTALL
)
_TRIES = 10
_PAUSE = 0.2
"""Seconds before the second try; before each further one as many more."""
_RIGHTS = (
    "it needs s3:GetObject and s3:PutObject for the object, s3:ListBucket for the bucket, and "
    "kms:Decrypt and kms:GenerateDataKey for the bucket's key, if it has one"
)


class Place(Protocol):
    """What has a content, and is changed by one command at a time."""

    def change(self, changed: Callable[[bytes], bytes | None]) -> None:
        """Replaces the content.

        Args:
            changed: Gets the content, which is empty where there is none yet, and returns the new
                one; None to leave it. It may be called again, if another command was faster.

        Raises:
            InputError: There cannot be a content here.
            ToolError: It cannot be read or written.
        """


class LocalFile(NamedTuple):
    """A file on a file system of this machine. If this is killed, it is the old or the new one.

    Attributes:
        path: Its path; it need not exist yet, but its folder must.
    """

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def change(self, changed: Callable[[bytes], bytes | None]) -> None:
        """See `Place`; of two commands at the same time, one waits for the other."""
        try:
            # A link stays one, also when what it points to is replaced.
            path = self.path.resolve()
            if path.exists() and not path.is_file():
                raise InputError(f"{path} is not a file", hint="pass the path of a CSV file")
            with locked_folder(path.parent, path.name):
                content = changed(path.read_bytes() if path.exists() else b"")
                if content is not None:
                    write_atomically(path, content)
        except (OSError, RuntimeError) as error:
            # Before Python 3.13, a link that points to itself is a RuntimeError.
            raise ToolError(
                f"cannot keep jobs in {self}: {getattr(error, 'strerror', None) or error}",
                hint="pass a file in a folder that you can write to",
            ) from None


class S3Object(NamedTuple):
    """An object in a bucket, which is written only if it has not changed since it was read.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html

    Attributes:
        bucket: Name of the bucket.
        key: Key of the object.
        connect: Makes a client.
    """

    bucket: str
    key: str
    connect: Callable[[], S3Client]

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    def change(self, changed: Callable[[bytes], bytes | None]) -> None:
        """See `Place`."""
        from botocore.exceptions import ClientError

        try:
            with translated():
                client = self.connect()
                for tried in range(_TRIES):
                    time.sleep(tried * _PAUSE)
                    content, tag = self._read(client)
                    new = changed(content)
                    if new is None or self._write(client, new, tag):
                        return
        except ToolError as error:
            cause = error.__cause__
            if not isinstance(cause, ClientError):
                raise
            hint = _hint(cause) or error.problems[0].hint
            raise ToolError(f"cannot keep jobs in {self}: {error}", hint=hint) from cause
        raise ToolError(
            f"cannot keep jobs in {self}: others changed it meanwhile, {_TRIES} times in a row",
            hint="run the command again; it is safe to repeat",
        )

    def _read(self, client: S3Client) -> tuple[bytes, str | None]:
        """Returns the content and its entity tag; no tag where there is no object."""
        try:
            found = client.get_object(Bucket=self.bucket, Key=self.key)
        except client.exceptions.NoSuchKey:
            return b"", None
        return found["Body"].read(), found["ETag"]

    def _write(self, client: S3Client, content: bytes, tag: str | None) -> bool:
        """Replaces what had a tag, or creates the object; False if it is another one meanwhile."""
        from botocore.exceptions import ClientError

        condition: Any = {"IfNoneMatch": "*"} if tag is None else {"IfMatch": tag}
        try:
            client.put_object(
                Bucket=self.bucket,
                Key=self.key,
                Body=content,
                ContentType="text/csv",
                **condition,
            )
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            code = error.response["Error"]["Code"]
            if code == "NoSuchKey" or status in (
                HTTPStatus.PRECONDITION_FAILED,
                HTTPStatus.CONFLICT,
            ):
                return False
            raise
        return True


def _hint(cause: ClientError) -> str | None:
    """Returns what to do about a refusal of S3; None if its words are enough."""
    match cause.response["Error"]["Code"]:
        case "AccessDenied":
            return _RIGHTS
        case "NoSuchBucket":
            return "correct the name, or create the bucket: `aws s3 mb s3://BUCKET`"
        case _:
            return None


def place_of(text: str, connect: Callable[[], S3Client]) -> Place:
    """Returns the place that a text names: the path of a file, or `s3://BUCKET/KEY`.

    Args:
        text: The text.
        connect: Makes a client, if it is an object.

    Raises:
        InputError: It is neither.
    """
    from pathlib import Path

    if not text.lower().startswith("s3:"):
        return LocalFile(Path(text))
    found = _ADDRESS.fullmatch(text)
    if found is None:
        raise InputError(
            f"`{text}` is not an object in a bucket", hint="write it as s3://BUCKET/FOLDER/jobs.csv"
        )
    return S3Object(found["bucket"], found["key"], connect)
