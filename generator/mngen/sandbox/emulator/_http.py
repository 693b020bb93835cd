"""The HTTP server of the emulator: werkzeug's, which keeps connections here."""

from __future__ import annotations

import logging
import socket
import threading
from contextlib import suppress
from http import HTTPStatus
from io import BytesIO
from typing import TYPE_CHECKING, Any

from werkzeug.serving import WSGIRequestHandler, make_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from werkzeug.serving import BaseWSGIServer

HOST = "127.0.0.1"

HEADER = "mngen.header"
"""Where the header of a request is in what an application gets: a list of names, as they were sent,
and values."""

Answer = tuple[str, list[tuple[str, str]], bytes]
"""Status, headers and body."""

_IDLE_SECONDS = 3600.0
_AGAIN_SECONDS = 0.05
_BODILESS = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)


def answer_of(application: Callable[..., Iterable[bytes]], environ: dict[str, Any]) -> Answer:
    """Returns what a WSGI application answers to a request."""
    head: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], _fault: Any = None) -> Any:
        head[:] = [status, headers]
        return lambda _data: None

    body = b"".join(application(environ, start_response))
    status, headers = head
    return status, headers, body


def make_http_server(port: int, application: Callable[..., Iterable[bytes]]) -> BaseWSGIServer:
    """Binds an application to a loopback port; port 0 takes a free one.

    Args:
        port: The port.
        application: A WSGI application. The body of each request is a `BytesIO`.

    Raises:
        OSError: The port is taken.
    """
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    # werkzeug exits if it cannot bind itself.
    with socket.create_server((HOST, port)) as listening:
        return make_server(
            HOST,
            listening.getsockname()[1],
            application,
            threaded=True,
            request_handler=_Handler,
            fd=listening.fileno(),
        )


def serve(server: BaseWSGIServer) -> None:
    """Answers until `stop`.

    A server looks after each connection, and after some time, whether it is to stop. To do that ten
    times a second, as is usual, takes more processor time than all else while nothing is asked.
    """
    server.serve_forever(poll_interval=_IDLE_SECONDS)


def stop(server: BaseWSGIServer) -> None:
    """Has `serve` return, and waits for that; to be called in another thread."""
    ending = threading.Thread(target=server.shutdown, daemon=True)
    ending.start()
    while ending.is_alive():
        # Wakes it. One may come before it is to stop.
        with suppress(OSError):
            socket.create_connection((HOST, server.port), _AGAIN_SECONDS).close()
        ending.join(_AGAIN_SECONDS)


class _Handler(WSGIRequestHandler):
    """Sends an answer at once, however small, and keeps the connection for the next request.

    werkzeug closes each connection, since it does not know whether an application has read all of a
    request. Here all of it is read before the application is asked, and its answer is at hand
    before anything is sent. A Terraform run makes a thousand requests, mostly over few connections.
    """

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    # The head and the body of an answer leave together.
    wbufsize = -1

    def handle_expect_100(self) -> bool:
        """Asks a client for the body that it holds back."""
        answered = super().handle_expect_100()
        self.wfile.flush()
        return answered

    def run_wsgi(self) -> None:
        """Answers one request."""
        environ = self.make_environ()
        received = environ["wsgi.input"]
        is_chunked = environ.get("wsgi.input_terminated", False)
        length = -1 if is_chunked else int(environ.get("CONTENT_LENGTH") or 0)
        environ["wsgi.input"] = BytesIO(received.read(length))
        environ[HEADER] = self.headers.items()
        status, headers, body = answer_of(self.server.app, environ)
        code, _, reason = status.partition(" ")
        self.send_response(int(code), reason)
        for name, value in headers:
            self.send_header(name, value)
        # https://www.rfc-editor.org/rfc/rfc9110#section-8.6
        has_body = self.command != "HEAD" and int(code) not in _BODILESS
        if has_body and all(name.lower() != "content-length" for name, _ in headers):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if has_body:
            self.wfile.write(body)
