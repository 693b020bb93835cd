"""Outputs of arrays, without a sandbox: which of their jobs are looked at, and where files go.

The stand-in for S3 groups keys as the API documents it:
https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html (Delimiter, CommonPrefixes).
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mngen.cli.fetch import _find
from mngen.cluster import OUTPUTS_TO_VARIABLE
from mngen.errors import InputError
from mngen.jobs import folder_name
from mngen.jobs._outputs import find_array_outputs, find_outputs
from mngen.spec import load_text

if TYPE_CHECKING:
    from collections.abc import Sequence

SPEC = load_text(
    b"""\
name: lab
region: us-east-1
storage: {bucket: results}
environments:
  m4: {instance: m4.4xlarge, max_nodes: 8, multi_node: false}
queues:
  small: {environments: [m4]}
jobs:
  rows: {queue: small, command: [hostname], outputs: "/efs/runs/{job}"}
"""
).require()
ARRAY = "0f3b8a52-6d1c-4c66-9df1-9b7a5b5d2d10"


class S3:
    """A bucket with what jobs have uploaded."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def upload(self, job: str, attempt: int = 1, **files: bytes) -> None:
        prefix = f"mngen/lab/outputs/{job}/{attempt}"
        self.objects |= {f"{prefix}/{name}": body for name, body in files.items()}
        size = sum(map(len, files.values()))
        record = {"folder": "/efs/runs/x", "files": len(files), "bytes": size}
        self.objects[f"{prefix}.json"] = json.dumps(record).encode()

    def get_paginator(self, name: str) -> S3:
        assert name == "list_objects_v2"
        return self

    def paginate(self, **wanted: str) -> list[dict[str, Any]]:
        keys = [key for key in sorted(self.objects) if key.startswith(wanted["Prefix"])]
        if "Delimiter" not in wanted:
            return [{"Contents": [{"Key": key, "Size": len(self.objects[key])}]} for key in keys]
        first = len(wanted["Prefix"])
        groups = {key[: key.index(wanted["Delimiter"], first) + 1] for key in keys}
        return [{"CommonPrefixes": [{"Prefix": each}]} for each in sorted(groups)]

    def get_object(self, **wanted: str) -> dict[str, Any]:
        return {"Body": io.BytesIO(self.objects[wanted["Key"]])}


def described(job: str, status: str = "SUCCEEDED", **keys: Any) -> Any:
    variables = [{"name": OUTPUTS_TO_VARIABLE, "value": "s3://results/x"}]
    return {"jobId": job, "status": status, "container": {"environment": variables}, **keys}


class Batch:
    """Describes jobs by their IDs, and leaves out those that it has no record of."""

    def __init__(self, *jobs: Any) -> None:
        self.jobs = {each["jobId"]: each for each in jobs}

    def __call__(self, ids: Sequence[str]) -> list[Any]:
        return [self.jobs[each] for each in ids if each in self.jobs]


def parent(size: int, status: str = "SUCCEEDED") -> Any:
    return described(ARRAY, status, arrayProperties={"size": size})


def found(s3: Any, batch: Batch, job: str = ARRAY, attempt: int | None = None) -> Any:
    return find_array_outputs(s3, SPEC, job, batch, attempt)


def test_each_job_of_an_array_has_outputs() -> None:
    s3 = S3()
    for index in range(12):
        s3.upload(f"{ARRAY}:{index}", out=b"%d" % index)
    jobs = Batch(parent(12), *(described(f"{ARRAY}:{index}") for index in range(12)))
    outputs = found(s3, jobs)
    assert (outputs.id, outputs.problems) == (ARRAY, ())
    assert [each.id for each in outputs.jobs] == [f"{ARRAY}:{index}" for index in range(12)]
    assert outputs.jobs[11].objects == {"out": 2}
    assert outputs.jobs[11].url == f"s3://results/mngen/lab/outputs/{ARRAY}:11/1/"


def test_of_a_forgotten_array_the_bucket_shows_the_jobs() -> None:
    s3 = S3()
    for index in (10, 9, 2):
        s3.upload(f"{ARRAY}:{index}", out=b"1")
    s3.upload(f"{ARRAY}0:1", out=b"another")
    assert [each.id for each in found(s3, Batch()).jobs] == [
        f"{ARRAY}:{index}" for index in (2, 9, 10)
    ]


@pytest.mark.parametrize("job", [ARRAY, f"{ARRAY}:1"])
def test_what_is_not_an_array(job: str) -> None:
    s3 = S3()
    s3.upload(job, out=b"1")
    assert found(s3, Batch(described(job)), job) is None
    assert found(s3, Batch(), job) is None
    assert found(s3, Batch(), "a/b") is None


def test_jobs_without_outputs_are_named() -> None:
    s3 = S3()
    s3.upload(f"{ARRAY}:0", out=b"1")
    s3.upload(f"{ARRAY}:2", attempt=1, out=b"1")
    s3.upload(f"{ARRAY}:2", attempt=2, out=b"12")
    children = (
        described(f"{ARRAY}:0"),
        described(f"{ARRAY}:1", "RUNNING"),
        described(f"{ARRAY}:2", "FAILED", startedAt=1),
        described(f"{ARRAY}:3", "FAILED", startedAt=1),
    )
    batch = Batch(parent(4, "PENDING"), *children)
    outputs = found(s3, batch)
    assert [(each.id[-1], each.attempt) for each in outputs.jobs] == [("0", 1), ("2", 2)]
    running, failed = outputs.problems
    assert running.message.startswith(f"job `{ARRAY}:1` is RUNNING")
    assert failed.message.startswith(f"no outputs of job `{ARRAY}:3`")
    second = found(s3, batch, attempt=2)
    assert [each.id for each in second.jobs] == [f"{ARRAY}:2"]


def test_an_array_of_which_no_job_has_outputs() -> None:
    s3: Any = S3()
    batch = Batch(parent(2), *(described(f"{ARRAY}:{index}", "RUNNING") for index in range(2)))
    with pytest.raises(InputError, match="none of the 2 jobs of the array") as caught:
        found(s3, batch)
    assert f"the first: job `{ARRAY}:0` is RUNNING" in str(caught.value)
    with pytest.raises(InputError, match="is an array of 2 jobs, which have outputs each"):
        find_outputs(s3, SPEC, ARRAY, batch.jobs.get)


@pytest.mark.parametrize(
    ("jobs", "to", "folders"),
    [
        ([ARRAY], None, [f"{ARRAY}/0", f"{ARRAY}/1"]),
        ([ARRAY], Path("got"), ["got/0", "got/1"]),
        ([ARRAY, "one"], Path("got"), [f"got/{ARRAY}/0", f"got/{ARRAY}/1", "got/one"]),
        (["one"], Path("got"), ["got"]),
        ([f"{ARRAY}:1"], None, [folder_name(f"{ARRAY}:1")]),
    ],
)
def test_the_folders(jobs: list[str], to: Path | None, folders: list[str]) -> None:
    s3: Any = S3()
    children = [f"{ARRAY}:{index}" for index in range(2)]
    for each in (*children, "one"):
        s3.upload(each, out=b"1")
    batch = Batch(parent(2), *map(described, (*children, "one")))

    class Jobs:
        def find_array_outputs(self, job: str, *, attempt: int | None) -> Any:
            return found(s3, batch, job, attempt)

        def find_outputs(self, job: str, *, attempt: int | None) -> Any:
            return find_outputs(s3, SPEC, job, batch.jobs.get, attempt)

    opened: Any = Jobs()
    wanted, problems = _find(opened, jobs, to, None)
    assert ([str(folder) for _, folder in wanted], problems) == (folders, [])
