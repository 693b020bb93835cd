"""What a program asks of AWS: a loopback port before a sandbox that keeps every request.

A request is named as AWS names it in a policy, so it is read by the service's own description in
botocore: a form says its action, JSON has it in a header, and of REST the method and the path tell.
"""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass
from functools import lru_cache
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from botocore.loaders import Loader
from botocore.model import ServiceModel

_SCOPE = re.compile(r"Credential=[^/,\s]+/\d{8}/(?P<region>[^/]*)/(?P<service>[^/]+)/aws4_request")
_MODELS = {"elasticfilesystem": "efs"}
_METHODS = tuple(f"do_{verb}" for verb in ("GET", "POST", "PUT", "DELETE", "HEAD", "PATCH"))


@dataclass(frozen=True)
class Call:
    """One request to AWS, and what it was answered.

    Attributes:
        service: The service as signatures name it, such as `elasticfilesystem`.
        operation: The operation in the service's description, such as `CreateFileSystem`.
        region: The region that the request was signed for.
        values: Its parameters: of a form the fields as they are, else the body's keys, those of
            the path and those of the query.
        status: The HTTP status of the answer.
        answer: The answer's body.
    """

    service: str
    operation: str
    region: str
    values: dict[str, Any]
    status: int
    answer: str


class Recording:
    """A loopback port that hands requests on to a sandbox and keeps them.

    Attributes:
        endpoint: Its URL.
        calls: All requests so far, in the order in which they were answered.
    """

    def __init__(self, target: str) -> None:
        calls: list[Call] = []
        parts = urlsplit(target)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def relay(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                onward = HTTPConnection(parts.hostname or "", parts.port, timeout=60)
                onward.request(self.command, self.path, body, dict(self.headers.items()))
                answer = onward.getresponse()
                data = answer.read()
                onward.close()
                headers = {name.lower(): value for name, value in self.headers.items()}
                call = read_call(self.command, self.path, headers, body, answer.status, data)
                calls.append(call)
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                        self.send_header(name, value)
                length = answer.getheader("Content-Length") if self.command == "HEAD" else None
                self.send_header("Content-Length", length or str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            locals().update(dict.fromkeys(_METHODS, relay))

            def log_request(self, *_: object, **__: object) -> None:
                return

        self.calls = calls
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def read_call(
    method: str, target: str, headers: dict[str, str], body: bytes, status: int, answer: bytes
) -> Call:
    """Read a request: which operation it is, and what it asks for.

    Args:
        method: The HTTP method.
        target: Path and query.
        headers: The headers, names in lower case.
        body: The request's body.
        status: What it was answered.
        answer: The answer's body.

    Raises:
        AssertionError: The request is unsigned, or none of its service's operations.
    """
    scope = _SCOPE.search(headers.get("authorization", ""))
    assert scope, f"unsigned request: {method} {target}"
    service = scope["service"]
    parts = urlsplit(target)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    values: dict[str, Any]
    if "x-amz-target" in headers:
        operation = headers["x-amz-target"].rsplit(".", 1)[-1]
        values = json.loads(body or b"{}")
    elif headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        values = dict(parse_qsl(body.decode(), keep_blank_values=True))
        operation = values.pop("Action")
    else:
        operation, in_path = _rest(service, method, parts.path, query)
        values = {**query, **in_path}
        if headers.get("content-type", "").startswith("application/json") and body:
            values |= json.loads(body)
    text = answer.decode(errors="replace")
    return Call(service, operation, scope["region"], values, status, text)


def _rest(
    service: str, method: str, path: str, query: dict[str, str]
) -> tuple[str, dict[str, str]]:
    """Find the operation of a REST request: the one whose address says most of it."""
    found = [
        (operation == query.get("x-id"), len(fixed), len(pattern.pattern), operation, match)
        for operation, verb, pattern, fixed in _routes(service)
        if verb == method and fixed <= query.keys() and (match := pattern.fullmatch(path))
    ]
    assert found, f"no operation of {service}: {method} {path}"
    # Operations of S3 share addresses, so its clients say in `x-id` which one they mean.
    *_, operation, match = max(found, key=lambda each: each[:3])
    return operation, {name: unquote(value) for name, value in match.groupdict().items() if value}


@lru_cache
def _routes(service: str) -> list[tuple[str, str, re.Pattern[str], frozenset[str]]]:
    name = _MODELS.get(service, service)
    model = ServiceModel(Loader().load_service_model(name, "service-2"), name)
    routes = []
    for operation in model.operation_names:
        http = model.operation_model(operation).http
        address, _, fixed = http["requestUri"].partition("?")
        pattern = re.sub(r"\\\{(\w+)(\\\+)?\\\}", _group, re.escape(address))
        keys = frozenset(each.partition("=")[0] for each in fixed.split("&") if each)
        routes.append((operation, http["method"], re.compile(pattern + "/?"), keys))
    return routes


def _group(match: re.Match[str]) -> str:
    return f"(?P<{match[1]}>.+)" if match[2] else f"(?P<{match[1]}>[^/]+)"
