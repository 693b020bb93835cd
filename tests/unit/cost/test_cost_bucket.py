"""Finished jobs kept in a bucket, over HTTP: who comes second adds to what the first one wrote.

How PutObject answers a condition that does not hold:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from mngen._aws import client as connected
from mngen.cost import LocalFile, S3Object, keep, place_of
from mngen.errors import InputError, ToolError
from tests.support.faults import Faults
from tests.support.sandbox import client
from tests.unit.cost.test_cost_kept import HERE, PRICES, finished

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mngen.sandbox import Sandbox

PUT, GET = "s3:PutObject", "s3:GetObject"


@pytest.fixture
def faults(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Faults]:
    monkeypatch.setattr("mngen.cost._places._PAUSE", 0.001)
    with Faults(sandbox.endpoint) as faults:
        faults.redirect(monkeypatch)
        yield faults


@pytest.fixture
def place(sandbox: Sandbox, faults: Faults) -> S3Object:
    bucket = f"kept-{uuid4().hex}"
    client(sandbox, "s3").create_bucket(Bucket=bucket)
    return S3Object(bucket, "costs/jobs 2026.csv", lambda: connected("s3", "us-east-1"))


def test_it_has_the_bytes_that_a_file_would_have(
    place: S3Object, sandbox: Sandbox, faults: Faults, tmp_path: Path
) -> None:
    file = tmp_path / "jobs.csv"
    for batch in ([finished("a")], [finished("a"), finished("b")], [finished("b")]):
        in_file, in_bucket = (keep(where, batch, PRICES, HERE) for where in (file, place))
        assert in_file == in_bucket
    found = client(sandbox, "s3").get_object(Bucket=place.bucket, Key=place.key)
    assert found["Body"].read() == file.read_bytes()
    assert found["ContentType"] == "text/csv"
    # The third one had nothing to add.
    assert (faults.count(GET), faults.count(PUT)) == (3, 2)


def test_of_two_at_the_same_time_none_is_lost(place: S3Object, sandbox: Sandbox) -> None:
    """The other one writes after this one has read: both create it, then both add to it."""
    direct = client(sandbox, "s3")
    for own, other in (("a", "b"), ("c", "d")):
        others = place._replace(connect=lambda: direct)
        reads = 0

        def late(*, other: str = other, others: S3Object = others) -> Any:
            nonlocal reads
            made = connected("s3", "us-east-1")

            def after_reading(**_: Any) -> None:
                nonlocal reads
                reads += 1
                if reads == 1:
                    assert keep(others, [finished(other)], PRICES, HERE).added == 1

            made.meta.events.register("after-call.s3.GetObject", after_reading)
            return made

        kept = keep(place._replace(connect=late), [finished(own)], PRICES, HERE)
        assert reads == 2
        assert kept.added == 1
        assert [each.usage.id for each in kept.jobs][-2:] == [other, own]
    content = direct.get_object(Bucket=place.bucket, Key=place.key)["Body"].read().decode()
    assert [line.split(",")[3] for line in content.splitlines()] == ["id", "b", "a", "d", "c"]


@pytest.mark.parametrize(
    ("code", "status"),
    [("PreconditionFailed", 412), ("ConditionalRequestConflict", 409), ("NoSuchKey", 404)],
)
def test_a_conflict_is_tried_again_but_not_for_ever(
    code: str, status: int, place: S3Object, faults: Faults
) -> None:
    faults.fail(PUT, code, status=status, times=2)
    assert keep(place, [finished("a")], PRICES, HERE).added == 1
    assert (faults.count(GET), faults.count(PUT)) == (3, 3)
    faults.fail(PUT, code, status=status)
    with pytest.raises(ToolError, match=r"others changed it meanwhile, 10 times in a row"):
        keep(place, [finished("b")], PRICES, HERE)


def test_an_answer_that_is_lost_adds_nothing_twice(
    place: S3Object, sandbox: Sandbox, faults: Faults
) -> None:
    faults.lose(PUT, times=1)
    kept = keep(place, [finished("a")], PRICES, HERE)
    assert [each.usage.id for each in kept.jobs] == ["a"]
    found = client(sandbox, "s3").get_object(Bucket=place.bucket, Key=place.key)
    assert len(found["Body"].read().splitlines()) == 2


def test_what_is_damaged_or_refused_stays_as_it_is(
    place: S3Object, sandbox: Sandbox, faults: Faults
) -> None:
    direct = client(sandbox, "s3")
    direct.put_object(Bucket=place.bucket, Key=place.key, Body=b"a,b\n1,2\n")
    with pytest.raises(InputError, match="the file of kept jobs is damaged") as damaged:
        keep(place, [finished("a")], PRICES, HERE)
    assert damaged.value.problems[0].file == f"s3://{place.bucket}/costs/jobs 2026.csv"
    assert faults.count(PUT) == 0
    direct.delete_object(Bucket=place.bucket, Key=place.key)
    for action in (GET, PUT):
        faults.fail(action, "AccessDenied", "Access Denied", status=403, times=1)
        with pytest.raises(ToolError, match=f"{place}: AWS denies {action[3:]}") as denied:
            keep(place, [finished("a")], PRICES, HERE)
        assert "s3:ListBucket for the bucket" in str(denied.value.problems[0].hint)
    faults.fail(GET, "ExpiredToken", status=400, times=1)
    with pytest.raises(ToolError, match="credentials have expired") as expired:
        keep(place, [finished("a")], PRICES, HERE)
    assert "log in again" in str(expired.value.problems[0].hint)
    nowhere = place._replace(bucket=f"none-{uuid4().hex}")
    with pytest.raises(ToolError, match=f"cannot keep jobs in {nowhere}: .*NoSuchBucket") as none:
        keep(nowhere, [finished("a")], PRICES, HERE)
    assert "aws s3 mb" in str(none.value.problems[0].hint)


def test_what_names_an_object() -> None:
    def none() -> Any:
        raise AssertionError

    found = place_of("s3://lab-costs/a/b.csv", none)
    assert isinstance(found, S3Object)
    assert (found.bucket, found.key, str(found)) == (
        "lab-costs",
        "a/b.csv",
        "s3://lab-costs/a/b.csv",
    )
    for mark in "/:":
        point = f"arn:aws:s3:us-east-1:123456789012:accesspoint{mark}costs"
        found = place_of(f"s3://{point}/a/jobs.csv", none)
        assert isinstance(found, S3Object)
        assert (found.bucket, found.key) == (point, "a/jobs.csv")
    for text in ("jobs.csv", "/a/s3://b", "s3"):
        assert isinstance(place_of(text, none), LocalFile)
    for text in (
        "s3:",
        "S3://lab/a",
        "s3:/lab/jobs.csv",
        "s3://lab",
        "s3://lab/",
        "s3://lab/costs/",
        "s3:///a",
    ):
        with pytest.raises(InputError, match="is not an object in a bucket"):
            place_of(text, none)
