"""Starting nodes, and checking whether that is possible on this machine."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from contextlib import ExitStack, contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from mngen import parts
from mngen.cluster import KEY_VARIABLES
from mngen.errors import InputError, MngenError
from mngen.rehearsal._nodes import Line, Nodes
from mngen.rehearsal._request import MAX_NODES, NodesRequest, as_message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

_PROBE_SECONDS = 60.0
_SOURCE = str(Path(__file__).parents[2])
# The keeper has to find mngen where this process has found it, which PYTHONPATH may not name; and
# nothing there may come before the standard library.
_KEEPER = """\
import sys
sys.path.append(sys.argv[2])
from mngen.rehearsal._keeper import main
sys.exit(main())
"""
_OTHERWISE = "rehearse with --engine docker or podman"
# What each launcher of the wire-up takes; without one, each node starts the job's command itself.
_LAUNCHERS = {
    "openmpi": "launch-openmpi",
    "intelmpi": "launch-hydra",
    "mpich": "launch-hydra",
    "main": "launch-main",
}


@lru_cache(maxsize=1)
def unavailable() -> str | None:
    """Returns why nodes cannot be started on this machine, or None.

    Whether the kernel lets it is found out by starting one.
    """
    found = parts.trouble("nodes")
    if found is not None:
        return found.message
    try:
        with _started(NodesRequest(command=("true",), count=1), None) as nodes:
            if not nodes.wait(_PROBE_SECONDS):
                return "a node that was started as a test did not end"
    except MngenError as error:
        return str(error)
    code = nodes.exit_codes[0]
    return None if code == 0 else f"a node was started to see whether it works: exit code {code}"


@contextmanager
def start_nodes(
    request: NodesRequest, on_line: Callable[[Line], None] | None = None
) -> Iterator[Nodes]:
    """Starts nodes, all commands at once, and stops what is left of them after the block.

    Every process of the nodes, their network and their mounts are gone when the block has been
    left, and also when this process is killed.

    Args:
        request: What to start.
        on_line: Called with each line that a node writes, from another thread; what it raises
            comes out of `Nodes.wait`. By default lines are kept in `Nodes.lines`.

    Yields:
        The nodes, which have been started.

    Raises:
        InputError: The request makes no sense.
        ToolError: Nodes cannot be started here.
    """
    _check(request)
    parts.require("nodes", otherwise=_OTHERWISE)
    with _started(request, on_line) as nodes:
        yield nodes


def _check(request: NodesRequest) -> None:
    if not 1 <= request.count <= MAX_NODES:
        raise InputError(f"invalid number of nodes: {request.count}; expected 1 to {MAX_NODES}")
    if not request.indexes:
        raise InputError("no node to start: all of them are missing")
    for index in sorted({request.main, *request.missing, *request.late, *request.node_commands}):
        if not 0 <= index < request.count:
            raise InputError(
                f"no node {index} in a job of {request.count} nodes",
                hint=f"node indexes are 0 to {request.count - 1}",
            )
    targets = [each.target for each in request.binds] + [each.target for each in request.files]
    for target in targets:
        if not target.startswith("/") or ".." in target.split("/"):
            raise InputError(f"invalid path in a node: {target}; expected an absolute path")
    for bind in request.binds:
        if bind.source is not None and not bind.source.exists():
            raise InputError(f"no such file or folder: {bind.source}")


class NetworkNamespaces:
    """The engine that starts nodes with `start_nodes`."""

    in_image = False

    def check(self, request: NodesRequest) -> None:
        """Checks that this machine has what the job's wire-up runs, before any node starts.

        Args:
            request: The nodes, whose command is the wire-up.

        Raises:
            ToolError: Something is missing; the hint names its package.
        """
        launcher = request.environment.get(KEY_VARIABLES["launcher"]) or "openmpi"
        needs = ["rehearse-without-mpi"]
        if launcher in _LAUNCHERS:
            needs.append(_LAUNCHERS[launcher])
        # Of all programs, what the example needs is known.
        words = {*request.command, *(w for each in request.node_commands.values() for w in each)}
        if any(bind.target in words for bind in request.binds if bind.read_only):
            needs.append("mpi4py")
        path = request.environment.get("PATH") or parts.NODE_PATH
        parts.require(*needs, node_path=path, otherwise=_OTHERWISE)

    def start(
        self, request: NodesRequest, on_line: Callable[[Line], None]
    ) -> AbstractContextManager[Nodes]:
        """Starts nodes; see `start_nodes`."""
        return start_nodes(request, on_line)


@contextmanager
def _started(request: NodesRequest, on_line: Callable[[Line], None] | None) -> Iterator[Nodes]:
    with ExitStack() as stack:
        control, theirs = socket.socketpair()
        writers: dict[int, int] = {}
        readers: dict[int, int] = {}
        for index in request.indexes:
            readers[index], writers[index] = os.pipe()
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", _KEEPER, str(theirs.fileno()), _SOURCE],
            stdin=subprocess.DEVNULL,
            # What a keeper writes there is its own crash; it must not be lost.
            pass_fds=(theirs.fileno(), *writers.values()),
            start_new_session=True,
        )
        stack.callback(process.wait)
        theirs.close()
        for descriptor in writers.values():
            os.close(descriptor)
        nodes = Nodes(request, control, readers, process.pid, on_line)
        stack.callback(nodes.close)
        message = as_message(request, writers, parts.find(parts.PARTS["ip"]).where)
        # A keeper that could not start is found out by waiting for it.
        with suppress(BrokenPipeError, ConnectionResetError):
            control.sendall(json.dumps(message).encode() + b"\n")
        nodes.await_start()
        yield nodes
