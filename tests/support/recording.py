"""What a program asks of AWS: a loopback port before a sandbox that keeps every request.

A request is named as AWS names it in a policy, so it is read by the service's own description in
botocore: a form has its action, JSON has it in a header, REST in the method and the path.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from botocore.loaders import JSONFileLoader, Loader
from botocore.model import ServiceModel

from tests.support.relay import Answer, Relay, Request

if TYPE_CHECKING:
    from collections.abc import Iterable

_SCOPE = re.compile(r"Credential=[^/,\s]+/\d{8}/(?P<region>[^/]*)/(?P<service>[^/]+)/aws4_request")
_MODELS = {"elasticfilesystem": "efs"}


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

    @property
    def action(self) -> str:
        """The call's name in a log, such as `ec2:RunInstances`."""
        return f"{self.service}:{self.operation}"


class Recording(Relay):
    """A loopback port that hands requests on to a sandbox and keeps them.

    Attributes:
        calls: All requests so far, in the order in which they were answered.
    """

    def __init__(self, target: str) -> None:
        super().__init__(target)
        self.calls: list[Call] = []

    def handle(self, request: Request) -> Answer | None:
        """Hand the request on and keep it with its answer."""
        answer = self.forward(request)
        self.calls.append(read_call(request, answer))
        return answer


def read_call(request: Request, answer: Answer) -> Call:
    """Read a request: which operation it is, and what it asks for.

    Args:
        request: The request.
        answer: What it was answered.

    Raises:
        AssertionError: The request is unsigned, or none of its service's operations.
    """
    headers, body = request.headers, request.body
    scope = _SCOPE.search(headers.get("authorization", ""))
    assert scope, f"unsigned request: {request.method} {request.target}"
    service = scope["service"]
    parts = urlsplit(request.target)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    values: dict[str, Any]
    if "x-amz-target" in headers:
        operation = headers["x-amz-target"].rsplit(".", 1)[-1]
        values = json.loads(body or b"{}")
    elif headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        values = dict(parse_qsl(body.decode(), keep_blank_values=True))
        operation = values.pop("Action")
    else:
        operation, in_path = _rest(service, request.method, parts.path, query, headers.keys())
        values = {**query, **in_path}
        if headers.get("content-type", "").startswith("application/json") and body:
            values |= json.loads(body)
    text = answer.body.decode(errors="replace")
    return Call(service, operation, scope["region"], values, answer.status, text)


def _rest(
    service: str, method: str, path: str, query: dict[str, str], headers: Iterable[str]
) -> tuple[str, dict[str, str]]:
    """Find the operation of a REST request: the one whose address matches most of it."""
    given = {*query, *(each.lower() for each in headers)}
    found = [
        (operation == query.get("x-id"), len(needed), len(pattern.pattern), operation, match)
        for operation, verb, pattern, needed in _routes(service)
        if verb == method and needed <= given and (match := pattern.fullmatch(path))
    ]
    assert found, f"no operation of {service}: {method} {path}"
    # Operations of S3 share addresses: some clients name theirs in `x-id`.
    *_, operation, match = max(found, key=lambda each: each[:3])
    return operation, {name: unquote(value) for name, value in match.groupdict().items() if value}


@lru_cache
def _routes(service: str) -> list[tuple[str, str, re.Pattern[str], frozenset[str]]]:
    """Return each operation with its method, its path, and what its query and headers must have."""
    name = _MODELS.get(service, service)
    # Its own: clients of S3 take the bucket out of the addresses that all others have read.
    loader = Loader(file_loader=JSONFileLoader())
    model = ServiceModel(loader.load_service_model(name, "service-2"), name)
    routes = []
    for operation in model.operation_names:
        described = model.operation_model(operation)
        address, _, fixed = described.http["requestUri"].partition("?")
        pattern = re.sub(r"\\\{(\w+)(\\\+)?\\\}", _group, re.escape(address))
        needed = {each.partition("=")[0] for each in fixed.split("&") if each}
        needed |= _required(described.input_shape)
        routes.append(
            (operation, described.http["method"], re.compile(pattern + "/?"), frozenset(needed))
        )
    return routes


def _required(shape: Any) -> set[str]:
    """Return the names in the query and the headers, in lower case, that an input must have."""
    members = [shape.members[name] for name in shape.required_members] if shape else []
    found = [
        (each.serialization["location"], each.serialization["name"])
        for each in members
        if each.serialization.get("location") in ("querystring", "header")
    ]
    return {name.lower() if place == "header" else name for place, name in found}


def _group(match: re.Match[str]) -> str:
    return f"(?P<{match[1]}>.+)" if match[2] else f"(?P<{match[1]}>[^/]+)"
