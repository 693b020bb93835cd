"""Serves moto on loopback, with its gaps closed and its faults reported as AWS reports them.

This module runs in a separate process (`python -m mngen.sandbox`): moto keeps its state in
globals, reads settings from the environment as it is imported, and takes a second to import.
"""

from __future__ import annotations

import json
import logging
import os
import re
import socket
import threading
import time
from functools import cache
from http import HTTPStatus
from io import BytesIO
from typing import TYPE_CHECKING, Any

from moto.core import responses
from moto.core.utils import method_names_from_class
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

from mngen import __version__
from mngen.sandbox._process import HEALTH_PATH, RESET_PATH
from mngen.sandbox.emulator import _serialize
from mngen.sandbox.emulator._control import PATH as CONTROL_PATH
from mngen.sandbox.emulator._control import control
from mngen.sandbox.emulator._gaps import close_gaps
from mngen.sandbox.emulator._patch import patch_attribute
from mngen.sandbox.emulator._pricing import SERVICE as PRICING
from mngen.sandbox.emulator._pricing import price_list
from mngen.sandbox.emulator._protocol import error_document
from mngen.sandbox.machines._machines import Machines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from werkzeug.serving import BaseWSGIServer

HOST = "127.0.0.1"

NOT_IMPLEMENTED = "SandboxNotImplemented"
"""Error code for an action that the emulator does not have. No AWS client retries it."""

FAULT = "SandboxFault"
"""Error code for an action that the emulator has and that failed inside. No client retries it."""

_BODILESS = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)

_REMEMBERED = 1_000
"""Answers kept for a client that asks again, which it does within seconds."""

_SCOPE = re.compile(r"Credential=[^/,\s]+/\d{8}/(?P<region>[^/]*)/(?P<service>[^/]+)/aws4_request")
_ACTION = re.compile(rb"(?:^|&)Action=(\w+)")
_CLIENT_TOKEN = re.compile(rb"(?:^|&)ClientToken=([^&]+)")
logger = logging.getLogger("mngen.sandbox")

_Answer = tuple[str, list[tuple[str, str]], bytes]
"""Status, headers and body."""


class Application:
    """A WSGI application around moto's that never answers with a server error.

    AWS clients retry on 5xx, Terraform's provider for many minutes, so a fault inside the emulator
    is answered as a client error that names the action. Requests are served one after another:
    moto's state is not made for threads, and Terraform sends ten requests at a time.

    The body of each is a `BytesIO`, as `_Handler` makes it.

    Attributes:
        last_request: Monotonic time of the last request, in seconds.
        machines: The machines that some of its instances are.
    """

    def __init__(self, home: Path, instance: str) -> None:
        self.last_request = time.monotonic()
        self._moto = _Dispatcher(_make_app)
        self._lock = threading.Lock()
        self._repeatable: dict[str, _Answer] = {}
        self.machines = Machines(home)
        self._health = {
            "home": str(home),
            "instance": instance,
            "pid": os.getpid(),
            "version": __version__,
        }

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answers one request."""
        self.last_request = time.monotonic()
        if environ.get("PATH_INFO") == HEALTH_PATH:
            start_response("200 OK", [("Content-Type", "application/json")])
            return [json.dumps(self._health).encode()]
        if environ.get("PATH_INFO") == CONTROL_PATH:
            return self._control(environ, start_response)
        if environ.get("PATH_INFO") == RESET_PATH:
            self._repeatable.clear()
        _keep_form(environ)
        token = _token(environ)
        try:
            with self._lock:
                self.machines.settle()
                if token in self._repeatable:
                    answer = self._repeatable[token]
                else:
                    answers = price_list if _service(environ) == PRICING else self._moto
                    answer = _answer_of(answers, environ)
                if token and answer[0].startswith("200"):
                    self._repeatable[token] = answer
                    if len(self._repeatable) > _REMEMBERED:
                        del self._repeatable[next(iter(self._repeatable))]
        except NotImplementedError as error:
            return _refuse(environ, start_response, NOT_IMPLEMENTED, str(error))
        # Whatever fails inside moto must reach the client as an answer, not as a hang-up.
        except Exception as error:
            logger.exception("%s", describe_request(environ))
            return _refuse(environ, start_response, FAULT, f"{type(error).__name__}: {error}")
        finally:
            self.last_request = time.monotonic()
        status, headers, body = answer
        code = int(status.split(" ", 1)[0])
        if code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            logger.warning("%s -> %s %s", describe_request(environ), status, body[:2000])
            return _refuse(environ, start_response, FAULT, body.decode(errors="replace")[:500])
        if _is_unrouted(code, headers, body, environ):
            return _refuse(environ, start_response, NOT_IMPLEMENTED, "no such action")
        start_response(status, headers)
        return [body]

    def _control(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        status = "200 OK"
        try:
            with self._lock:
                answer = control(body)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            status, answer = "400 Bad Request", json.dumps({"error": repr(error)}).encode()
        kind = ("Content-Type", "application/json")
        start_response(status, [kind, ("Content-Length", str(len(answer)))])
        return [answer]


def _make_app(service: Any) -> Any:
    """Makes the application of a service, whose faults reach who calls it.

    moto has Flask debug them, which makes a class for each request that has a form.
    """
    app = create_backend_app(service)
    app.debug = False
    app.config.update(PROPAGATE_EXCEPTIONS=True, TRAP_BAD_REQUEST_ERRORS=True)
    return app


class _Dispatcher(DomainDispatcherApplication):
    """Finds a service's backend once; moto lists its own folders for every request."""

    def __init__(self, create_app: Any) -> None:
        super().__init__(create_app)
        self._backends: dict[str | None, Any] = {}

    def get_backend_for_host(self, host: str | None) -> Any:
        """Returns the name of a backend, such as `ec2`, None for no service of moto's."""
        if host not in self._backends:
            self._backends[host] = super().get_backend_for_host(host)
        return self._backends[host]


@cache
def _actions(service: type) -> frozenset[str]:
    """Returns the actions of a service; moto inspects its whole class for every request."""
    return frozenset(method_names_from_class(service))


def describe_request(environ: dict[str, Any]) -> str:
    """Names a request for a person: `ec2 DescribeVpcs` or `efs PUT /2015-02-01/file-systems/x`."""
    service = _service(environ) or "unsigned"
    target = environ.get("HTTP_X_AMZ_TARGET")
    if target:
        return f"{service} {target.rsplit('.', 1)[-1]}"
    action = _ACTION.search(environ.get("mngen.form", b""))
    if action:
        return f"{service} {action[1].decode()}"
    return f"{service} {environ.get('REQUEST_METHOD')} {environ.get('PATH_INFO')}"


def make_emulator(port: int, application: Application) -> BaseWSGIServer:
    """Binds the emulator to a loopback port; port 0 takes a free one.

    Raises:
        OSError: The port is taken.
    """
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    close_gaps(application.machines)
    _serialize.close()
    patch_attribute(responses, "method_names_from_class", method_names_from_class, _actions)
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


class _Handler(MotoRequestHandler):
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
        status, headers, body = _answer_of(self.server.app, environ)
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


def _answer_of(application: Callable[..., Iterable[bytes]], environ: dict[str, Any]) -> _Answer:
    """Returns what a WSGI application answers to a request."""
    head: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], _fault: Any = None) -> Any:
        head[:] = [status, headers]
        return lambda _data: None

    body = b"".join(application(environ, start_response))
    status, headers = head
    return status, headers, body


def _service(environ: dict[str, Any]) -> str | None:
    match = _SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
    return match["service"] if match else None


def _keep_form(environ: dict[str, Any]) -> None:
    """Keeps a form's body at hand: the action that an error must name stands in it."""
    if environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        environ["mngen.form"] = environ["wsgi.input"].getvalue()


def _token(environ: dict[str, Any]) -> str:
    """Names a request that gets the same answer when it comes again; "" for any other.

    A client that lost the answer sends the request again with its token, which moto ignores.
    Source: https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html

    On a busy machine Terraform's provider drops a request now and then that was answered, and
    sends it again, with a token or without. What may be done only once, such as to revoke a rule,
    would fail the run; so its requests are known again by the id that AWS's clients give each call
    and repeat with each attempt, `amz-sdk-invocation-id`.

    What moto knows of instance types, and of the zones that have them, never changes, and takes it
    up to two seconds to write. Of types it is the same in all regions.
    """
    form = environ.get("mngen.form", b"")
    action, found = _ACTION.search(form), _CLIENT_TOKEN.search(form)
    scope = _SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
    if scope is None:
        return ""
    if action is not None and action[1] == b"DescribeInstanceTypes":
        return str(form.decode())
    if action is not None and action[1] == b"DescribeInstanceTypeOfferings":
        return f"{scope['region']} {form.decode()}"
    if found is not None:
        return f"{scope['region']} {describe_request(environ)} {found[1].decode()}"
    if "Terraform/" in environ.get("HTTP_USER_AGENT", ""):
        return str(environ.get("HTTP_AMZ_SDK_INVOCATION_ID", ""))
    return ""


def _is_unrouted(
    code: int, headers: list[tuple[str, str]], body: bytes, environ: dict[str, Any]
) -> bool:
    """Returns whether moto knew no handler: its web framework's own page, or an empty 404.

    A client would read such a 404 as "the resource does not exist".
    """
    if code not in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED):
        return False
    if _service(environ) in (None, "s3"):
        return False
    kind = dict(headers).get("Content-Type", "")
    return not body or (kind.startswith("text/html") and body.startswith(b"<!doctype html"))


def _refuse(
    environ: dict[str, Any], start_response: Callable[..., Any], code: str, reason: str
) -> list[bytes]:
    request = describe_request(environ)
    message = f"the sandbox's emulator cannot answer {request}: {reason}"
    logger.warning("%s", message)
    kind, body = error_document(_service(environ), code, message)
    headers = [("Content-Type", kind), ("x-amzn-ErrorType", code)]
    start_response("400 Bad Request", [*headers, ("Content-Length", str(len(body)))])
    return [body]
