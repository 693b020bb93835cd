"""One TCP connection between a child node and the main node."""

from __future__ import annotations

import time

from mngen_wireup.lean import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

    from mngen_wireup.loop import Loop
    from mngen_wireup.messages import Session

GREETING_SECONDS = 10.0
"""How long a connection may take to authenticate."""
GREETING_BYTES = 1024
"""The longest line before that."""
MESSAGE_BYTES = 65536
"""The longest line after that."""


class Connection:
    """Sends and receives lines; it never blocks.

    Attributes:
        session: What seals its messages; None before the greeting.
        heard: When something was last received, on the monotonic clock.
        here: IPv4 address of this end.
        there: IPv4 address of the other end.
    """

    def __init__(self, loop: Loop, sock: socket.socket) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.session: Session | None = None
        self.heard = time.monotonic()
        self.here: str = sock.getsockname()[0]
        self.there: str = sock.getpeername()[0]
        self._loop, self._sock = loop, sock
        self._call: Callable[[], None] = lambda: None
        self._inbox = b""
        self._outbox = b""

    def on_readable(self, call: Callable[[], None]) -> None:
        """Calls a function whenever there is something to receive."""
        self._call = call
        self._loop.watch(self._sock.fileno(), call)

    def receive(self) -> list[bytes]:
        """Returns the lines that have arrived; sends what is left to send.

        Raises:
            EOFError: The other side has closed the connection.
            ValueError: A line is too long.
        """
        self._flush()
        try:
            data = self._sock.recv(MESSAGE_BYTES)
        except (BlockingIOError, InterruptedError):
            return []
        except OSError:
            data = b""
        if not data:
            raise EOFError
        self.heard = time.monotonic()
        *lines, self._inbox = (self._inbox + data).split(b"\n")
        most = MESSAGE_BYTES if self.session else GREETING_BYTES
        if max(map(len, (self._inbox, *lines))) > most:
            raise ValueError("message too long")
        return lines

    def send_line(self, line: bytes) -> None:
        """Sends a line as it is."""
        self._outbox += line
        self._flush()

    def send(self, **message: object) -> None:
        """Sends a message, sealed."""
        if self.session:
            self.send_line(self.session.seal(message))

    def _flush(self) -> None:
        pending = bool(self._outbox)
        try:
            while self._outbox:
                self._outbox = self._outbox[self._sock.send(self._outbox) :]
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            self._outbox = b""  # the next read notices that the connection is closed
        if pending or self._outbox:
            self._loop.watch(self._sock.fileno(), self._call, write=bool(self._outbox))

    def close(self) -> None:
        """Closes it."""
        self._loop.unwatch(self._sock.fileno())
        self._sock.close()
