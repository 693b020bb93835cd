"""A main node on loopback, and clients that are children, or pretend to be."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from mngen_wireup.messages import Session, parsed, plain_line
from tests.support.wireup import CONTAINER
from tests.support.wireup_parts import changed, host

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "0123456789abcdef" * 2
SECONDS = 30


class Client:
    """A child's side of one connection, step by step."""

    def __init__(self, port: int, node: int, secret: str = SECRET) -> None:
        self.greeting = {"job": "j", "attempt": "1", "node": node, "nonce": os.urandom(32).hex()}
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
        self.stream = self.socket.makefile("rb")
        self.secret = secret
        self.host = host(node, "127.0.0.1", "127.0.0.0/8", 2, 2)

    def close(self) -> None:
        self.stream.close()
        self.socket.close()

    def send_line(self, line: bytes) -> None:
        self.socket.sendall(line)

    def greet(self) -> dict[str, Any]:
        self.send_line(plain_line(self.greeting))
        nonce = parsed(self.stream.readline().rstrip(b"\n"))["nonce"]
        self.session = Session(self.secret.encode(), self.greeting, nonce, is_main=False)
        return self.receive()

    def send(self, **message: Any) -> bytes:
        line = self.session.seal(message)
        self.send_line(line)
        return line

    def receive(self) -> dict[str, Any]:
        while True:
            message = self.session.open(self.stream.readline().rstrip(b"\n"))
            if "beat" not in message:
                return message

    def register(self) -> None:
        assert self.greet() == {"welcome": True}
        self.send(host=self.host.values())

    def is_closed(self) -> bool:
        try:
            return self.stream.readline() == b""
        except ConnectionResetError:
            return True


class Connect(Protocol):
    """Makes a client that is closed after the test."""

    def __call__(self, port: int, node: int, secret: str = SECRET) -> Client: ...


@pytest.fixture
def connect() -> Iterator[Connect]:
    clients = []

    def make(port: int, node: int, secret: str = SECRET) -> Client:
        clients.append(Client(port, node, secret))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@contextmanager
def main_node(nodes: int, *command: str, **variables: str) -> Iterator[tuple[int, Any]]:
    """Runs a main node on a free port; yields the port and the process."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environ = {
        "AWS_BATCH_JOB_ID": "j",
        "AWS_BATCH_JOB_NUM_NODES": str(nodes),
        "AWS_BATCH_JOB_NODE_INDEX": "0",
        "AWS_BATCH_JOB_MAIN_NODE_INDEX": "0",
        "MNGEN_SECRET": SECRET,
        "MNGEN_PORT": str(port),
        "MNGEN_LAUNCHER": "none",
        "MNGEN_WAIT": str(SECONDS),
        "PATH": os.environ["PATH"],
        **variables,
    }
    with subprocess.Popen(
        [sys.executable, "-IS", str(CONTAINER / "wireup.py"), *command],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        while "waiting on port" not in process.stderr.readline():
            assert process.poll() is None
        try:
            yield port, process
        finally:
            process.kill()


def test_job_of_two_nodes(connect: Connect) -> None:
    with main_node(2, "echo", "done") as (port, process):
        child = connect(port, 1)
        child.register()
        assert child.receive() == {"go": ["", False]}
        child.send(ready=True)
        child.send(done=0)
        assert child.receive() == {"end": [0, ""]}
        child.close()
        output, log = process.communicate(timeout=SECONDS)
        assert (process.returncode, output) == (0, "done\n")
        assert "end: exit 0; rendezvous" in log


def test_child_learns_that_another_one_failed(connect: Connect) -> None:
    with main_node(3, "sleep", "60") as (port, process):
        children = [connect(port, 1), connect(port, 2)]
        for child in children:
            child.register()
        for child in children:
            assert "go" in child.receive()
            child.send(ready=True)
        children[1].send(done=7)
        for child in children:
            assert child.receive() == {"end": [7, "the command on node 2 failed with exit code 7"]}
            child.close()
        process.communicate(timeout=SECONDS)
        assert process.returncode == 7


def test_child_that_cannot_take_part_ends_the_job_with_its_own_reason(connect: Connect) -> None:
    with main_node(2, "true") as (port, process):
        child = connect(port, 1)
        assert child.greet() == {"welcome": True}
        child.send(host=child.host.values(), failed=[65, "node 1 sees 96 CPUs instead of 48"])
        assert child.receive() == {"end": [65, "node 1 sees 96 CPUs instead of 48"]}
        child.close()
        process.communicate(timeout=SECONDS)
        assert process.returncode == 65


def test_refusals_and_then_the_real_child(connect: Connect) -> None:
    with main_node(2, "true") as (port, process):
        wrong = connect(port, 1, secret="f" * 32)
        with pytest.raises(ValueError, match="wrong secret or altered message"):
            wrong.greet()
        wrong.send(host=wrong.host.values())
        assert wrong.is_closed()

        claims: list[tuple[dict[str, str | int], str]] = [
            ({"job": "k"}, "it belongs to job k; this is job j"),
            ({"attempt": "9"}, "it belongs to attempt 9; this is attempt 1"),
            ({"node": 5}, "invalid index 5 of a child: 2 nodes with main node 0"),
        ]
        for claim, reason in claims:
            odd = connect(port, 1)
            odd.greeting.update(claim)
            odd.register()
            assert odd.receive() == {"refused": reason}
            assert odd.is_closed()

        chatty = connect(port, 1)
        chatty.send_line(b"x" * 5000)
        assert chatty.is_closed()

        child = connect(port, 1)
        child.register()
        assert "go" in child.receive()
        second = connect(port, 1)
        second.register()
        assert second.receive() == {"refused": "node 1 has already joined from 127.0.0.1"}
        child.send(ready=True)
        child.send(done=0)
        assert child.receive() == {"end": [0, ""]}
        child.close()
        _, log = process.communicate(timeout=SECONDS)
        assert process.returncode == 0
        assert "refused 127.0.0.1 as node 1: wrong secret or altered message" in log
        assert "refused 127.0.0.1: message too long" in log


def test_recorded_session_is_worth_nothing(connect: Connect) -> None:
    with main_node(2, "sleep", "60") as (port, process):
        child = connect(port, 1)
        child.greet()
        recorded = plain_line(child.greeting)
        recorded += child.send(host=child.host.values())
        assert "go" in child.receive()
        replayed = connect(port, 1)
        replayed.send_line(recorded)
        assert b"nonce" in replayed.stream.readline()
        replayed.stream.readline()
        assert replayed.is_closed()
        # What is put into the open connection of a real child is not believed either.
        child.send_line(b"0" * 64 + b" done=0\n")
        child.close()
        _, log = process.communicate(timeout=SECONDS)
        assert process.returncode == 67
        assert "node 1 (127.0.0.1) was disconnected: wrong secret or altered message" in log


def test_host_that_would_break_out_of_a_file_is_refused(connect: Connect) -> None:
    with main_node(2, "true") as (port, process):
        odd = connect(port, 1)
        odd.greet()
        odd.send(host=changed(odd.host, address="127.0.0.1\nHost *").values())
        assert odd.is_closed()
        said = process.stderr.readline()
        assert "as node 1: malformed description of a host" in said


def test_hundreds_of_idle_connections_leave_room_for_a_child(connect: Connect) -> None:
    with main_node(2, "true") as (port, process):
        idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(400)]
        child = connect(port, 1)
        child.register()
        assert "go" in child.receive()
        child.send(ready=True)
        child.send(done=0)
        assert child.receive() == {"end": [0, ""]}
        child.close()
        process.communicate(timeout=SECONDS)
        assert process.returncode == 0
        for each in idle:
            each.close()


def test_silent_child_is_lost(connect: Connect) -> None:
    with main_node(2, "sleep", "60", MNGEN_HEARTBEAT="0.2") as (port, process):
        child = connect(port, 1)
        child.register()
        assert "go" in child.receive()
        child.send(ready=True)
        _, log = process.communicate(timeout=SECONDS)
        assert process.returncode == 67
        assert "lost: node 1 (127.0.0.1) sent no heartbeat" in log
