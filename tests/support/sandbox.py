"""Talking to a sandbox from a test, and traps for what must not be talked to."""

from __future__ import annotations

import socket
import threading
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import boto3

if TYPE_CHECKING:
    from mngen.sandbox import Sandbox


def client(sandbox: Sandbox, service: str, region: str = "us-east-1") -> Any:
    """Make a boto3 client that talks to a sandbox."""
    with sandbox.applied(region):
        session: Any = boto3.session.Session()
        return session.client(service)


class Trap:
    """A loopback port on which nothing may arrive; it keeps what does.

    Attributes:
        endpoint: Its URL.
        caught: The first bytes of every connection.
    """

    def __init__(self) -> None:
        self.caught: list[bytes] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._catch, daemon=True)

    def _catch(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                try:
                    self.caught.append(connection.recv(500))
                    connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
                except OSError:
                    self.caught.append(b"")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # close() alone does not wake a thread that waits in accept().
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


class Recorder:
    """A loopback port that hands requests on to a sandbox and keeps their headers.

    Attributes:
        endpoint: Its URL.
        requests: Headers of every request, names in lower case.
    """

    def __init__(self, target: str) -> None:
        requests: list[dict[str, str]] = []
        parts = urlsplit(target)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def relay(self) -> None:
                requests.append({name.lower(): value for name, value in self.headers.items()})
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                onward = HTTPConnection(parts.hostname or "", parts.port, timeout=60)
                onward.request(self.command, self.path, body, dict(self.headers.items()))
                answer = onward.getresponse()
                data = answer.read()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
                onward.close()

            def __getattr__(self, name: str) -> Any:
                if name.startswith("do_"):
                    return self.relay
                raise AttributeError(name)

            def log_request(self, *_: object, **__: object) -> None:
                return

        self.requests = requests
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
