"""Running nodes: watching them, and injecting faults."""

from __future__ import annotations

import json
import os
import re
import selectors
import signal
import socket
import subprocess
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mngen.errors import ToolError
from mngen.rehearsal._request import NodesRequest, address_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_MAX_LINE = 65536
_ORDER_SECONDS = 60.0
_START_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Line:
    """A line that a node wrote.

    Attributes:
        node: Its index.
        seconds: When it was read, since the common start.
        text: It, without its end.
    """

    node: int
    seconds: float
    text: str


class Nodes:
    """Running nodes; `start_nodes` makes them.

    Attributes:
        request: What was asked for.
        started: The instant at which all commands started, on the clock of `time.monotonic()`.
        exit_codes: How nodes ended, by index: an exit code, or 128 + N where signal N killed its
            first process. Those that still run, or never came, are not in it.
        end_times: When they ended, in seconds since the start.
        lines: All that they have written, unless the caller takes the lines itself.
    """

    def __init__(
        self,
        request: NodesRequest,
        control: socket.socket,
        pipes: Mapping[int, int],
        outermost: int,
        on_line: Callable[[Line], None] | None,
    ) -> None:
        """Takes over the conversation with a keeper that has just been started.

        Args:
            request: What it was asked for.
            control: This end of its control socket.
            pipes: Where each node's output is read, by index.
            outermost: The process that was started, whose only child is the keeper.
            on_line: Called with each line, from a thread; None keeps them in `lines`.
        """
        self.request = request
        self.started = 0.0
        self.exit_codes: dict[int, int] = {}
        self.end_times: dict[int, float] = {}
        self.lines: list[Line] = []
        self._control = control
        self._heard = b""
        self._pipes = {descriptor: index for index, descriptor in pipes.items()}
        self._rests = dict.fromkeys(pipes, b"")
        self._outermost = outermost
        self._within: dict[int, int] = {}
        self._orders = 0
        self._answers: dict[int, str | None] = {}
        self._on_line = on_line or self.lines.append
        self._news = threading.Condition()
        self._pool = ThreadPoolExecutor(1, "mngen-nodes")
        self._reading = self._pool.submit(self._read)
        self._reading.add_done_callback(self._notify)

    def address(self, index: int) -> str:
        """Returns a node's IPv4 address."""
        return address_of(index)

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until every node has ended and all that they wrote was handed on.

        Args:
            timeout: Seconds to wait at most.

        Returns:
            Whether they have ended.

        Raises:
            ToolError: The nodes were lost: something killed what they live in.
        """
        return self._await(self._over, timeout)

    def wait_for_line(
        self, pattern: str, timeout: float, *, node: int | None = None
    ) -> re.Match[str] | None:
        """Waits until a node has written a line in which a regular expression is found.

        Only for nodes whose lines are kept in `lines`; those that came before count too.

        Args:
            pattern: The regular expression.
            timeout: Seconds to wait at most.
            node: Only this node's lines.

        Returns:
            The first match, or None if there was none until the time was over or all nodes ended.

        Raises:
            ToolError: The nodes were lost.
        """
        seen = 0
        found: re.Match[str] | None = None

        def search() -> bool:
            nonlocal seen, found
            while found is None and seen < len(self.lines):
                line = self.lines[seen]
                seen += 1
                if node is None or line.node == node:
                    found = re.search(pattern, line.text)
            return found is not None or self._over()

        self._await(search, timeout)
        return found

    def kill(self, index: int, number: int = signal.SIGKILL) -> None:
        """Sends a signal to a node's first process; SIGKILL stops the whole node at once.

        As in any container, a signal that the process has no handler for, other than SIGKILL and
        SIGSTOP, does nothing. A node that has ended, or never came, is left alone.

        Raises:
            ToolError: It was refused.
        """
        self._order("signal", index, number)

    def cut(self, index: int) -> None:
        """Cuts a node off: from now on, nothing that it sends arrives, and it receives nothing.

        Neither side gets a notice, as when an instance loses its network or its power.

        Raises:
            ToolError: It was refused.
        """
        self._order("cut", index)

    def freeze(self, index: int) -> None:
        """Stops all of a node's processes; its kernel still acknowledges what it is sent.

        Raises:
            ToolError: It was refused.
        """
        self._order("freeze", index)

    def thaw(self, index: int) -> None:
        """Lets a frozen node go on.

        Raises:
            ToolError: It was refused.
        """
        self._order("thaw", index)

    def run(
        self, index: int, command: Sequence[str], timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command inside a node that still runs, with the caller's rights.

        Returns:
            The finished process with its output.

        Raises:
            ToolError: The node does not run.
            subprocess.TimeoutExpired: It took longer than `timeout`.
        """
        return subprocess.run(
            ["nsenter", "--all", "--target", str(self.process(index)), "--", *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def process(self, index: int) -> int:
        """Returns the process id of a node's first process, as this process sees it.

        Raises:
            ToolError: The node does not run.
        """
        within = self._within.get(index)
        if within is not None and index not in self.exit_codes:
            for keeper in _children(self._outermost):
                for pid in _children(keeper):
                    if _pids(pid)[-2:] == [within, 1]:
                        return pid
        raise ToolError(f"node {index} is not running")

    def await_start(self) -> None:
        """Waits until all commands have been started.

        Raises:
            ToolError: The nodes could not be made.
        """
        if not self._await(lambda: self.started > 0, _START_SECONDS):
            raise ToolError(
                f"timed out after {_START_SECONDS:.0f} s waiting for the nodes to start"
            )

    def close(self) -> None:
        """Releases the keeper, which stops every node, and reads the rest of their output."""
        with suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)
        self._pool.shutdown()
        self._control.close()
        for descriptor in self._pipes:
            os.close(descriptor)

    def _over(self) -> bool:
        return len(self.exit_codes) == len(self.request.indexes) and not self._pipes

    def _order(self, what: str, index: int, number: int = 0) -> None:
        if index not in range(self.request.count):
            raise ToolError(f"no node {index}")
        if index in self.request.missing:
            return
        with self._news:
            self._orders += 1
            order = self._orders
            message = {"id": order, "do": what, "node": index, "number": number}
            with suppress(BrokenPipeError, ConnectionResetError):
                self._control.sendall(json.dumps(message).encode() + b"\n")
        if not self._await(lambda: order in self._answers, _ORDER_SECONDS):
            raise ToolError(f"node {index} did not respond: {what}")
        error = self._answers.pop(order)
        if error:
            raise ToolError(f"node {index} took no {what}: {error}")

    def _await(self, condition: Callable[[], bool], timeout: float | None) -> bool:
        with self._news:
            if self._news.wait_for(lambda: condition() or self._reading.done(), timeout):
                if condition():
                    return True
                self._reading.result()
                if not self.started:
                    raise ToolError("cannot create the nodes: their parent process ended")
                raise ToolError("the nodes were lost: their parent process was killed")
            return False

    def _notify(self, _: Future[None]) -> None:
        with self._news:
            self._news.notify_all()

    def _read(self) -> None:
        """Reads what the nodes and the keeper write, until both have ended."""
        control = self._control.fileno()
        with selectors.DefaultSelector() as selector:
            for descriptor in (control, *self._pipes):
                selector.register(descriptor, selectors.EVENT_READ)
            while selector.get_map():
                ready = {key.fd for key, _ in selector.select()}
                # The keeper first: it reports when the start was before any node writes a line.
                for descriptor in sorted(ready, key=lambda each: each != control):
                    more = self._hear() if descriptor == control else self._take(descriptor)
                    if not more:
                        selector.unregister(descriptor)

    def _hear(self) -> bool:
        """Reads the keeper's messages; returns whether there may be more."""
        try:
            chunk = self._control.recv(_MAX_LINE)
        except ConnectionResetError:
            # It ended before it had read all that it was sent.
            chunk = b""
        *lines, self._heard = (self._heard + chunk).split(b"\n")
        with self._news:
            for line in lines:
                self._learn(json.loads(line))
            self._news.notify_all()
        return bool(chunk)

    def _learn(self, event: Mapping[str, Any]) -> None:
        match event["event"]:
            case "started":
                self.started = event["time"]
                self._within = dict(event["processes"])
            case "failed":
                raise ToolError(f"cannot create the nodes: {event['message']}")
            case "ended":
                self.exit_codes[event["node"]] = event["code"]
                self.end_times[event["node"]] = event["time"] - self.started
            case _:
                self._answers[event["id"]] = event["error"]

    def _take(self, descriptor: int) -> bool:
        """Reads what a node writes; returns whether there may be more."""
        index = self._pipes[descriptor]
        chunk = os.read(descriptor, _MAX_LINE)
        seconds = time.monotonic() - self.started
        *lines, rest = (self._rests[index] + chunk).split(b"\n")
        if rest and (not chunk or len(rest) > _MAX_LINE):
            lines.append(rest)
            rest = b""
        self._rests[index] = rest
        for line in lines:
            text = line.decode(errors="replace").rstrip("\r")
            self._on_line(Line(index, seconds, text))
        with self._news:
            if not chunk:
                os.close(descriptor)
                del self._pipes[descriptor]
            self._news.notify_all()
        return bool(chunk)


def _children(pid: int) -> list[int]:
    return [
        int(status.parent.name)
        for status in Path("/proc").glob("[0-9]*/status")
        if f"\nPPid:\t{pid}\n" in _text(status)
    ]


def _pids(pid: int) -> list[int]:
    """Returns a process's ids in each of the PID namespaces that it is in, outermost first."""
    for line in _text(Path(f"/proc/{pid}/status")).splitlines():
        if line.startswith("NSpid:"):
            return [int(word) for word in line.split()[1:]]
    return []


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError:
        # The process has ended in the meantime.
        return ""
