"""Unauthenticated connections to the main node: idle, malformed, and sealed with a wrong key."""

from __future__ import annotations

import json
import os
import resource
import socket
import sys
import time


def main() -> int:
    """Opens all of them at once; the sockets stay open until the job is over."""
    address, port = sys.argv[1], int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    greeting = {"job": os.environ["AWS_BATCH_JOB_ID"], "attempt": "1", "node": 1, "nonce": "0" * 64}
    said = [
        b"\0" * 5000,
        os.urandom(500) + b"\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"[" * 1000 + b"\n",
        json.dumps({**greeting, "node": True}).encode() + b"\n",
        # As a child would, but what follows is sealed with another session's key.
        json.dumps(greeting).encode() + b"\n" + b"0" * 64 + b' {"host": []}\n',
    ]
    sockets = []
    for index in range(1000):
        sockets.append(connected(address, port))
        if index < 3 * len(said):
            sockets[-1].sendall(said[index % len(said)])
    print("unauthenticated: 1000 connections", flush=True)
    time.sleep(float(sys.argv[3]))
    return 0


def connected(address: str, port: int) -> socket.socket:
    """Returns a connection, as soon as the port is open."""
    while True:
        try:
            return socket.create_connection((address, port), timeout=5)
        except OSError:
            time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main())
