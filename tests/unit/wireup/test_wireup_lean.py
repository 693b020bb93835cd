"""What the wire-up uses in place of documented modules does what they do, and gives way to them."""

from __future__ import annotations

import hmac
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mngen_wireup.lean import Mac, Socket
from tests.support.wireup import CONTAINER

UNDOCUMENTED = ("_socket", "_signal", "_operator", "_sha2", "_sha256")


@given(st.binary(max_size=200), st.lists(st.binary(max_size=300), max_size=3))
def test_mac_is_that_of_hmac(key: bytes, texts: list[bytes]) -> None:
    mac = Mac(key)
    assert [mac.digest(text) for text in texts] == [
        hmac.digest(key, text, "sha256") for text in texts
    ]


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        # Test cases 1, 2 and 6 of https://www.rfc-editor.org/rfc/rfc4231
        (
            b"\x0b" * 20,
            b"Hi There",
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        ),
        (
            b"Jefe",
            b"what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (
            b"\xaa" * 131,
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
    ],
)
def test_mac_of_the_standard(key: bytes, text: bytes, expected: str) -> None:
    assert Mac(key).digest(text).hex() == expected


def test_sockets_connect() -> None:
    listener, one = Socket(), Socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(1)
    one.connect(listener.getsockname())
    other, address = listener.accept()
    assert address == one.getsockname()
    one.sendall(b"x")
    assert other.recv(10) == b"x"
    for each in (listener, one, other):
        each.close()


def test_documented_modules_replace_missing_ones() -> None:
    """They are imported first, since they are built on those that are then missing."""
    code = f"""
import sys
sys.path[:0] = [{str(CONTAINER)!r}]
import hashlib, hmac, signal, socket
sys.modules.update(dict.fromkeys({UNDOCUMENTED!r}))
from mngen_wireup import lean
assert lean.socket is socket and lean.Socket is socket.socket and lean.signal is signal
assert lean.compare_digest is hmac.compare_digest and lean.sha256 is hashlib.sha256
import mngen_wireup.main, mngen_wireup.child
print(lean.Mac(b"k").digest(b"t") == hmac.digest(b"k", b"t", "sha256"))
"""
    done = subprocess.run(
        [sys.executable, "-IS", "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "True\n", done.stderr
