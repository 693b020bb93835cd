"""Nodes as containers of the job's image, run by Docker or Podman."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mngen import parts
from mngen.errors import ToolError
from mngen.rehearsal._nodes import Line
from mngen.rehearsal._request import hostname_of, variables_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mngen.rehearsal._request import NodesRequest

_ORDER_SECONDS = 60.0
_FIRST_HOST = 10
# Networks for benchmarks, which neither the internet nor an office uses.
# Source: https://www.rfc-editor.org/rfc/rfc2544
_SUBNETS = 512
MOST_CONTAINERS = 200


@dataclass(frozen=True, slots=True)
class Group:
    """The containers of one rehearsal, as command lines for an engine.

    Attributes:
        engine: The program: `docker` or `podman`.
        image: The container image of nodes without another one; its entrypoint is the wire-up.
        name: Name of the network; the nodes' names begin with it.
        subnet: Which of 512 small networks to use, from 0.
    """

    engine: str
    image: str
    name: str
    subnet: int

    def address(self, index: int) -> str:
        """Returns a node's IPv4 address."""
        return f"198.{18 + self.subnet // 256}.{self.subnet % 256}.{_FIRST_HOST + index}"

    def node(self, index: int) -> str:
        """Returns the name of a node's container."""
        return f"{self.name}-{index}"

    def variables(self, request: NodesRequest, index: int) -> dict[str, str]:
        """Returns the environment variables of a node."""
        return variables_of(request, index, self.address(request.main))

    def make_network(self) -> list[str]:
        """Returns the command that makes the network."""
        network = f"198.{18 + self.subnet // 256}.{self.subnet % 256}.0/24"
        return [self.engine, "network", "create", "--subnet", network, self.name]

    def remove_network(self) -> list[str]:
        """Returns the command that removes the network."""
        return [self.engine, "network", "rm", self.name]

    def run(self, request: NodesRequest, index: int) -> list[str]:
        """Returns the command that runs a node to its end.

        The values of variables, the job's secret among them, come from the command's environment:
        a list of the machine's processes shows their names only.
        """
        words = [self.engine, "run", "--rm", "--name", self.node(index), "--label", "mngen"]
        words += ["--network", self.name, "--ip", self.address(index)]
        words += ["--hostname", hostname_of(index)]
        for name in sorted(self.variables(request, index)):
            words += ["--env", name]
        for bind in request.binds:
            read_only = ",readonly" if bind.read_only else ""
            words += ["--mount", f"type=bind,source={bind.source},target={bind.target}{read_only}"]
        if request.container_user is not None:
            words += ["--user", request.container_user]
        for name, (soft, hard) in sorted(request.limits.items()):
            words += ["--ulimit", f"{name}={soft}:{hard}"]
        for each in request.files:
            words += ["--tmpfs", f"{each.target}:{','.join(each.options)}"]
        image = request.node_images.get(index, self.image)
        return [*words, image, *request.node_commands.get(index, request.command)]

    def kill(self, index: int, number: int) -> list[str]:
        """Returns the command that sends a signal to a node's first process."""
        name = signal.Signals(number).name
        return [self.engine, "kill", "--signal", name, self.node(index)]

    def cut(self, index: int) -> list[str]:
        """Returns the command that takes a node off the network."""
        return [self.engine, "network", "disconnect", "--force", self.name, self.node(index)]

    def freeze(self, index: int) -> list[str]:
        """Returns the command that stops all of a node's processes."""
        return [self.engine, "pause", self.node(index)]

    def remove(self, index: int) -> list[str]:
        """Returns the command that ends and removes a node, whatever its state."""
        return [self.engine, "rm", "--force", self.node(index)]


class ContainerNodes:
    """Running containers; see `mngen.rehearsal.Nodes` for what each member means."""

    def __init__(
        self, group: Group, request: NodesRequest, on_line: Callable[[Line], None]
    ) -> None:
        """Starts them, those that are late with a delay."""
        self.started = time.monotonic()
        self.exit_codes: dict[int, int] = {}
        self.end_times: dict[int, float] = {}
        self._group = group
        self._request = request
        self._on_line = on_line
        self._closing = threading.Event()
        self._failures: list[BaseException] = []
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._run, args=(index,), name=group.node(index))
            for index in request.indexes
        ]
        for thread in self._threads:
            thread.start()

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until every node has ended; returns whether they have."""
        deadline = None if timeout is None else time.monotonic() + timeout
        for thread in self._threads:
            thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
        if self._failures:
            raise self._failures[0]
        return not any(thread.is_alive() for thread in self._threads)

    def kill(self, index: int, number: int = signal.SIGKILL) -> None:
        """Sends a signal to a node's first process."""
        self._order(index, self._group.kill(index, number))

    def cut(self, index: int) -> None:
        """Takes a node off the network."""
        self._order(index, self._group.cut(index))

    def freeze(self, index: int) -> None:
        """Stops all of a node's processes."""
        self._order(index, self._group.freeze(index))

    def close(self) -> None:
        """Ends and removes what is left."""
        self._closing.set()
        for index in self._request.indexes:
            if index not in self.exit_codes:
                _quietly(self._group.remove(index))
        for thread in self._threads:
            thread.join()

    def _order(self, index: int, command: list[str]) -> None:
        if index in self._request.missing or index in self.exit_codes:
            return
        try:
            _engine(command)
        except ToolError:
            # It may have ended in the meantime, or not have come yet.
            if index not in self.exit_codes and self._is_there(index):
                raise

    def _is_there(self, index: int) -> bool:
        return _quietly([self._group.engine, "container", "inspect", self._group.node(index)])

    def _run(self, index: int) -> None:
        if self._closing.wait(self._request.late.get(index, 0.0)):
            return
        try:
            code = self._follow(index)
        except (OSError, ValueError) as error:
            self._failures.append(error)
            return
        self.end_times[index] = time.monotonic() - self.started
        self.exit_codes[index] = code

    def _follow(self, index: int) -> int:
        environment = {**os.environ, **self._group.variables(self._request, index)}
        with subprocess.Popen(
            self._group.run(self._request, index),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # Ctrl-C is for mngen, which passes it on as Batch would.
            start_new_session=True,
        ) as process:
            for line in process.stdout or ():
                text = line.decode(errors="replace").rstrip("\r\n")
                with self._lock:
                    self._on_line(Line(index, time.monotonic() - self.started, text))
        return process.returncode


@dataclass(frozen=True, slots=True)
class ContainerEngine:
    """Docker or Podman, running a container image.

    Attributes:
        program: `docker` or `podman`.
        image: The image.
    """

    program: str
    image: str
    in_image = True

    def check(self, request: NodesRequest) -> None:
        """Checks that the engine is there and can work.

        Raises:
            ToolError: It is not there or cannot work, or there are too many nodes for it.
        """
        found = parts.try_program(parts.ENGINES[self.program])
        if not found.found:
            mend = "start" if found.trouble else "install"
            raise ToolError(
                found.trouble or f"{self.program} is not on PATH",
                hint=f"{mend} {self.program}, or run as root: --engine netns needs none",
            )
        if request.count > MOST_CONTAINERS:
            raise ToolError(
                f"{request.count} nodes are too many: at most {MOST_CONTAINERS} as containers"
            )

    @contextmanager
    def start(
        self, request: NodesRequest, on_line: Callable[[Line], None]
    ) -> Iterator[ContainerNodes]:
        """Starts nodes as containers, and ends and removes what is left of them after the block.

        Raises:
            ToolError: There is no such engine, or it failed.
        """
        self.check(request)
        name = f"mngen-{secrets.token_hex(4)}"
        group = Group(self.program, self.image, name, secrets.randbelow(_SUBNETS))
        _engine(group.make_network())
        with ExitStack() as stack:
            stack.callback(_quietly, group.remove_network())
            nodes = ContainerNodes(group, request, on_line)
            stack.callback(nodes.close)
            yield nodes


def _engine(command: list[str]) -> None:
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_ORDER_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        words = " ".join(command[:3])
        raise ToolError(f"`{words}` failed: {' '.join(done.stderr.split())}")


def _quietly(command: list[str]) -> bool:
    """Runs a command of the engine; returns whether it succeeded."""
    try:
        _engine(command)
    except (ToolError, subprocess.TimeoutExpired):
        return False
    return True
