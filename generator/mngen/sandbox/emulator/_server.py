"""Answers with moto, with its gaps closed and its faults reported as AWS reports them.

This runs in a separate process (`python -m mngen.sandbox`): moto keeps its state in globals, reads
settings from the environment as it is imported, and takes half a second to import. So it is loaded
while the process already takes requests: what imports it is imported when `_moto` is, or later.
"""

from __future__ import annotations

import json
import logging
import os
import re
import threading
import time
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from mngen import __version__
from mngen.sandbox._process import HEALTH_PATH, RESET_PATH
from mngen.sandbox.emulator._control import PATH as CONTROL_PATH
from mngen.sandbox.emulator._control import control
from mngen.sandbox.emulator._http import answer_of
from mngen.sandbox.emulator._protocol import SCOPE, error_document, service_of
from mngen.sandbox.machines._machines import Machines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from mngen.sandbox.emulator._http import Answer

NOT_IMPLEMENTED = "SandboxNotImplemented"
"""Error code for an action that the emulator does not have. No AWS client retries it."""

FAULT = "SandboxFault"
"""Error code for an action that the emulator has and that failed inside. No client retries it."""

_REMEMBERED = 1_000
"""Answers kept for a client that asks again, which it does within seconds."""

_ACTION = re.compile(rb"(?:^|&)Action=(\w+)")
_CLIENT_TOKEN = re.compile(rb"(?:^|&)ClientToken=([^&]+)")
logger = logging.getLogger("mngen.sandbox")


class LoadError(Exception):
    """What answers cannot be loaded, such as a moto that its patches do not fit."""


class Application:
    """A WSGI application around moto's that never answers with a server error.

    AWS clients retry on 5xx, Terraform's provider for many minutes, so a fault inside the emulator
    is answered as a client error that names the action. Requests are served one after another:
    moto's state is not made for threads, and Terraform sends ten requests at a time.

    The body of each is a `BytesIO`, as `_http` makes it.

    Attributes:
        last_request: Monotonic time of the last request, in seconds.
        machines: The machines that some of its instances are.
    """

    def __init__(self, home: Path, instance: str) -> None:
        self.last_request = time.monotonic()
        self._answers: Callable[..., Iterable[bytes]] | None = None
        self._fault: str | None = None
        self._lock = threading.Lock()
        self._repeatable: dict[str, Answer] = {}
        self.machines = Machines(home)
        self._health = {
            "home": str(home),
            "instance": instance,
            "pid": os.getpid(),
            "version": __version__,
        }

    def load(self) -> None:
        """Loads what answers, unless it is there; requests wait for it meanwhile.

        Where that fails, each request is answered with the reason.
        """
        with self._lock, suppress(LoadError):
            self._loaded()

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
                    answer = answer_of(self._loaded(), environ)
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

    def _loaded(self) -> Callable[..., Iterable[bytes]]:
        """Returns what answers.

        Raises:
            LoadError: It cannot be loaded, now or before.
        """
        if self._fault is not None:
            raise LoadError(self._fault)
        if self._answers is None:
            try:
                from mngen._descriptions import read_once

                # moto makes a session for each of its tables of regions.
                read_once()

                from mngen.sandbox.emulator import _moto

                self._answers = _moto.load(self.machines)
            # Of a moto that does not fit, anything may fail.
            except Exception as error:
                logger.exception("the emulator cannot be loaded")
                self._fault = f"it could not be loaded: {error}"
                raise LoadError(self._fault) from error
        return self._answers

    def _control(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        status = "200 OK"
        try:
            with self._lock:
                self._loaded()
                answer = control(body)
        except (LoadError, ValueError, KeyError, TypeError, AttributeError) as error:
            status, answer = "400 Bad Request", json.dumps({"error": repr(error)}).encode()
        kind = ("Content-Type", "application/json")
        start_response(status, [kind, ("Content-Length", str(len(answer)))])
        return [answer]


def describe_request(environ: dict[str, Any]) -> str:
    """Names a request for a person: `ec2 DescribeVpcs` or `efs PUT /2015-02-01/file-systems/x`."""
    service = service_of(environ) or "unsigned"
    target = environ.get("HTTP_X_AMZ_TARGET")
    if target:
        return f"{service} {target.rsplit('.', 1)[-1]}"
    action = _ACTION.search(environ.get("mngen.form", b""))
    if action:
        return f"{service} {action[1].decode()}"
    return f"{service} {environ.get('REQUEST_METHOD')} {environ.get('PATH_INFO')}"


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
    scope = SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
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
    if service_of(environ) in (None, "s3"):
        return False
    kind = dict(headers).get("Content-Type", "")
    return not body or (kind.startswith("text/html") and body.startswith(b"<!doctype html"))


def _refuse(
    environ: dict[str, Any], start_response: Callable[..., Any], code: str, reason: str
) -> list[bytes]:
    request = describe_request(environ)
    message = f"the sandbox's emulator cannot answer {request}: {reason}"
    logger.warning("%s", message)
    kind, body = error_document(service_of(environ), code, message)
    headers = [("Content-Type", kind), ("x-amzn-ErrorType", code)]
    start_response("400 Bad Request", [*headers, ("Content-Length", str(len(body)))])
    return [body]
