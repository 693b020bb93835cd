"""Rules that ask AWS about the bucket of jobs' inputs and outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.errors import Severity
from mngen.rules._rule import Match
from mngen.rules.account._rule import AwsRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.account import Account

_PATH = ("storage", "bucket")
_CALLS = ("s3:ListBucket",)


def _asked(account: Account) -> tuple[str, str | None] | None:
    """Returns the bucket and what its region is; None if the spec has no bucket."""
    bucket = account.cluster.spec.storage.bucket
    if bucket is None:
        return None
    return bucket, account.bucket_region(bucket)


class JobBucketExists(AwsRule):
    id = "MN252"
    title = "`storage.bucket` must exist"
    why = (
        "Jobs fetch their inputs from the bucket and upload their outputs to it. mngen does not "
        "create it. Without it, jobs fail with exit code 64 before, or 71 after they have computed."
    )
    remedy = "correct its name, or create it in the region: `aws s3 mb s3://BUCKET`"
    source_url = "https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html"
    manual_test = "aws s3api head-bucket --bucket my-results"
    calls = _CALLS

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        asked = _asked(account)
        if asked is not None and asked[1] is None:
            yield Match(_PATH, f"there is no bucket `{asked[0]}`")


class JobBucketNear(AwsRule):
    id = "MN253"
    severity = Severity.WARNING
    title = "`storage.bucket` should be in the region of the deployment"
    why = (
        "An S3 endpoint of a VPC serves the buckets of one region: without another way out, jobs "
        "do not reach the bucket. With one, each byte between the regions is billed."
    )
    remedy = "name a bucket of the region: `aws s3 mb s3://BUCKET --region REGION`"
    source_url = "https://docs.aws.amazon.com/vpc/latest/privatelink/vpc-endpoints-s3.html"
    manual_test = "aws s3api head-bucket --bucket my-results --query BucketRegion"
    calls = _CALLS

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        asked = _asked(account)
        here = account.cluster.spec.region
        if asked is not None and asked[1] not in (None, "", here):
            yield Match(_PATH, f"the bucket `{asked[0]}` is in {asked[1]}, the jobs run in {here}")
