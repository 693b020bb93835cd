"""The program that forks for each command of mngen; `tests.support.forked` starts and asks it.

It imports nothing of the tests, and starts no thread. `tests.support.fork_ansible` does this for
Ansible.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import json
import os
import select
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable

_FILES = 5
"""A request comes as files: its text, its folder, standard output, standard error, and a socket.
The exit code goes into that; when the other end is closed before, the command is killed."""

_NOT_LOADED = (
    # What the emulator runs in its own process, and on its machines.
    "mngen.sandbox.batch",
    "mngen.sandbox.emulator",
    "mngen.sandbox.machines",
    "mngen.selftest._on_nodes",
)
# What libraries import only when they are used.
_LIBRARIES = (
    "boto3.s3.transfer",
    "botocore.httpsession",
    "botocore.retries.adaptive",
    "encodings.idna",
    "rich.live",
    "rich.table",
    "typer._click.decorators",
)
_SERVICES = ("batch", "ec2", "ecr", "ecs", "iam", "logs", "s3", "service-quotas", "sts")


def load() -> None:
    """Import all that commands import, and read what most read of botocore's files and mngen's own.

    Nothing is called that would keep anything else: a command must not find what its own
    environment, folder or account does not have.
    """
    # What is loaded stays: to look for garbage in it meanwhile takes a seventh of the time.
    gc.disable()
    import msgspec

    import mngen
    from mngen import _aws
    from mngen.catalog import load_catalog, load_prices
    from mngen.spec import Spec

    root = Path(mngen.__file__).parent
    for file in sorted(root.rglob("*.py")):
        name = ".".join(("mngen", *file.relative_to(root).with_suffix("").parts))
        if not name.startswith(_NOT_LOADED):
            import_module(name.removesuffix(".__init__"))
    for name in _LIBRARIES:
        import_module(name)
    loader = _aws._loader(None)
    for name in ("endpoints", "partitions", "sdk-default-configuration"):
        loader.load_data(name)
    for service in _SERVICES:
        loader.load_service_model(service, "service-2")
        loader.load_service_model(service, "endpoint-rule-set-1")
    load_catalog()
    load_prices()
    # The first spec that msgspec converts has it look at the types of all keys.
    with suppress(msgspec.ValidationError):
        msgspec.convert({}, Spec)
    gc.enable()


def keep_loaded() -> None:
    """Have a fork neither look at what is loaded, nor free it at its end: both would copy it."""
    gc.collect()
    # One reference more to each of them, which nothing ever gives up.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(gc.get_objects()))
    gc.freeze()


@dataclass
class Command:
    """A command that runs in a fork.

    Attributes:
        process: Its process ID.
        descriptor: What can be read when it has ended, see pidfd_open(2).
        client: Where its exit code goes.
    """

    process: int
    descriptor: int
    client: socket.socket

    def kill(self) -> None:
        """Kill it, unless it has ended."""
        signal.pidfd_send_signal(self.descriptor, signal.SIGKILL)

    def report(self) -> None:
        """Wait for its end, and report how it ended: what `subprocess` calls its return code."""
        _, status = os.waitpid(self.process, 0)
        os.close(self.descriptor)
        with self.client, suppress(BrokenPipeError):
            self.client.sendall(str(os.waitstatus_to_exitcode(status)).encode())


class Server:
    """Forks for each request.

    Args:
        control: The socket by which requests come. When its other end is closed, the server kills
            all commands and exits.
    """

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._commands: list[Command] = []

    def serve(self) -> list[int]:
        """Return in each fork, with the files of its request.

        Raises:
            SystemExit: In the server, when the other end is closed.
        """
        while True:
            ready = self._wait()
            if self._control.fileno() in ready:
                _, files, _, _ = socket.recv_fds(self._control, 1, _FILES)
                if not files:
                    self._end()
                process = os.fork()
                if process == 0:
                    self._close()
                    return files
                self._commands.append(_begun(process, files))
            for command in list(self._commands):
                if command.descriptor in ready:
                    command.report()
                    self._commands.remove(command)
                elif command.client.fileno() in ready:
                    command.kill()

    def _wait(self) -> list[int]:
        """Return the descriptors of what has something to read."""
        clients = [each.client.fileno() for each in self._commands]
        ended = [each.descriptor for each in self._commands]
        ready, _, _ = select.select([self._control.fileno(), *clients, *ended], [], [])
        return ready

    def _end(self) -> NoReturn:
        for command in self._commands:
            command.kill()
            command.report()
        sys.exit()

    def _close(self) -> None:
        """Close what a fork has of the server's."""
        self._control.close()
        for command in self._commands:
            command.client.close()
            os.close(command.descriptor)


def _begun(process: int, files: list[int]) -> Command:
    *others, client = files
    for file in others:
        os.close(file)
    return Command(process, os.pidfd_open(process), socket.socket(fileno=client))


def become(files: list[int]) -> None:
    """Make this process what starting the command would have made.

    Args:
        files: Those of the request; they are closed.
    """
    text, folder, *outputs, client = files
    with os.fdopen(text, encoding="ascii") as file:
        request = json.load(file)
    os.fchdir(folder)
    for number, output in enumerate(outputs, start=1):
        os.dup2(output, number)
    for each in (folder, *outputs, client):
        os.close(each)
    os.umask(request["umask"])
    _settle(set(request["ignored"]))
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    sys.argv = request["arguments"]
    sys.path.insert(0, str(Path(sys.argv[0]).parent))


def _settle(ignored: set[int]) -> None:
    """Do with signals what exec(2) and Python do at a start."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)
    if signal.SIGINT not in ignored:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def serve(control: int) -> None:
    """Fork for each request; return in each fork, which is then what a start would have made.

    Args:
        control: The file descriptor of a socket; see `Server`.

    Raises:
        SystemExit: In the server, when the other end is closed.
    """
    # Ctrl-C is for the tests: when they end, so does this.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    keep_loaded()
    become(Server(socket.socket(fileno=control)).serve())


def end(run: Callable[[], object]) -> NoReturn:
    """Run a program in a fork, and end as Python does, but for freeing what the server has loaded.

    That would copy all of it, which takes longer than most commands.

    Args:
        run: The program.
    """
    code: Any = None
    try:
        run()
    except SystemExit as ended:
        code = ended.code
    if not isinstance(code, int | None):
        sys.exit(code)
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    try:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    except (OSError, ValueError):
        # Python reports it.
        sys.exit(code)
    os._exit(code or 0)


if __name__ == "__main__":
    load()
    serve(int(sys.argv[1]))
    # As the console script does.
    from mngen.cli import main

    end(main)
