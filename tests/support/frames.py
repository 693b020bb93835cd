"""A connection of HTTP/2 that is handed on frame by frame, some calls of gRPC answered on the way.

To take each call apart and make it again, as a library for gRPC does, takes several times as long
as to hand its frames on. Only the first bytes of a frame are looked at, and the path of each call:
with the server's settings, the client keeps no table of headers, so that each stands for itself.
A call is answered here if its path is in one frame, as it is where the headers are few, and if the
request fits into the first window of its stream.

Source: https://www.rfc-editor.org/rfc/rfc9113 (4.1 frames, 5.2 and 6.9 flow control, 6.5 settings),
https://www.rfc-editor.org/rfc/rfc7541 (6.2.2, 6.3 headers; Appendix B: the Huffman code),
https://github.com/grpc/grpc/blob/v1.71.0/doc/PROTOCOL-HTTP2.md (calls, messages, trailers),
https://github.com/grpc/grpc-go/blob/v1.69.4/internal/transport/http2_client.go (newHTTP2Client: it
calls nothing before it has the server's settings).
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from collections.abc import Callable, Iterator, Mapping

_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _WINDOW_UPDATE = 0, 1, 3, 4, 8
_END_STREAM, _ACK, _END_HEADERS = 1, 1, 4
_TABLE_SIZE, _INITIAL_WINDOW = 1, 4
_HEAD: Final = 9
_LARGEST: Final = 16384
"""Bytes of a frame that every peer takes."""

_WINDOW: Final = 65535
"""Bytes that a peer takes by default."""

_AT_ONCE: Final = 2**18
"""Bytes that are read in one go."""

_MESSAGE: Final = 5
"""Bytes before a message of gRPC: whether it is compressed, and its length."""

_CODES: Final = {
    ".": "010111",
    "/": "011000",
    "5": "011011",
    "C": "1011110",
    "G": "1100010",
    "P": "1101011",
    "R": "1101101",
    "S": "1101110",
    "a": "00011",
    "c": "00100",
    "d": "100100",
    "e": "00101",
    "f": "100101",
    "g": "100110",
    "h": "100111",
    "i": "00110",
    "l": "101000",
    "m": "101001",
    "n": "101010",
    "o": "00111",
    "p": "101011",
    "r": "101100",
    "t": "01001",
    "u": "101101",
    "v": "1110111",
    "w": "1111000",
}
"""The Huffman code of the characters of paths here."""

_STARTED: Final = b"\x88" + b"\x0f\x10\x10application/grpc"
"""`:status: 200` and `content-type`, by their indexes in the static table."""

_ENDED: Final = b"\x00\x0bgrpc-status\x010"


def _huffman(text: str) -> bytes:
    bits = "".join(_CODES[char] for char in text)
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    head = len(payload).to_bytes(3, "big") + bytes([kind, flags])
    return head + stream.to_bytes(4, "big") + payload


class _Frames:
    """Cuts what comes into frames: kind, flags, stream and all bytes of each."""

    def __init__(self) -> None:
        self._rest = b""

    def read(self, data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
        data = self._rest + data
        place = 0
        while len(data) - place >= _HEAD:
            end = place + _HEAD + int.from_bytes(data[place : place + 3], "big")
            if end > len(data):
                break
            stream = int.from_bytes(data[place + 5 : place + _HEAD], "big")
            yield data[place + 3], data[place + 4], stream, data[place:end]
            place = end
        self._rest = data[place:]


@dataclass
class _Call:
    """A call that is answered here.

    Attributes:
        method: What is called.
        window: Bytes of the answer that its client still takes.
        request: What came of the request.
        answer: What is still to be sent; None before it is known.
    """

    method: str
    window: int
    request: bytearray = field(default_factory=bytearray)
    answer: memoryview | None = None


class Connection:
    """The frames of one connection.

    Args:
        answers: What answers a method, called with the message of the request; the path of a
            method has no other characters than the ones in use here.
        to_client: Sends to the client.
        to_server: Sends to the server.
    """

    def __init__(
        self,
        answers: Mapping[str, Callable[[bytes], bytes]],
        to_client: Callable[[bytes], object],
        to_server: Callable[[bytes], object],
    ) -> None:
        self._answers = answers
        self._paths = {_huffman(method): method for method in answers}
        self._paths |= {method.encode(): method for method in answers}
        self._to_client = to_client
        self._to_server = to_server
        self._preface = len(_PREFACE)
        self._of_client, self._of_server = _Frames(), _Frames()
        self._settled = False
        self._calls: dict[int, _Call | None] = {}
        self._initial = self._window = _WINDOW
        # What the client took of answers from here it will allow the server again. Until then, the
        # server may send more than the client takes, which waits here with all that comes after.
        self._owed = 0
        self._held: deque[tuple[int, bytes]] = deque()

    def from_client(self, data: bytes) -> None:
        """Hand on what came from the client, and answer what is answered here.

        Raises:
            ValueError: A call is none that this can read.
        """
        on = bytearray()
        if self._preface:
            on += data[: self._preface]
            data = data[self._preface :]
            self._preface -= len(on)
        for kind, flags, stream, frame in self._of_client.read(data):
            if kind == _HEADERS and stream not in self._calls:
                method = next((name for path, name in self._paths.items() if path in frame), None)
                if method is not None:
                    self._calls[stream] = _Call(method, self._initial)
            if stream in self._calls:
                self._take(kind, flags, stream, frame)
            elif kind == _WINDOW_UPDATE and stream == 0:
                on += self._allow(int.from_bytes(frame[_HEAD:], "big"))
            else:
                if kind == _SETTINGS and not flags & _ACK:
                    self._settle(frame[_HEAD:])
                on += frame
        if on:
            self._to_server(bytes(on))
        self._release()
        self._send()

    def from_server(self, data: bytes) -> None:
        """Hand on what came from the server, as far as the client takes it."""
        for kind, flags, _, frame in self._of_server.read(data):
            if kind == _SETTINGS and not flags & _ACK and not self._settled:
                self._settled = True
                no_table = _TABLE_SIZE.to_bytes(2, "big") + bytes(4)
                self._held.append((kind, _frame(kind, flags, 0, frame[_HEAD:] + no_table)))
            else:
                self._held.append((kind, frame))
        self._release()

    def _release(self) -> None:
        """Hand on in its order what came from the server."""
        on = bytearray()
        while self._held:
            kind, frame = self._held[0]
            size = len(frame) - _HEAD if kind == _DATA else 0
            if size > self._window:
                break
            self._window -= size
            on += frame
            self._held.popleft()
        if on:
            self._to_client(bytes(on))

    def _take(self, kind: int, flags: int, stream: int, frame: bytes) -> None:
        """Read a frame of a call that is answered here, or was."""
        call, payload = self._calls[stream], frame[_HEAD:]
        if kind == _DATA and payload:
            self._to_client(_frame(_WINDOW_UPDATE, 0, 0, len(payload).to_bytes(4, "big")))
        if call is None:
            return
        if kind == _RST_STREAM:
            self._calls[stream] = None
        elif kind == _WINDOW_UPDATE:
            call.window += int.from_bytes(payload, "big")
        elif kind == _DATA:
            call.request += payload
        if kind in (_HEADERS, _DATA) and flags & _END_STREAM:
            call.answer = memoryview(self._answer(call))
            self._to_client(_frame(_HEADERS, _END_HEADERS, stream, _STARTED))

    def _answer(self, call: _Call) -> bytes:
        is_compressed, size = call.request[:1] != b"\0", call.request[1:_MESSAGE]
        if is_compressed or int.from_bytes(size, "big") != len(call.request) - _MESSAGE:
            raise ValueError(f"{call.method} is not called with one uncompressed message")
        answer = self._answers[call.method](bytes(call.request[_MESSAGE:]))
        return b"\0" + len(answer).to_bytes(4, "big") + answer

    def _allow(self, size: int) -> bytes:
        """Take what the client allows on all streams, and return the server's part of it."""
        self._window += size
        own = min(size, self._owed)
        self._owed -= own
        return _frame(_WINDOW_UPDATE, 0, 0, (size - own).to_bytes(4, "big")) if size > own else b""

    def _settle(self, settings: bytes) -> None:
        """Read the settings of the client."""
        for place in range(0, len(settings), 6):
            if int.from_bytes(settings[place : place + 2], "big") == _INITIAL_WINDOW:
                initial = int.from_bytes(settings[place + 2 : place + 6], "big")
                for call in filter(None, self._calls.values()):
                    call.window += initial - self._initial
                self._initial = initial

    def _send(self) -> None:
        """Send of all answers what the client takes."""
        for stream, call in self._calls.items():
            if call is None or call.answer is None:
                continue
            while size := max(min(len(call.answer), call.window, self._window, _LARGEST), 0):
                self._to_client(_frame(_DATA, 0, stream, bytes(call.answer[:size])))
                call.answer = call.answer[size:]
                call.window -= size
                self._window -= size
                self._owed += size
            if not call.answer:
                flags = _END_HEADERS | _END_STREAM
                self._to_client(_frame(_HEADERS, flags, stream, _ENDED))
                self._calls[stream] = None


async def serve_connection(
    reader: StreamReader,
    writer: StreamWriter,
    address: str,
    answers: Mapping[str, Callable[[bytes], bytes]],
) -> None:
    """Hand a connection on to its end.

    Args:
        reader: What comes from the client.
        writer: What goes to it.
        address: The socket of the server.
        answers: What answers a method here, called with the message of the request.
    """
    provider, to_provider = await asyncio.open_unix_connection(address)
    connection = Connection(answers, writer.write, to_provider.write)
    try:
        await asyncio.gather(
            _pass(reader, connection.from_client, to_provider),
            _pass(provider, connection.from_server, writer),
        )
    finally:
        to_provider.close()
        writer.close()


async def _pass(reader: StreamReader, take: Callable[[bytes], None], onward: StreamWriter) -> None:
    """Pass on what comes from one side until it ends; the other side ends with it."""
    with suppress(ConnectionError):
        while data := await reader.read(_AT_ONCE):
            take(data)
    onward.close()
