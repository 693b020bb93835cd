"""What the emulator does while moto is loaded, and where it cannot be: it takes requests before."""

from __future__ import annotations

import json
import sys
import threading
from http.client import HTTPConnection
from io import BytesIO
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("werkzeug")

from mngen.errors import ToolError
from mngen.sandbox import _process, emulator
from mngen.sandbox._process import HEALTH_PATH
from mngen.sandbox.emulator._control import PATH as CONTROL_PATH
from mngen.sandbox.emulator._http import HOST, answer_of, make_http_server, serve, stop
from mngen.sandbox.emulator._server import FAULT, Application

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

SCOPE = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/{}/aws4_request, Signature=0"


def request(path: str = "/", service: str = "batch") -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": path,
        "HTTP_AUTHORIZATION": SCOPE.format(service),
        "wsgi.input": BytesIO(b""),
    }


def application(
    module: ModuleType | None, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Application:
    """Return an emulator with something else in moto's place."""
    monkeypatch.delattr(emulator, "_moto", raising=False)
    monkeypatch.setitem(sys.modules, "mngen.sandbox.emulator._moto", module)
    # That is for a whole process.
    monkeypatch.setattr("mngen._descriptions.read_once", lambda: None)
    return Application(folder, "instance")


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Application:
    """An emulator whose moto has lost a part."""
    return application(None, tmp_path, monkeypatch)


class Served:
    """An emulator that serves on loopback."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._server = make_http_server(0, application)
        self.endpoint = f"http://{HOST}:{self._server.port}"
        self._thread = threading.Thread(target=serve, args=(self._server,), daemon=True)
        self._thread.start()

    def ask(self, method: str, path: str) -> tuple[int, bytes]:
        connection = HTTPConnection(HOST, self._server.port, timeout=60)
        connection.request(method, path, b"{}", {"Authorization": SCOPE.format("batch")})
        answer = connection.getresponse()
        try:
            return answer.status, answer.read()
        finally:
            connection.close()

    def stop(self) -> None:
        stop(self._server)
        self._thread.join()


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


def test_the_control_is_told_why(broken: Application) -> None:
    # Whether the load or a request failed, the next one is told the same.
    for _ in range(2):
        status, _, body = answer_of(broken, request(CONTROL_PATH) | {"CONTENT_LENGTH": "0"})
        assert status == "400 Bad Request"
        assert "could not be loaded: import of mngen.sandbox.emulator._moto halted" in body.decode()


def test_a_reset_that_is_refused_is_an_error(broken: Application) -> None:
    served = Served(broken)
    try:
        with pytest.raises(ToolError, match=r"could not be loaded: import of .* halted") as caught:
            _process.reset(served.endpoint)
    finally:
        served.stop()
    [problem] = caught.value.problems
    assert problem.hint is not None
    assert "pip install 'mngen[sandbox]'" in problem.hint


def test_so_is_one_that_another_server_refuses() -> None:
    def other(_environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("404 Not Found", [])
        return [b"<!doctype html>"]

    served = Served(other)
    try:
        with pytest.raises(ToolError, match=f"{served.endpoint}: HTTP status 404"):
            _process.reset(served.endpoint)
    finally:
        served.stop()


class Loading:
    """An emulator that is served while its load has begun and waits to be let on."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.loads = 0
        self.let_on, begun = threading.Event(), threading.Event()

        def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            start_response("200 OK", [])
            return [environ["PATH_INFO"].encode()]

        def load(_machines: object) -> Callable[..., Iterable[bytes]]:
            self.loads += 1
            begun.set()
            self.let_on.wait()
            return answer

        module: Any = ModuleType("_moto")
        module.load = load
        own = application(module, folder, monkeypatch)
        self.served = Served(own)
        self._load = threading.Thread(target=own.load, daemon=True)
        self._load.start()
        begun.wait()

    def end(self) -> None:
        self.let_on.set()
        self._load.join()


@pytest.fixture
def loading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loading]:
    found = Loading(tmp_path, monkeypatch)
    yield found
    found.end()
    found.served.stop()


def meanwhile(loading: Loading, call: Callable[[], Any]) -> Any:
    """Return what a call gives that begins while the emulator is loaded, and cannot end then."""
    given: list[Any] = []
    thread = threading.Thread(target=lambda: given.append(call()), daemon=True)
    thread.start()
    # Who it is, it tells at any time.
    for _ in range(3):
        assert loading.served.ask("GET", HEALTH_PATH)[0] == 200
    assert not given
    loading.let_on.set()
    thread.join()
    # moto's patches fit once.
    assert loading.loads == 1
    return given


def test_a_request_waits_for_the_load(loading: Loading) -> None:
    [answer] = meanwhile(loading, lambda: loading.served.ask("POST", "/v1/submitjob"))
    assert answer == (200, b"/v1/submitjob")


def test_a_reset_waits_for_the_load(loading: Loading) -> None:
    assert meanwhile(loading, lambda: _process.reset(loading.served.endpoint)) == [None]


def test_the_server_stops_while_it_loads(loading: Loading) -> None:
    loading.served.stop()
    assert not loading.let_on.is_set()
