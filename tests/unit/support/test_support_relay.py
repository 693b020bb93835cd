"""What stands between a client and a sandbox in tests keeps their connections as both wish."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.relay import Relay
from tests.support.serving import serve

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = 30


class Server(ThreadingHTTPServer):
    """Answers each request with its path.

    Attributes:
        connections: How many clients connected.
        hangs_up: Whether it hangs up after each answer, without a word.
        hung_up: Is set then.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.connections = 0
        self.hangs_up = False
        self.hung_up = threading.Event()

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections += 1
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        self.hung_up.set()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.path)))
        self.end_headers()
        self.wfile.write(self.path.encode())
        self.close_connection = self.server.hangs_up

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = serve(server)
        yield server
        server.shutdown()
        thread.join()


@contextmanager
def connected(endpoint: str) -> Iterator[HTTPConnection]:
    connection = HTTPConnection(endpoint.removeprefix("http://"), timeout=SECONDS)
    yield connection
    connection.close()


def ask(connection: HTTPConnection, path: str) -> str:
    connection.request("GET", path)
    return connection.getresponse().read().decode()


def test_a_connection_of_a_client_is_one_to_the_sandbox(server: Server) -> None:
    with Relay(f"http://127.0.0.1:{server.server_port}") as relay:
        for number in (1, 2):
            with connected(relay.endpoint) as connection:
                assert [ask(connection, path) for path in ("/a", "/b", "/c")] == ["/a", "/b", "/c"]
            assert server.connections == number
            # It ends with the client's.
            assert server.hung_up.wait(SECONDS)
            server.hung_up.clear()


def test_a_connection_that_the_sandbox_closed_is_made_anew(server: Server) -> None:
    server.hangs_up = True
    with (
        Relay(f"http://127.0.0.1:{server.server_port}") as relay,
        connected(relay.endpoint) as connection,
    ):
        for path in ("/a", "/b"):
            assert ask(connection, path) == path
            assert server.hung_up.wait(SECONDS)
            server.hung_up.clear()
    assert server.connections == 2
