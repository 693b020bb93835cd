"""What the wire-up needs of `socket`, `signal`, `hmac` and `hashlib`, without importing them.

Those modules turn hundreds of constants into enumerations and load OpenSSL, which takes longer
than everything else that a child node does before it connects. Here are the modules that they are
built on. All Pythons from 3.9 to 3.14 have them, but they are not documented: where one is missing,
the documented module replaces it. `random` of the standard library avoids `hashlib` likewise:
https://github.com/python/cpython/blob/3.14/Lib/random.py
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    import socket
    from hashlib import sha256
    from hmac import compare_digest
    from typing import Any

    Socket = socket.socket
else:
    try:
        import _signal as signal
    except ImportError:
        import signal
    try:
        from _operator import _compare_digest as compare_digest
    except ImportError:
        from hmac import compare_digest
    try:
        from _sha2 import sha256  # Python 3.12 and newer
    except ImportError:
        try:
            from _sha256 import sha256
        except ImportError:
            from hashlib import sha256
    try:
        import _socket as socket
    except ImportError:
        import socket

        Socket = socket.socket
    else:

        class Socket(socket.socket):
            """A socket that accepts connections as that of `socket` does."""

            def accept(self) -> tuple[Socket, Any]:
                """Returns a new connection, and the address of its other end."""
                handle, address = self._accept()
                return Socket(fileno=handle), address


__all__ = ["Mac", "Socket", "compare_digest", "signal", "socket"]

_BLOCK = 64
"""Bytes that SHA-256 processes at a time."""
_INNER = bytes(byte ^ 0x36 for byte in range(256))
_OUTER = bytes(byte ^ 0x5C for byte in range(256))


class Mac:
    """HMAC-SHA256 with one key: https://www.rfc-editor.org/rfc/rfc2104."""

    def __init__(self, key: bytes) -> None:
        if len(key) > _BLOCK:
            key = sha256(key).digest()
        block = key.ljust(_BLOCK, b"\0")
        self._inner = sha256(block.translate(_INNER))
        self._outer = sha256(block.translate(_OUTER))

    def digest(self, text: bytes) -> bytes:
        """Returns the 32 bytes that authenticate a text."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(text)
        outer.update(inner.digest())
        return outer.digest()
