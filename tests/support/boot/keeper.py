"""The process that a guest lives in, with the network services that it needs, and ends with.

    python -m tests.support.boot.keeper PLAN

It is the first process of its PID, network and mount namespaces: its ports are its own, and with
it the kernel kills everything in them. The plan is JSON:

    {"qemu": [argument, ...], "folder": path, "export": path, "certificate": path | null,
     "name": text, "resolves_after": seconds | null, "served_after": seconds | null}

QEMU passes the guest's traffic to 10.0.2.2 on to this namespace's loopback, and its questions to
10.0.2.3 to the name server that runs here. Seconds count from the guest's first question for the
name, which is its first attempt to mount; null: never. With a certificate (and its key, in one
file) the server speaks TLS. What happens when goes to `events` in the folder, one line of JSON
each.

Source: https://github.com/nfs-ganesha/nfs-ganesha/wiki (ganesha-core-config, -export-config),
RFC 1035 (sections 4.1.1 to 4.1.3: messages of the domain name system).
"""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

GATEWAY = "10.0.2.2"
"""What the guest calls this namespace's loopback."""

_POLL_SECONDS = 0.2
_PORT, _PORT_BEHIND_TLS = 2049, 20490
_HEADER = struct.Struct(">HHHHHH")
_ANSWER, _AUTHORITATIVE, _NO_SUCH_NAME = 0x8000, 0x0400, 0x0003
_ADDRESS_QUESTION = struct.pack(">HH", 1, 1)

_STUNNEL = """
foreground = yes
pid =
[nfs]
accept = 127.0.0.1:{port}
connect = 127.0.0.1:{behind}
cert = {certificate}
"""

# The file system of a whole export, NFS 4 alone, with no other service around it.
_GANESHA = """
NFS_CORE_PARAM {{
  Protocols = 4; NFS_Port = {port}; Enable_NLM = false; Enable_RQUOTA = false; Enable_UDP = false;
}}
NFSV4 {{ Graceless = true; RecoveryRoot = "{folder}/recovery"; }}
EXPORT {{
  Export_Id = 1; Path = "{export}"; Pseudo = "/"; Access_Type = RW; Squash = No_Root_Squash;
  SecType = sys; Protocols = 4; Transports = TCP;
  FSAL {{ Name = VFS; }}
}}
"""


def main() -> int:
    """Runs the guest; returns QEMU's exit code."""
    plan: dict[str, Any] = json.loads(sys.argv[1])
    folder = Path(plan["folder"])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    # QEMU asks the name server that this file names.
    (folder / "resolv.conf").write_text("nameserver 127.0.0.1\n", encoding="utf-8")
    subprocess.run(
        ["mount", "--bind", folder / "resolv.conf", "/etc/resolv.conf"],
        check=True,
    )
    events = _Events(folder / "events")
    names = _Names(plan["name"], plan["resolves_after"], events)
    threading.Thread(target=names.serve, daemon=True).start()
    with (folder / "qemu.log").open("wb") as log:
        guest = subprocess.Popen(plan["qemu"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    after = plan["served_after"]
    served = after is None
    while guest.poll() is None:
        if not served and (not after or names.asked_for() >= after):
            served = True
            _serve(folder, plan["export"], plan["certificate"])
            events.add("served")
        time.sleep(_POLL_SECONDS)
    events.add("ended")
    return guest.returncode


class _Events:
    """Writes down what happens."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._start = time.monotonic()

    def add(self, event: str) -> None:
        line = {"event": event, "seconds": round(time.monotonic() - self._start, 1)}
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


class _Names:
    """A name server that knows one name, once its time has come."""

    def __init__(self, name: str, after: float | None, events: _Events) -> None:
        labels = name.encode().split(b".")
        self._name = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
        self._after = after
        self._events = events
        self._first: float | None = None
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 53))

    def asked_for(self) -> float:
        """Returns the seconds since the name was first asked for; -1 where it was not."""
        return -1 if self._first is None else time.monotonic() - self._first

    def serve(self) -> None:
        while True:
            message, sender = self._socket.recvfrom(512)
            self._socket.sendto(self._answer(message), sender)

    def _answer(self, message: bytes) -> bytes:
        number, *_ = _HEADER.unpack(message[: _HEADER.size])
        end = message.index(b"\0", _HEADER.size) + 5
        question = message[_HEADER.size : end]
        known = question[:-4].lower() == self._name
        if known and self._first is None:
            self._first = time.monotonic()
            self._events.add("asked")
        if not known or self._after is None or self.asked_for() < self._after:
            flags = _ANSWER | _AUTHORITATIVE | _NO_SUCH_NAME
            return _HEADER.pack(number, flags, 1, 0, 0, 0) + question
        if question[-4:] != _ADDRESS_QUESTION:
            return _HEADER.pack(number, _ANSWER | _AUTHORITATIVE, 1, 0, 0, 0) + question
        # The name is that of the question, at offset 12.
        record = struct.pack(">HHHIH", 0xC00C, 1, 1, 5, 4) + socket.inet_aton(GATEWAY)
        return _HEADER.pack(number, _ANSWER | _AUTHORITATIVE, 1, 1, 0, 0) + question + record


def _serve(folder: Path, export: str, certificate: str | None) -> None:
    """Starts the NFS server, and waits until it listens."""
    (folder / "recovery").mkdir(exist_ok=True)
    port = _PORT_BEHIND_TLS if certificate else _PORT
    config, log = folder / "ganesha.conf", folder / "ganesha.log"
    text = _GANESHA.format(folder=folder, export=export, port=port)
    config.write_text(text, encoding="utf-8")
    files = {"-f": config, "-L": log, "-p": folder / "ganesha.pid"}
    words = [str(word) for pair in files.items() for word in pair]
    _start(["ganesha.nfsd", "-F", *words], log, port)
    if certificate:
        config, log = folder / "stunnel.conf", folder / "stunnel.log"
        text = _STUNNEL.format(port=_PORT, behind=port, certificate=certificate)
        config.write_text(text, encoding="utf-8")
        _start(["stunnel4", str(config)], log, _PORT)


def _start(command: list[str], log: Path, port: int) -> None:
    """Starts a server, and waits until it listens."""
    with log.with_suffix(".out").open("wb") as output:
        server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    while server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(_POLL_SECONDS)
        else:
            return
    raise AssertionError(f"{command} ended: {log.with_suffix('.out').read_text()}")


if __name__ == "__main__":
    sys.exit(main())
