"""A loopback port that stands between AWS clients and a sandbox, and hands requests on."""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from select import POLLIN, poll
from typing import Any, Self
from urllib.parse import urlsplit

from tests.support.serving import serve

_METHODS = tuple(f"do_{verb}" for verb in ("GET", "POST", "PUT", "DELETE", "HEAD", "PATCH"))
_OF_THE_CONNECTION = ("content-length", "transfer-encoding", "connection")
_SECONDS = 60


@dataclass(frozen=True)
class Request:
    """A request as it came.

    Attributes:
        method: The HTTP method.
        target: Path and query.
        headers: The headers, names in lower case.
        body: What came after them.
    """

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What a request is answered: status, headers but for those of the connection, body."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Relay:
    """Hands each request on to a sandbox and its answer back; a subclass steps in between.

    Attributes:
        endpoint: Its URL.
    """

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        self._target = (parts.hostname or "", parts.port)
        self._of_thread = threading.local()
        relay = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def pass_on(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                length = int(headers.get("content-length") or 0)
                body = self.rfile.read(length)
                if len(body) < length:
                    # Its client was killed meanwhile. AWS ignores such a request, too.
                    self.close_connection = True
                    return
                answer = relay.handle(Request(self.command, self.path, headers, body))
                if answer is None:
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                announced = str(len(answer.body))
                for name, value in answer.headers:
                    if name.lower() not in _OF_THE_CONNECTION:
                        self.send_header(name, value)
                    elif name.lower() == "content-length" and self.command == "HEAD":
                        announced = value
                self.send_header("Content-Length", announced)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(answer.body)

            locals().update(dict.fromkeys(_METHODS, pass_on))

            def finish(self) -> None:
                super().finish()
                relay._onward().close()

            def log_request(self, *_: object, **__: object) -> None:
                return

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def handle(self, request: Request) -> Answer | None:
        """Answer a request, in a thread of its connection's own; None hangs up instead."""
        return self.forward(request)

    def forward(self, request: Request) -> Answer:
        """Have the sandbox answer a request; the connection serves the next of this thread."""
        onward = self._onward()
        try:
            onward.request(request.method, request.target, request.body, request.headers)
            answer = onward.getresponse()
            return Answer(answer.status, tuple(answer.getheaders()), answer.read())
        except BaseException:
            onward.close()
            raise

    def _onward(self) -> HTTPConnection:
        """Return this thread's connection to the sandbox, without a socket that was hung up on."""
        kept: HTTPConnection | None = getattr(self._of_thread, "connection", None)
        if kept is None:
            kept = self._of_thread.connection = HTTPConnection(*self._target, timeout=_SECONDS)
        # Between an answer and the next request nothing comes but the end.
        if kept.sock is not None:
            waiting = poll()
            waiting.register(kept.sock, POLLIN)
            if waiting.poll(0):
                kept.close()
        return kept

    def __enter__(self) -> Self:
        self._thread = serve(self._server)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    """Waits for no client that keeps its connection open, and bears one that was killed."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)
