"""Objects' names, error responses and sizes in fetching inputs."""

from __future__ import annotations

import pytest

import fetch_inputs

URL = "s3://bucket/in/"


@pytest.mark.parametrize(
    ("name", "file"),
    [("a b", True), ("sub/..c", True), ("", False), ("sub/", False), ("sub/sub/", False)],
)
def test_markers_of_folders_are_no_files(name: str, file: bool) -> None:
    assert fetch_inputs.is_file(name) is file


@pytest.mark.parametrize("name", ["..", "../a", "a/../../b", "/etc/passwd", "a//b", "./a"])
def test_no_name_leaves_the_folder(name: str) -> None:
    with pytest.raises(fetch_inputs.FetchError, match="invalid name of an object") as caught:
        fetch_inputs.is_file(name)
    assert caught.value.code == 64


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
    error = fetch_inputs._refused(response, URL)
    assert error.code == expected
    assert said in str(error)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (3.4e9, "3.4 GB"), (2.5e15, "2500.0 TB")],
)
def test_sizes(size: float, text: str) -> None:
    assert fetch_inputs.size_text(size) == text
