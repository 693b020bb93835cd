"""The Session Manager plugin, which connects a terminal with a session.

Sources: https://github.com/aws/session-manager-plugin (src/sessionmanagerplugin/session/session.go)
for its arguments, and https://github.com/aws/aws-cli (awscli/customizations/sessionmanager.py) for
how the AWS CLI starts it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mngen import parts
from mngen._signals import take_signals
from mngen.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Iterator

_NEED = "shell"
_PART = "shell-plugin"

_VARIABLE = "AWS_SSM_START_SESSION_RESPONSE"
"""The variable that the plugin reads the session from and removes, if its name is an argument."""

_OPERATION = "StartSession"
_STDIN = 0
_KEYS = (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP)
"""What keys send to all processes of a terminal; the plugin passes them to the container."""


@dataclass(frozen=True, slots=True)
class Session:
    """A session of Session Manager.

    Attributes:
        id: Its id.
        url: The WebSocket to connect to.
        token: What authenticates the connection: who has it has the shell.
        target: The container, as Session Manager names it.
    """

    id: str
    url: str
    token: str = field(repr=False)
    target: str


def require_plugin() -> str:
    """Returns the path of the plugin.

    One that takes a session only as an argument, where all users of the machine can read it, is
    not used.

    Raises:
        ToolError: It is missing or too old.
    """
    found = parts.examine(parts.PARTS[_PART])
    if not found.found:
        trouble = parts.explain(_NEED, {_PART: found}, parts.this_system())
        raise ToolError(trouble.message, hint=trouble.hint)
    return found.where


def connect(plugin: str, session: Session, region: str, endpoint: str) -> None:
    """Connects the terminal with a session until it ends.

    Ctrl-C and Ctrl-Z are for the container. Without a terminal, the command in the
    container gets no input; the plugin would end at once if its own ended.

    Args:
        plugin: Path of the plugin.
        session: The session.
        region: Its region.
        endpoint: URL of Systems Manager. When a connection is lost, the plugin asks there to resume
            the session; it is not known whether that works with ECS Exec, and debuggers have no
            permission for it.

    Raises:
        ToolError: The plugin cannot be started, or failed.
        KeyboardInterrupt: Ctrl-C was pressed before the session was open: the plugin, which tries
            for long to open it, takes no keys until then.
    """
    command = [
        *(plugin, _VARIABLE, region, _OPERATION, os.environ.get("AWS_PROFILE", "")),
        *(json.dumps({"Target": session.target}), endpoint),
    ]
    content = {"SessionId": session.id, "StreamUrl": session.url, "TokenValue": session.token}
    environment = {**os.environ, _VARIABLE: json.dumps(content)}
    with _input() as stdin, _terminal_restored(), take_signals(lambda: None, _KEYS):
        try:
            # In this process's own group, unlike other programs: it is the terminal's.
            process = subprocess.Popen(command, env=environment, stdin=stdin)
        except OSError as error:
            raise ToolError(f"cannot start {plugin}: {error.strerror}") from error
        try:
            code = process.wait()
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    if code == -signal.SIGINT:
        raise KeyboardInterrupt
    if code:
        raise ToolError(f"session-manager-plugin failed with exit code {code}")


@contextmanager
def _input() -> Iterator[int | None]:
    """Yields what the plugin reads: this process's terminal, or a pipe that stays open."""
    if os.isatty(_STDIN):
        yield None
        return
    reading, writing = os.pipe()
    try:
        yield reading
    finally:
        os.close(reading)
        os.close(writing)


@contextmanager
def _terminal_restored() -> Iterator[None]:
    """Restores the terminal, which the plugin leaves without echo if it is killed."""
    import termios

    try:
        before = termios.tcgetattr(_STDIN)
    except termios.error:
        yield
        return
    try:
        yield
    finally:
        with suppress(termios.error):
            termios.tcsetattr(_STDIN, termios.TCSADRAIN, before)
