"""What S3 answers about a bucket, as its API documents it: the answer to HeadBucket has no body."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from mngen.account._buckets import region_of
from mngen.errors import ToolError


def _answer(status: int) -> str | None:
    s3: Any = boto3.client(
        "s3", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    with Stubber(s3) as stub:
        if status == 200:
            stub.add_response("head_bucket", {"BucketRegion": "eu-west-1"}, {"Bucket": "cases"})
        else:
            stub.add_client_error("head_bucket", str(status), http_status_code=status)
        return region_of(s3, "cases")


def test_a_bucket_has_a_region_or_does_not_exist() -> None:
    assert _answer(200) == "eu-west-1"
    assert _answer(404) is None


def test_one_that_may_be_another_accounts_is_named_with_what_to_do() -> None:
    with pytest.raises(ToolError) as raised:
        _answer(403)
    assert str(raised.value) == "AWS denies HeadBucket for the bucket `cases`"
    assert "s3:ListBucket" in str(raised.value.problems[0].hint)
