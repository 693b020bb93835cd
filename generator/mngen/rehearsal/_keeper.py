"""The process that all nodes of a rehearsal live in, and end with.

`_start` starts it, with the descriptor of its control socket as its first argument.

It is the first process of a PID namespace: when it ends, for whatever reason, the kernel kills
every process below it, and their networks and mounts go with them. It ends when the other end of
its control socket closes, which also happens when its starter dies (kill -9 included).

Over the socket go lines of JSON. The starter's first is what to start (`_request.as_message`);
further ones are `{"id", "do": "signal" | "cut" | "freeze" | "thaw", "node", "number"}`. The answers
are `{"event": "started", "time", "processes"}` or `{"event": "failed", "message"}`, then
`{"event": "ended", "node", "code", "time"}` and `{"event": "done", "id", "error"}`. Times are those
of CLOCK_MONOTONIC, in seconds.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

from mngen.rehearsal import _linux, _network
from mngen.rehearsal._node import Gates, Habits, Node, live
from mngen.rehearsal._root import Roots


def main() -> int:
    """Serves until the starter goes away."""
    control = socket.socket(fileno=int(sys.argv[1]))
    control.set_inheritable(False)
    try:
        _linux.unshare(
            _linux.NEW_PIDS
            | _linux.NEW_MOUNTS
            | _linux.NEW_NETWORK
            | _linux.NEW_NAMES
            | _linux.NEW_IPC
        )
    except OSError as error:
        _send(control, {"event": "failed", "message": f"no namespaces: {error.strerror}"})
        return 1
    child = os.fork()
    if child == 0:
        code = 1
        try:
            _linux.die_with_parent(signal.SIGKILL)
            code = _Keeper(control).run()
        finally:
            os._exit(code)
    # Held here, the nodes' pipes and the socket would never seem closed.
    control.detach()
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    _, status = os.waitpid(child, 0)
    return 0 if status == 0 else 1


class _Keeper:
    """The nodes and the conversation about them."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._rest = b""
        self._alive: dict[int, int] = {}
        self._ip = ""

    def run(self) -> int:
        """Starts the nodes and serves; returns the exit code."""
        line = self._control.makefile("rb").readline()
        if not line:
            return 0
        try:
            self._start(json.loads(line))
        except OSError as error:
            self._send_event({"event": "failed", "message": _words(error)})
            return 1
        self._serve()
        return 0

    def _start(self, message: dict[str, Any]) -> None:
        nodes = [Node(**each) for each in message["nodes"]]
        for node in nodes:
            os.set_inheritable(node.pipe, False)
        _linux.make_private("/")
        _linux.mount("proc", "/proc", "proc")
        roots = Roots(message["root"], message["binds"], message["unshared"], message["files"])
        habits = Habits(**message["habits"])
        self._ip = habits.ip
        _network.run(self._ip, _network.bridge())
        gates = Gates.create()
        for node in nodes:
            _linux.unshare(_linux.NEW_PIDS)
            pid = os.fork()
            if pid == 0:
                # Never returns.
                others = [each.pipe for each in nodes if each is not node]
                live(node, others, gates, roots, habits)
            self._alive[node.index] = pid
            _linux.leave_pids_to_own()
        for node in nodes:
            os.close(node.pipe)
        gates.keep()
        gates.await_reports(len(nodes))
        _network.run(self._ip, _network.attach(self._alive.items()))
        gates.open_network()
        gates.await_reports(len(nodes))
        processes = list(self._alive.items())
        self._send_event({"event": "started", "time": time.monotonic(), "processes": processes})
        gates.open_start()

    def _serve(self) -> None:
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        os.set_blocking(reader, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        with selectors.DefaultSelector() as selector:
            selector.register(reader, selectors.EVENT_READ)
            selector.register(self._control, selectors.EVENT_READ)
            self._reap()
            while True:
                for key, _ in selector.select():
                    if key.fileobj is self._control:
                        if not self._listen():
                            return
                    else:
                        os.read(reader, 4096)
                        self._reap()

    def _listen(self) -> bool:
        """Does what the starter asks; returns False when it has gone."""
        chunk = self._control.recv(65536)
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            order = json.loads(line)
            error = None
            try:
                self._do(order)
            except OSError as failure:
                error = _words(failure)
            self._send_event({"event": "done", "id": order["id"], "error": error})
        return bool(chunk)

    def _do(self, order: dict[str, Any]) -> None:
        index = order["node"]
        if order["do"] == "cut":
            _network.run(self._ip, _network.cut(index))
        elif index not in self._alive:
            # It may have ended in the meantime: there is nothing left to signal.
            return
        elif order["do"] == "signal":
            os.kill(self._alive[index], order["number"])
        elif order["do"] == "freeze":
            _signal_all(self._alive[index], signal.SIGSTOP)
        else:
            _signal_all(self._alive[index], signal.SIGCONT)

    def _reap(self) -> None:
        nodes = {pid: index for index, pid in self._alive.items()}
        while nodes:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            index = nodes.pop(pid)
            del self._alive[index]
            code = os.waitstatus_to_exitcode(status)
            self._send_event(
                {
                    "event": "ended",
                    "node": index,
                    "code": code if code >= 0 else 128 - code,
                    "time": time.monotonic(),
                }
            )

    def _send_event(self, event: dict[str, Any]) -> None:
        _send(self._control, event)


def _signal_all(first: int, number: int) -> None:
    """Signals every process of the PID namespace whose first process is given."""
    namespace = Path(f"/proc/{first}/ns/pid").readlink()
    done: set[int] = set()
    while True:
        found = {int(each.name) for each in Path("/proc").iterdir() if each.name.isdecimal()}
        new = {pid for pid in found - done if _namespace(pid) == namespace}
        if not new:
            return
        # Those that they start before the signal reaches them are found the next time.
        for pid in new:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
        done |= new


def _namespace(pid: int) -> Path | None:
    try:
        return Path(f"/proc/{pid}/ns/pid").readlink()
    except OSError:
        return None


def _send(control: socket.socket, event: dict[str, Any]) -> None:
    try:
        control.sendall(json.dumps(event).encode() + b"\n")
    except (BrokenPipeError, ConnectionResetError):
        # The starter has gone; reading notices it too, and stops this process.
        return


def _words(error: OSError) -> str:
    text = error.strerror or str(error)
    return f"{error.filename}: {text}" if error.filename else text
