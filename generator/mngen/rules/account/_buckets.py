"""Where a bucket is."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

_MISSING = "404"


def region_of(s3: S3Client, bucket: str) -> str | None:
    """Returns the region of a bucket, "" if S3 does not report it; None if it does not exist.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html

    Raises:
        botocore.exceptions.ClientError: S3 refuses to answer.
    """
    from botocore.exceptions import ClientError

    try:
        return s3.head_bucket(Bucket=bucket).get("BucketRegion", "")
    except ClientError as error:
        if error.response["Error"]["Code"] == _MISSING:
            return None
        raise
