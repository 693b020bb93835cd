"""All clients of a process have one session, as long as its environment stays."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from mngen._aws import client

if TYPE_CHECKING:
    from pathlib import Path

# Source: https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html
PROCESS = """#!/bin/sh
echo asked >> "$0.log"
echo '{"Version": 1, "AccessKeyId": "AKIAPROCESS", "SecretAccessKey": "x"}'
"""
CONFIG = """
[profile process]
region = eu-west-1
credential_process = {}

[profile keys]
region = eu-west-2
aws_access_key_id = AKIAKEYS
aws_secret_access_key = x
"""


@pytest.fixture
def process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that gives the credentials of a profile, with a log of how often it was asked."""
    program = tmp_path / "credentials"
    program.write_text(PROCESS, encoding="utf-8")
    program.chmod(0o755)
    (tmp_path / "config").write_text(CONFIG.format(program), encoding="utf-8")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    return program


def test_credentials_are_asked_for_once(process: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for the MFA code of a role, which botocore asks for where it loads credentials."""
    monkeypatch.setenv("AWS_PROFILE", "process")
    with ThreadPoolExecutor(4) as pool:
        clients = list(pool.map(client, ["ec2", "batch", "ecs", "logs"]))
    assert {each.meta.region_name for each in clients} == {"eu-west-1"}
    assert {each._request_signer._credentials.access_key for each in clients} == {"AKIAPROCESS"}
    assert process.with_name("credentials.log").read_text(encoding="utf-8") == "asked\n"


def test_another_environment_has_another_session(
    process: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for profile, region, key in (
        ("process", "eu-west-1", "AKIAPROCESS"),
        ("keys", "eu-west-2", "AKIAKEYS"),
    ):
        monkeypatch.setenv("AWS_PROFILE", profile)
        made = client("ec2")
        assert made.meta.region_name == region
        assert made._request_signer._credentials.access_key == key


def test_what_botocore_does_not_read_keeps_the_session(
    process: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "process")
    for name in ("XDG_STATE_HOME", "COLUMNS"):
        monkeypatch.setenv(name, "80")
        assert client("ec2")._request_signer._credentials.access_key == "AKIAPROCESS"
    assert process.with_name("credentials.log").read_text(encoding="utf-8") == "asked\n"
