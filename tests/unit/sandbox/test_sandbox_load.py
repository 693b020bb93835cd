"""What the emulator answers where moto cannot be loaded, which is after it takes requests."""

from __future__ import annotations

import json
import sys
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pytest

from mngen.sandbox import emulator
from mngen.sandbox._process import HEALTH_PATH
from mngen.sandbox.emulator._http import answer_of
from mngen.sandbox.emulator._server import FAULT, Application

if TYPE_CHECKING:
    from pathlib import Path

SCOPE = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/{}/aws4_request, Signature=0"


def request(path: str = "/", service: str = "batch") -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": path,
        "HTTP_AUTHORIZATION": SCOPE.format(service),
        "wsgi.input": BytesIO(b""),
    }


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Application:
    """An emulator whose moto has lost a part."""
    monkeypatch.delattr(emulator, "_moto", raising=False)
    monkeypatch.setitem(sys.modules, "mngen.sandbox.emulator._moto", None)
    # That is for a whole process.
    monkeypatch.setattr("mngen._descriptions.read_once", lambda: None)
    return Application(tmp_path, "instance")


@pytest.mark.parametrize("service", ["batch", "ec2", "s3", "iam"])
def test_each_request_is_told_why(
    service: str, broken: Application, caplog: pytest.LogCaptureFixture
) -> None:
    broken.load()
    assert "the emulator cannot be loaded" in caplog.text
    for _ in range(2):
        status, _, body = answer_of(broken, request(service=service))
        # A client tries again after a fault of the server's.
        assert status == "400 Bad Request"
        assert FAULT in body.decode()
        assert "could not be loaded: import of mngen.sandbox.emulator._moto halted" in body.decode()


def test_it_still_identifies_itself(broken: Application) -> None:
    broken.load()
    status, _, body = answer_of(broken, request(HEALTH_PATH))
    assert status == "200 OK"
    assert json.loads(body)["instance"] == "instance"
