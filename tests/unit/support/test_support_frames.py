"""Calls of gRPC reach a server through a relay of frames as they are; some are answered on the way.

Client and server are those of grpcio, so that frames, headers and windows are not ours alone.
"""

from __future__ import annotations

import asyncio
import importlib
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.frames import Connection, serve_connection

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

# Looked up by name: grpcio carries no types.
grpc: Any = importlib.import_module("grpc")

OWN, OTHER = "/tfplugin5.Provider/GetSchema", "/tfplugin5.Provider/ApplyResourceChange"
UNLIMITED = [("grpc.max_receive_message_length", -1)]
LARGE = bytes(range(256)) * 8192
SECONDS = 120


class Server:
    """Answers every call with the request doubled; keeps the paths.

    Attributes:
        calls: The path of each call.
        waiting: Set once it will notice that a client that called `wait` goes away.
        cancelled: Set once that client has gone away.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.waiting = threading.Event()
        self.cancelled = threading.Event()

    def service(self, details: Any) -> Any:
        self.calls.append(details.method)
        return grpc.unary_unary_rpc_method_handler(self._answer)

    def _answer(self, request: bytes, context: Any) -> bytes:
        if request == b"refuse":
            context.abort(grpc.StatusCode.INTERNAL, "no")
        if request == b"wait":
            if context.add_callback(self.cancelled.set):
                self.waiting.set()
            self.cancelled.wait(SECONDS)
        return request * 2


@contextmanager
def relay(
    before: Path, behind: Path, answers: Mapping[str, Callable[[bytes], bytes]]
) -> Iterator[None]:
    """Listen at a socket, and hand connections on to another."""

    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        await serve_connection(reader, writer, str(behind), answers)

    async def finish() -> None:
        await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()})

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    listening = asyncio.start_unix_server(serve, str(before))
    server = asyncio.run_coroutine_threadsafe(listening, loop).result()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(server.close)
        asyncio.run_coroutine_threadsafe(finish(), loop).result(SECONDS)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextmanager
def relayed(
    folder: Path, answers: Mapping[str, Callable[[bytes], bytes]]
) -> Iterator[tuple[Server, Any]]:
    """Run a server and a relay before it; yield the server and a channel to the relay."""
    behind, before = folder / "behind", folder / "before"
    server = Server()
    running = grpc.server(ThreadPoolExecutor(8), handlers=[server], options=UNLIMITED)
    running.add_insecure_port(f"unix:{behind}")
    running.start()
    try:
        with (
            relay(before, behind, answers),
            grpc.insecure_channel(f"unix:{before}", options=UNLIMITED) as channel,
        ):
            yield server, channel
    finally:
        running.stop(None).wait()


def test_calls_and_answers_of_any_size_reach_the_other_side(tmp_path: Path) -> None:
    with relayed(tmp_path, {}) as (server, channel):
        call = channel.unary_unary(OTHER)
        assert call(b"") == b""
        assert call(LARGE) == LARGE * 2
        assert set(server.calls) == {OTHER}


def test_one_method_is_answered_on_the_way(tmp_path: Path) -> None:
    asked: list[bytes] = []

    def answer(request: bytes) -> bytes:
        asked.append(request)
        return request * 3

    with relayed(tmp_path, {OWN: answer}) as (server, channel):
        own, other = channel.unary_unary(OWN), channel.unary_unary(OTHER)
        for _ in range(3):
            assert own(b"x") == b"xxx"
            assert other(b"y") == b"yy"
        assert own(b"") == b""
        assert asked == [b"x", b"x", b"x", b""]
        assert server.calls == [OTHER] * 3


def test_answers_larger_than_any_window_come_while_others_do(tmp_path: Path) -> None:
    with relayed(tmp_path, {OWN: lambda request: request * 2}) as (_, channel):
        own, other = channel.unary_unary(OWN), channel.unary_unary(OTHER)
        calls = [each.future(LARGE) for _ in range(4) for each in (own, other)]
        assert all(call.result(SECONDS) == LARGE * 2 for call in calls)


def test_a_refusal_of_the_server_reaches_the_client(tmp_path: Path) -> None:
    with relayed(tmp_path, {}) as (_, channel):
        with pytest.raises(grpc.RpcError) as refused:
            channel.unary_unary(OTHER)(b"refuse")
        assert (refused.value.code(), refused.value.details()) == (grpc.StatusCode.INTERNAL, "no")


def test_the_server_learns_that_a_client_gave_up(tmp_path: Path) -> None:
    with relayed(tmp_path, {}) as (server, channel):
        call = channel.unary_unary(OTHER).future(b"wait")
        # A call that is cancelled before it is answered may not reach the function that answers.
        assert server.waiting.wait(SECONDS)
        call.cancel()
        assert server.cancelled.wait(SECONDS)


@pytest.mark.parametrize("first", ["client", "server"])
def test_one_side_is_hung_up_on_with_the_other(tmp_path: Path, first: str) -> None:
    behind, before = tmp_path / "behind", tmp_path / "before"
    with (
        socket.socket(socket.AF_UNIX) as listening,
        socket.socket(socket.AF_UNIX) as client,
    ):
        listening.settimeout(SECONDS)
        listening.bind(str(behind))
        listening.listen()
        with relay(before, behind, {}):
            client.settimeout(SECONDS)
            client.connect(str(before))
            server, _ = listening.accept()
            with server:
                server.settimeout(SECONDS)
                gone, other = (client, server) if first == "client" else (server, client)
                gone.close()
                assert other.recv(1) == b""


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Write a frame (https://www.rfc-editor.org/rfc/rfc9113#section-4.1)."""
    return (
        len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload
    )


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_frames_in_pieces_are_handed_on_whole(size: int) -> None:
    sent: list[bytes] = []
    connection = Connection({}, lambda _: None, sent.append)
    came = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0) + frame(0, 1, 1, b"x" * 300)
    for place in range(0, len(came), size):
        connection.from_client(came[place : place + size])
    assert b"".join(sent) == came


def test_a_path_is_known_as_go_compresses_it() -> None:
    sent: list[bytes] = []
    connection = Connection({OWN: lambda _: b"told"}, sent.append, lambda _: None)
    # What hpack 4.2.0 makes of the path, which is another program (RFC 7541, Appendix B).
    path = bytes.fromhex("6132d745b31aa6d7d761fb9a42d8c622a771272d23")
    headers = b"\x04" + bytes([0x80 | len(path)]) + path
    connection.from_client(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(1, 4, 1, headers))
    connection.from_client(frame(0, 1, 1, bytes(5)))
    assert any(b"told" in each for each in sent)


def test_a_compressed_message_is_refused() -> None:
    connection = Connection({OWN: lambda _: b""}, lambda _: None, lambda _: None)
    connection.from_client(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(1, 4, 1, OWN.encode()))
    with pytest.raises(ValueError, match="GetSchema is not called with one uncompressed message"):
        connection.from_client(frame(0, 1, 1, b"\x01\0\0\0\x01x"))


def test_the_server_is_told_of_no_window_that_the_client_lent_to_an_answer_from_here() -> None:
    to_client: list[bytes] = []
    to_server: list[bytes] = []
    connection = Connection({OWN: lambda _: b"y" * 95}, to_client.append, to_server.append)
    connection.from_client(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(1, 4, 1, OWN.encode()))
    connection.from_client(frame(0, 1, 1, bytes(5)))
    # What it sent to this stream comes back to the client.
    assert frame(8, 0, 0, (5).to_bytes(4, "big")) in to_client
    del to_server[:]
    connection.from_client(frame(8, 0, 0, (60).to_bytes(4, "big")))
    assert to_server == []
    connection.from_client(frame(8, 0, 0, (60).to_bytes(4, "big")))
    assert to_server == [frame(8, 0, 0, (20).to_bytes(4, "big"))]


def test_no_more_is_sent_than_the_client_takes() -> None:
    to_client: list[bytes] = []

    def sent() -> int:
        # The kind of a frame is its fourth byte; DATA is 0.
        return sum(len(each) - 9 for each in to_client if each[3] == 0)

    connection = Connection({OWN: lambda _: bytes(99_995)}, to_client.append, lambda _: None)
    connection.from_client(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(1, 4, 1, OWN.encode()))
    connection.from_client(frame(0, 1, 1, bytes(5)))
    assert sent() == 65_535
    # Both the connection and the stream have a window.
    for stream, more, total in (
        (1, 10_000, 65_535),
        (0, 4_000, 69_535),
        (0, 50_000, 75_535),
        (1, 50_000, 100_000),
    ):
        connection.from_client(frame(8, 0, stream, more.to_bytes(4, "big")))
        assert sent() == total
    # Trailers, with the end of the stream.
    assert to_client[-1][3:5] == bytes([1, 5])


def test_answers_of_the_server_wait_for_what_the_client_lent_to_one_from_here() -> None:
    to_client: list[bytes] = []
    connection = Connection({OWN: lambda _: bytes(59_995)}, to_client.append, lambda _: None)
    connection.from_client(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(1, 4, 1, OWN.encode()))
    connection.from_client(frame(0, 1, 1, bytes(5)))
    del to_client[:]
    # The server knows of nothing that the client has taken.
    answer = [frame(1, 4, 3, b"headers"), frame(0, 0, 3, bytes(6_000)), frame(1, 5, 3, b"trailers")]
    connection.from_server(b"".join(answer))
    assert to_client == answer[:1]
    connection.from_client(frame(8, 0, 0, (400).to_bytes(4, "big")))
    assert to_client == answer[:1]
    connection.from_client(frame(8, 0, 0, (65).to_bytes(4, "big")))
    assert b"".join(to_client) == b"".join(answer)
