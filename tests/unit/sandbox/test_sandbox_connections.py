"""The emulator keeps a connection for further requests, whatever the first one was.

Source: RFC 9112, https://www.rfc-editor.org/rfc/rfc9112 (9.3 persistence, 6.3 the length of an
answer without a body), RFC 9110, https://www.rfc-editor.org/rfc/rfc9110 (10.1.1 Expect).
"""

from __future__ import annotations

from http.client import HTTPConnection, HTTPResponse
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from mngen.sandbox._process import HEALTH_PATH
from tests.support.sandbox import client

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from mngen.sandbox import Sandbox

BUCKET = "connections"
SIGNED = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, "
    "SignedHeaders=host, Signature=0"
}
BODY = b"x" * 100_000


@pytest.fixture
def connection(sandbox: Sandbox) -> Iterator[HTTPConnection]:
    """A connection to an emulator with a bucket."""
    sandbox.reset()
    client(sandbox, "s3").create_bucket(Bucket=BUCKET)
    address = urlsplit(sandbox.endpoint)
    assert address.hostname is not None
    connection = HTTPConnection(address.hostname, address.port, timeout=120)
    connection.connect()
    yield connection
    connection.close()


def ask(
    connection: HTTPConnection, method: str, path: str, body: bytes | Iterator[bytes] | None = None
) -> tuple[int, bytes]:
    """Ask, with a body in one piece or in chunks, and read the answer to its end."""
    in_chunks = body is not None and not isinstance(body, bytes)
    connection.request(method, path, body, SIGNED, encode_chunked=in_chunks)
    with connection.getresponse() as answer:
        return answer.status, answer.read()


def assert_usable(connection: HTTPConnection, before: socket.socket) -> None:
    """The same connection answers once more."""
    assert ask(connection, "GET", HEALTH_PATH)[0] == 200
    assert connection.sock is before


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", f"/{BUCKET}/absent", 404),
        ("HEAD", f"/{BUCKET}/absent", 404),
        ("HEAD", f"/{BUCKET}/there", 200),
        ("DELETE", f"/{BUCKET}/there", 204),
        ("PATCH", "/nothing/of/the/kind", 400),
    ],
)
def test_it_serves_another_request(
    method: str, path: str, status: int, connection: HTTPConnection
) -> None:
    before = connection.sock
    assert ask(connection, "PUT", f"/{BUCKET}/there", BODY)[0] == 200
    found, body = ask(connection, method, path)
    assert found == status
    if method == "HEAD":
        assert body == b""
    assert_usable(connection, before)


def test_a_body_in_chunks_is_read_to_its_end(connection: HTTPConnection) -> None:
    before = connection.sock
    parts = iter([BODY[:10], BODY[10:]])
    assert ask(connection, "PUT", f"/{BUCKET}/there", parts)[0] == 200
    assert ask(connection, "GET", f"/{BUCKET}/there") == (200, BODY)
    assert_usable(connection, before)


def test_a_body_that_is_held_back_is_asked_for(connection: HTTPConnection) -> None:
    before = connection.sock
    connection.putrequest("PUT", f"/{BUCKET}/there")
    for name, value in {**SIGNED, "Expect": "100-continue", "Content-Length": "5"}.items():
        connection.putheader(name, value)
    connection.endheaders()
    assert before is not None
    assert before.recv(1000).startswith(b"HTTP/1.1 100 ")
    before.sendall(b"12345")
    answer = HTTPResponse(before, method="PUT")
    answer.begin()
    assert answer.status == 200
    answer.read()
    answer.close()
    other = HTTPConnection(connection.host, connection.port, timeout=120)
    assert ask(other, "GET", f"/{BUCKET}/there") == (200, b"12345")
    other.close()
