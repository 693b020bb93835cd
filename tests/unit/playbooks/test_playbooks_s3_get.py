"""The script that copies the EFA installer from a bucket, against a metadata service and an S3."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from mngen._resources import playbooks
from tests.support.instance import SECRET, TOKEN, Servers, serving
from tests.support.needs import lacking

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(lacking("curl") is not None, reason=str(lacking("curl")))

SCRIPT = playbooks() / "roles" / "efa" / "files" / "mngen-s3-get.sh"


def get(servers: Servers, folder: Path, *names: str) -> tuple[int, str]:
    url = f"http://127.0.0.1:{servers.server_port}"
    done = subprocess.run(
        ["/bin/sh", str(SCRIPT), "s3://my-software/efa/", str(folder), *names],
        env={"PATH": os.environ["PATH"], "MNGEN_METADATA": url, "MNGEN_S3": url},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout == ""
    for secret in (SECRET, TOKEN):
        assert secret not in done.stderr
    return done.returncode, done.stderr


def test_objects_are_copied_with_the_rights_of_the_role(tmp_path: Path) -> None:
    with serving() as servers:
        servers.objects = {"/my-software/efa/a.key": b"key", "/my-software/efa/b.tar.gz": b"\0\1"}
        assert get(servers, tmp_path, "a.key", "b.tar.gz") == (0, "")
    assert (tmp_path / "a.key").read_bytes() == b"key"
    assert (tmp_path / "b.tar.gz").read_bytes() == b"\0\1"
    assert (tmp_path / "a.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (403, "access denied to builder, which needs s3:GetObject"),
        (404, "s3://my-software/efa/a.key does not exist"),
        (301, "is not in us-east-1: use a bucket of the deployment's region"),
        (400, "S3 answered with status 400"),
    ],
)
def test_what_s3_refuses_is_explained(status: int, says: str, tmp_path: Path) -> None:
    with serving() as servers:
        servers.status = status
        code, error = get(servers, tmp_path, "a.key")
    assert code == 1
    assert says in error


def test_an_instance_without_a_role_is_named(tmp_path: Path) -> None:
    with serving() as servers:
        del servers.metadata["iam/security-credentials/"]
        code, error = get(servers, tmp_path, "a.key")
    assert code == 1
    assert "the instance has no role" in error
