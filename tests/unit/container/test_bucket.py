"""What error responses of S3 mean to a job, and sizes in words."""

from __future__ import annotations

import pytest

import bucket
import fetch_inputs
import upload_outputs

URL = "s3://bucket/in/"


@pytest.mark.parametrize(
    ("status", "code", "expected", "said"),
    [
        (403, "AccessDenied", 64, "may not read s3://bucket/in/ (AccessDenied: because)"),
        (404, "NoSuchBucket", 64, "no bucket bucket"),
        (404, "404", 64, "S3 rejected the request for s3://bucket/in/"),
        (400, "KMS.DisabledException", 64, "KMS.DisabledException"),
        (429, "TooManyRequests", 70, "S3 failed"),
        (503, "SlowDown", 70, "S3 failed"),
    ],
)
def test_which_errors_a_retry_may_fix(status: int, code: str, expected: int, said: str) -> None:
    response = {
        "Error": {"Code": code, "Message": "because."},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    error = bucket.refused(response, URL, fetch_inputs.PURPOSE)
    assert error.code == expected
    assert said in str(error)


def test_a_role_that_may_not_write_needs_other_rights_of_a_key() -> None:
    response = {
        "Error": {"Code": "AccessDenied", "Message": "because"},
        "ResponseMetadata": {"HTTPStatusCode": 403},
    }
    said = str(bucket.refused(response, URL, upload_outputs.PURPOSE))
    assert "the job's role may not write to s3://bucket/in/ (AccessDenied: because)" in said
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html (permissions)
    assert "add kms:GenerateDataKey and kms:Decrypt (`roles.job_policies`)" in said


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (3.4e9, "3.4 GB"), (2.5e15, "2500.0 TB")],
)
def test_sizes(size: float, text: str) -> None:
    assert bucket.size_text(size) == text
