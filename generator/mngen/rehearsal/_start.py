"""Starting nodes, and telling whether that can be done here at all."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

from mngen.errors import InputError, MngenError, ToolError
from mngen.rehearsal._network import find_ip
from mngen.rehearsal._nodes import Line, Nodes
from mngen.rehearsal._request import MAX_NODES, NodesRequest, as_message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

_PROBE_SECONDS = 60.0


@lru_cache(maxsize=1)
def unavailable() -> str | None:
    """Says why nodes cannot be started on this machine, or returns None.

    Whether the kernel lets it is found out by starting one.
    """
    reason = _lacking()
    if reason is not None:
        return reason
    try:
        with _started(NodesRequest(command=("true",), count=1), None) as nodes:
            if not nodes.wait(_PROBE_SECONDS):
                return "a node was started to see whether it works, and did not end"
    except MngenError as error:
        return str(error)
    code = nodes.exit_codes[0]
    return None if code == 0 else f"a node was started to see whether it works: exit code {code}"


def _lacking() -> str | None:
    if sys.platform != "linux":
        return "nodes as network namespaces need Linux"
    if os.geteuid() != 0:
        return "nodes as network namespaces need root"
    if find_ip() is None:
        return "the program `ip` is missing (package iproute2)"
    if shutil.which("nsenter") is None:
        return "the program `nsenter` is missing (package util-linux)"
    return None


@contextmanager
def start_nodes(
    request: NodesRequest, on_line: Callable[[Line], None] | None = None
) -> Iterator[Nodes]:
    """Starts nodes, all commands in one instant, and ends what is left of them after the block.

    Every process of the nodes, their network and their mounts are gone when the block has been
    left, and also when this process is killed.

    Args:
        request: What to start.
        on_line: Called with each line that a node writes, from a thread of its own; what it raises
            comes out of `Nodes.wait`. By default lines are kept in `Nodes.lines`.

    Yields:
        The nodes, which have been started.

    Raises:
        InputError: The request makes no sense.
        ToolError: Nodes cannot be started here.
    """
    _check(request)
    reason = _lacking()
    if reason is not None:
        raise ToolError(
            reason, hint='run as root: sudo "$(command -v mngen)" …; or --engine docker or podman'
        )
    with _started(request, on_line) as nodes:
        yield nodes


def _check(request: NodesRequest) -> None:
    if not 1 <= request.count <= MAX_NODES:
        raise InputError(f"{request.count} nodes; a job has 1 to {MAX_NODES}")
    if not request.indexes:
        raise InputError("every node is missing: there is nothing to start")
    for index in sorted({request.main, *request.missing, *request.late, *request.node_commands}):
        if not 0 <= index < request.count:
            raise InputError(
                f"there is no node {index} in a job of {request.count} nodes",
                hint=f"nodes are counted from 0 to {request.count - 1}",
            )
    for bind in request.binds:
        if not bind.target.startswith("/") or ".." in bind.target.split("/"):
            raise InputError(f"{bind.target}: a place in a node is an absolute path")
        if bind.source is not None and not bind.source.exists():
            raise InputError(f"{bind.source}: there is no such file or folder")


class NetworkNamespaces:
    """The engine that starts nodes with `start_nodes`."""

    in_image = False

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
            [sys.executable, "-P", "-m", "mngen.rehearsal._keeper", str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            # What a keeper could write there is a crash of its own; it must not be lost.
            pass_fds=(theirs.fileno(), *writers.values()),
            start_new_session=True,
        )
        stack.callback(process.wait)
        theirs.close()
        for descriptor in writers.values():
            os.close(descriptor)
        nodes = Nodes(request, control, readers, process.pid, on_line)
        stack.callback(nodes.close)
        control.sendall(json.dumps(as_message(request, writers)).encode() + b"\n")
        nodes.await_start()
        yield nodes
