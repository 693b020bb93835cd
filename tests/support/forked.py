"""Commands that fork from a process that has imported mngen: a start without what Python takes.

To start Python and import what a command needs takes 0.2 to 0.4 s of processor time, more than most
commands do. `tests.support.fork_server` does that once for each process that runs tests. A fork of
it gets the arguments, folder, environment, time zone, outputs, umask and signals that it would be
started with, and is in the process group and session of the tests. Then it runs what the console
script runs, and ends as Python does. What differs from a start:

- All that any command imports is there already: an import that is missing is not noticed. So is
  what botocore and mngen read from their own files.
- What it leaves open is not closed: a file that it did not close may lack what was written last.
- What Python and libraries take from the environment when they start is that of the server, such as
  the encoding of its streams. With another `AT_START`, there is no fork.
- The seed of `hash()` is the same for all forks of one server.
- Its parent is the server, whose command line and program it has; limits of resources too.
- It is killed when the tests end, however they do.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

AT_START = ("GLIBC_", "HOME", "LANG", "LC_", "LD_", "MALLOC_", "PYTHON", "PY_SAX_", "TYPER_")
"""How variables begin that are read at the start: by the loader, glibc, Python and what is imported
(typer, and botocore for the folders that it looks in)."""

_SERVER = Path(__file__).with_name("fork_server.py")


def at_start(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the part of an environment that is read at the start."""
    return {name: text for name, text in environment.items() if name.startswith(AT_START)}


class ForkServer:
    """A server; it ends with this process at the latest.

    Args:
        program: What it runs, with the file descriptor of a socket as its argument.
        environment: The environment that it starts with; this process's own by default.
    """

    def __init__(
        self, program: Path = _SERVER, environment: Mapping[str, str] | None = None
    ) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._owner = os.getpid()
        self._environment = at_start(os.environ if environment is None else environment)
        with theirs:
            self.process = subprocess.Popen(
                # What is beside the program must not be found by imports.
                [sys.executable, "-P", program, str(theirs.fileno())],
                cwd="/",
                env=environment,
                stdin=subprocess.DEVNULL,
                # Pipes, as a command has them: Python makes its streams for what it finds.
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno()],
            )

    def can_run(self, environment: Mapping[str, str]) -> bool:
        """Return whether a fork is what a start from this process with an environment would be."""
        # A fork of this process may have given up rights.
        return os.getpid() == self._owner and at_start(environment) == self._environment

    def close(self) -> None:
        """Kill what still runs, and stop the server."""
        self._control.close()
        with self.process:
            pass

    def run(
        self, command: Sequence[str], *, cwd: Path, environment: Mapping[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as `subprocess.run` does, with no terminal and no standard input.

        Args:
            command: The console script of what the server runs, such as mngen's, and its arguments.
            cwd: The folder to run in.
            environment: All of its environment.
            timeout: Seconds after which it is killed.

        Raises:
            subprocess.TimeoutExpired: It took longer.
            RuntimeError: The server has ended.
        """
        with ExitStack() as ours, ExitStack() as sent:
            files = [_kept(sent, _request(command, environment))]
            files.append(_kept(sent, os.open(cwd, os.O_PATH | os.O_DIRECTORY)))
            outputs = []
            for _ in range(2):
                reader, writer = os.pipe()
                outputs.append(_kept(ours, reader))
                files.append(_kept(sent, writer))
            client, theirs = socket.socketpair()
            ours.enter_context(client)
            files.append(_kept(sent, theirs.detach()))
            with suppress(BrokenPipeError):
                socket.send_fds(self._control, [b"\0"], files)
            sent.close()
            try:
                out, err, code = _read([*outputs, client.fileno()], command, timeout)
            finally:
                # Has it killed if it runs, and waits for that.
                client.shutdown(socket.SHUT_WR)
                while client.recv(100):
                    pass
        if not code:
            said, _ = self.process.communicate()
            raise RuntimeError(f"the fork server ended: {said.decode()}")
        return subprocess.CompletedProcess(command, int(code), _text(out), _text(err))


def _kept(stack: ExitStack, file: int) -> int:
    stack.callback(os.close, file)
    return file


def _request(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Return a file with the text of a request, from its beginning."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    [umask] = re.findall(r"^Umask:\s*(\d+)", status, re.MULTILINE)
    signals = signal.valid_signals()
    request = {
        "arguments": list(command),
        "environment": dict(environment),
        "umask": int(umask, 8),
        "ignored": [each for each in signals if signal.getsignal(each) is signal.SIG_IGN],
    }
    file = os.memfd_create("request")
    with os.fdopen(os.dup(file), "w", encoding="ascii") as writer:
        json.dump(request, writer)
    os.lseek(file, 0, os.SEEK_SET)
    return file


def _read(files: list[int], command: Sequence[str], timeout: float) -> list[bytes]:
    """Read files until all have ended.

    Raises:
        subprocess.TimeoutExpired: They have not after `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    found = dict.fromkeys(files, b"")
    with selectors.DefaultSelector() as selector:
        for file in files:
            selector.register(file, selectors.EVENT_READ)
        while selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                raise subprocess.TimeoutExpired(command, timeout, *list(found.values())[:2])
            for key, _ in selector.select(left):
                if chunk := os.read(key.fd, 65536):
                    found[key.fd] += chunk
                else:
                    selector.unregister(key.fd)
    return list(found.values())


def _text(output: bytes) -> str:
    """Return what `subprocess` makes of an output in UTF-8."""
    return output.decode().replace("\r\n", "\n").replace("\r", "\n")


_starting = threading.Lock()
_servers: dict[Path, ForkServer] = {}


def fork_server(environment: Mapping[str, str]) -> ForkServer | None:
    """Return the server of this process, if a fork is as good as a start with an environment.

    Where lines are counted, nothing is forked: that is prepared when Python starts. See
    https://coverage.readthedocs.io/en/latest/subprocess.html.
    """
    if any(name.startswith("COVERAGE_PROCESS_") for name in os.environ):
        return None
    server = server_of(_SERVER)
    return server if server.can_run(environment) else None


def server_of(program: Path, environment: Mapping[str, str] | None = None) -> ForkServer:
    """Return the server of this process that runs a program; the first call starts it.

    Args:
        program: As for `ForkServer`.
        environment: Likewise; only the first call's counts.
    """
    with _starting:
        if program not in _servers:
            _servers[program] = ForkServer(program, environment)
            atexit.register(_servers[program].close)
    return _servers[program]
