"""Where a bucket is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.errors import ToolError

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

# The answer has no body: these are all there is of it.
_MISSING, _HIDDEN = "404", "403"


def region_of(s3: S3Client, bucket: str) -> str | None:
    """Returns the region of a bucket, "" if S3 does not report it; None if it does not exist.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html

    Raises:
        ToolError: S3 denies it: the bucket may be of another account.
        botocore.exceptions.ClientError: S3 refuses to answer.
    """
    from botocore.exceptions import ClientError

    try:
        return s3.head_bucket(Bucket=bucket).get("BucketRegion", "")
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code == _MISSING:
            return None
        if code == _HIDDEN:
            raise ToolError(
                f"AWS denies HeadBucket for the bucket `{bucket}`",
                hint="correct its name, or get permission for s3:ListBucket on it, which "
                "`mngen policy` prints; the policy of another account's bucket must allow it too",
            ) from None
        raise
