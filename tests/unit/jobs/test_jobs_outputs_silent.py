"""Outputs that are not there, without a sandbox: a silent S3, and parents of arrays."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

from mngen._aws import translated
from mngen.errors import InputError, ToolError
from mngen.jobs._outputs import Outputs, fetch_outputs, find_outputs
from mngen.spec import load_text

if TYPE_CHECKING:
    from pathlib import Path


SPEC = b"""\
name: lab
region: us-east-1
storage: {bucket: results}
environments:
  r5: {instance: r5.xlarge, max_nodes: 2}
queues:
  mpi: {environments: [r5]}
jobs:
  solve: {queue: mpi, command: [simpleFoam], outputs: "/efs/runs/{job}"}
"""


def test_a_server_that_does_not_answer(tmp_path: Path) -> None:
    """Timeouts of botocore are an OSError, as errors of a disk are."""
    found = Outputs("j", 1, "s3://results/mngen/a/outputs/j/1/", {"a.txt": 1}, files=1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        s3: Any = boto3.client(
            "s3",
            region_name="us-east-1",
            endpoint_url=f"http://127.0.0.1:{silent.getsockname()[1]}",
            aws_access_key_id="none",
            aws_secret_access_key="none",
            config=Config(read_timeout=0.2, retries={"total_max_attempts": 1}),
        )
        with pytest.raises(ToolError) as caught, translated():
            fetch_outputs(s3, found, tmp_path / "got")
    assert "cannot write" not in str(caught.value)
    assert not (tmp_path / "got").exists()


@pytest.mark.parametrize("attempt", [None, 1])
@pytest.mark.parametrize("status", ["PENDING", "SUCCEEDED"])
def test_the_parent_of_an_array(status: str, attempt: int | None) -> None:
    """`size` is the parent's: batch/latest/APIReference/API_ArrayPropertiesDetail.html."""
    spec = load_text(SPEC).require()
    no_s3: Any = None
    described: Any = {"status": status, "arrayProperties": {"size": 3, "statusSummary": {}}}
    with pytest.raises(InputError, match="job `a-b` is an array of 3 jobs") as caught:
        find_outputs(no_s3, spec, "a-b", lambda _: described, attempt)
    assert str(caught.value.problems[0].hint) == "name one of them, from a-b:0 to a-b:2"
