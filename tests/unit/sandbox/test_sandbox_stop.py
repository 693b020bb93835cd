"""The end of the emulator's server, which looks for it only when something comes."""

from __future__ import annotations

import threading
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("werkzeug")

from mngen.sandbox.emulator._http import HOST, make_http_server, serve, stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def application(_environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", [])
    return [b"here"]


@pytest.mark.parametrize("asked", [False, True])
def test_a_server_stops_though_nothing_comes(asked: bool) -> None:
    server = make_http_server(0, application)
    thread = threading.Thread(target=serve, args=(server,), daemon=True)
    thread.start()
    # A client may keep its connection.
    connection = HTTPConnection(HOST, server.port, timeout=60)
    if asked:
        connection.request("GET", "/")
        assert connection.getresponse().read() == b"here"
    stop(server)
    thread.join()
    connection.close()


def test_one_that_does_not_serve_yet_stops_as_it_begins() -> None:
    server = make_http_server(0, application)
    stopping = threading.Thread(target=stop, args=(server,), daemon=True)
    stopping.start()
    # Where it is told in time, it serves nothing; otherwise it is woken.
    serve(server)
    stopping.join()
