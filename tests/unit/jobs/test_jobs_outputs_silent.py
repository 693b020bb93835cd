"""Outputs that S3 does not send: timeouts of botocore are an OSError, as those of a disk are."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

from mngen._aws import translated
from mngen.errors import ToolError
from mngen.jobs._outputs import Outputs, fetch_outputs

if TYPE_CHECKING:
    from pathlib import Path


def test_a_server_that_does_not_answer(tmp_path: Path) -> None:
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
