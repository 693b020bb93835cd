"""The emulator's own process; `_process` starts it and reads its one line of output."""

from __future__ import annotations

import argparse
import gc
import json
import logging
import os
import secrets
import signal
import sys
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

from mngen import __version__
from mngen._signals import ENDINGS, pay_no_attention
from mngen.sandbox._home import made_home
from mngen.sandbox.emulator import _http
from mngen.sandbox.emulator._server import Application

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def main() -> int:
    """Serves until the lifeline closes, a signal comes, or no request has come for a while."""
    arguments = _parse(sys.argv[1:])
    if arguments.detach:
        if os.fork():
            return 0
        os.setsid()
    # That of a system's own services, which its machines' disks and processes are to have. What is
    # private lies in its home, which is closed to others.
    os.umask(0o022)
    logging.basicConfig(format="%(asctime)s %(message)s", stream=sys.stderr)
    with made_home() as home:
        return _serve(arguments, home)


def _serve(arguments: argparse.Namespace, home: Path) -> int:
    # moto's tables are hundreds of thousands of objects that stay: to look through them for garbage
    # while they are made takes a fifth of the load.
    gc.set_threshold(100_000, 10, 10)

    instance = secrets.token_hex(16)
    application = Application(home, instance)
    try:
        server = _http.make_http_server(arguments.port, application)
    except OSError as error:
        _announce({"error": f"port {arguments.port}: {error.strerror}"})
        return 1

    stop = partial(_http.stop, server)
    signals = _taken_signals()
    threading.Thread(target=_wait_for_termination, args=(signals, stop), daemon=True).start()
    if arguments.lifeline:
        threading.Thread(target=_wait_for_end_of_input, args=(stop,), daemon=True).start()
    if arguments.idle:
        threading.Thread(
            target=_wait_for_idleness, args=(application, arguments.idle, stop), daemon=True
        ).start()
    _announce(
        {
            "endpoint": f"http://{_http.HOST}:{server.port}",
            "home": str(home),
            "instance": instance,
            "pid": os.getpid(),
            "version": __version__,
        }
    )
    # The starter does not wait for this, and may send no request.
    threading.Thread(target=application.load, daemon=True).start()
    _http.serve(server)
    application.machines.end()
    return 0


def _announce(line: dict[str, object]) -> None:
    """Prints the one line that the parent waits for and closes the pipe."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)


def _taken_signals() -> int:
    """Takes the signals that ask a process to end; returns a pipe with the number of each.

    Python calls a handler in the main thread alone, and nothing wakes that one if the kernel gives
    the signal to another thread, as it does with one of two that come at once. The number is
    written in whichever thread it is.
    Source: https://docs.python.org/3.11/library/signal.html#signal.set_wakeup_fd
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in ENDINGS:
        # The processes of its machines do not inherit this, however the emulator was started.
        signal.signal(number, pay_no_attention)
    return reader


def _wait_for_termination(signals: int, stop: Callable[[], None]) -> None:
    """Stops the emulator at SIGTERM. Others are its parent's or a terminal's affair."""
    while signal.SIGTERM not in os.read(signals, 4096):
        pass
    stop()


def _wait_for_end_of_input(stop: Callable[[], None]) -> None:
    """Stops the emulator with its parent, however that one ended: the kernel closes its pipe."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    stop()


def _wait_for_idleness(application: Application, idle: float, stop: Callable[[], None]) -> None:
    while (left := application.last_request + idle - time.monotonic()) > 0:
        time.sleep(left)
    stop()


def _parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m mngen.sandbox")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--lifeline", action="store_true", help="end when standard input ends")
    parser.add_argument("--idle", type=float, default=0.0, help="end after so many idle seconds")
    parser.add_argument("--detach", action="store_true", help="leave the parent and its session")
    return parser.parse_args(words)


if __name__ == "__main__":
    status = main()
    logging.shutdown()
    # Tearing the interpreter down takes a second; the kernel frees moto's tables at once.
    os._exit(status)
