"""A stand-in for session-manager-plugin, written from the plugin's source.

It takes the arguments and the session as the plugin does, changes the terminal as the plugin does,
and sends keys where the plugin would send them. It connects with nothing: what would go to the
container is written to a record, and the session ends when `exit` is typed, or at once if
`STAND_IN_ENDS` is set, as with a command that ends. With `STAND_IN_CHANNEL` it cannot open the
channel of the session: it gives up (`refused`), or goes on trying (`blocked`).

Source: https://github.com/aws/session-manager-plugin, src/sessionmanagerplugin/session/session.go
(arguments, variable, messages), session/sessionhandler.go (a channel that does not open),
session/shellsession/shellsession_unix.go (stty, the end of the
input) and session/sessionutil/control_signals_unix.go (keys).
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

VERSION = os.environ.get("STAND_IN_VERSION", "1.2.707.0")
RECORD = "STAND_IN_RECORD"
ENDS = "STAND_IN_ENDS"
CHANNEL = "STAND_IN_CHANNEL"

_PREFIX = "AWS_SSM_START_SESSION_RESPONSE"
_LEGACY = 4
_KEYS = {signal.SIGINT: b"\x03", signal.SIGQUIT: b"\x1c", signal.SIGTSTP: b"\x1a"}


def install(folder: Path) -> str:
    """Put it into a folder; return a search path that has the folder first."""
    program = folder / "session-manager-plugin"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {__file__} "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def read_record(file: Path) -> tuple[dict[str, Any], bytes]:
    """Read what it was started with, and what went to the container."""
    first, _, sent = file.read_bytes().partition(b"\n")
    return json.loads(first), sent


def main() -> None:
    arguments = sys.argv[1:]
    if not arguments:
        print("\nThe Session Manager plugin was installed successfully.\n")
    elif arguments == ["--version"]:
        print(VERSION)
    elif len(arguments) + 1 < _LEGACY:
        print(f"\nUnknown operation {arguments[0]}. \n")
    else:
        _start(arguments)


def _start(arguments: list[str]) -> None:
    response, region, operation, profile, parameters, endpoint = arguments
    if response.startswith(_PREFIX):
        response = os.environ.pop(response, "")
    try:
        session = json.loads(response)
    except ValueError as error:
        print(f"Cannot perform start session: {error}")
        return
    if operation != "StartSession":
        print("Invalid Operation", end="")
        return
    # Go reads the keys in any case.
    session = {key.lower(): value for key, value in session.items()}
    started = {
        "arguments": sys.argv[1:],
        "session": {key: session[key] for key in ("sessionid", "streamurl", "tokenvalue")},
        "target": json.loads(parameters)["Target"],
        "region": region,
        "profile": profile,
        "endpoint": endpoint,
        "pid": os.getpid(),
    }
    with Path(os.environ[RECORD]).open("wb", buffering=0) as record:
        record.write(json.dumps(started).encode() + b"\n")
        print(f"\nStarting session with SessionId: {session['sessionid']}", flush=True)
        channel = os.environ.get(CHANNEL)
        if channel == "refused":
            print("Cannot perform start session: unable to determine SessionType")
            return
        if channel == "blocked":
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            print("connecting", flush=True)
            while True:
                signal.pause()
        _talk(record, session["sessionid"])


def _talk(record: Any, session: str) -> None:
    for number, byte in _KEYS.items():
        signal.signal(number, lambda *_, byte=byte: record.write(byte))
    before = subprocess.run(
        ["stty", "-g"], stdin=0, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False
    ).stdout.decode()
    for state in ("cbreak", "-echo"):
        subprocess.run(["stty", state], stdin=0, stderr=subprocess.DEVNULL, check=False)
    print("connected", flush=True)
    if os.environ.get(ENDS):
        # The end of the input is there to be read at once; an open one has nothing to read.
        if select.select([0], [], [], 0)[0] and not os.read(0, 1):
            print("Cannot perform start session: EOF")
            return
        _stop(before, session)
    typed = b""
    while received := os.read(0, 1024):
        record.write(received)
        typed += received
        if b"exit" in typed:
            _stop(before, session)
    print("Cannot perform start session: EOF")


def _stop(before: str, session: str) -> NoReturn:
    for state in (before.strip(), "echo"):
        subprocess.run(["stty", state], stdin=0, stderr=subprocess.DEVNULL, check=False)
    print(f"\n\nExiting session with sessionId: {session}.\n", flush=True)
    sys.exit(0)


if __name__ == "__main__":
    main()
