"""Running a command inside a sandbox, and serving one in the foreground."""

from __future__ import annotations

import os
import shlex
import signal
from typing import TYPE_CHECKING

from mngen.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_SIGNALLED = 128


def run_command(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Runs a command and returns its exit code, forwarding signals to it while it runs.

    A signal that the terminal sent (Ctrl-C) has reached the command already and is not sent
    again: a second SIGINT makes Terraform drop what it is doing.

    Args:
        command: The program and its arguments.
        environment: Its whole environment.

    Returns:
        Its exit code; 128 + N where signal N killed it, as a shell reports it.

    Raises:
        InputError: The program does not exist or may not be run.
    """
    # Signals are held back from before the command starts, so that none is lost in between.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {*_FORWARDED, signal.SIGCHLD})
    try:
        try:
            child = os.posix_spawnp(
                command[0],
                list(command),
                dict(environment),
                setsigmask=before,
                # Python ignores these; a program expects to be ended by them.
                setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
            )
        except OSError as error:
            raise InputError(f"cannot run `{command[0]}`: {error.strerror}") from error
        return _wait(child)
    finally:
        # What came for the command must not be delivered to this process now.
        while signal.sigtimedwait({*_FORWARDED, signal.SIGCHLD}, 0) is not None:
            pass
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def serve_until_interrupted(tell: Callable[[], None]) -> None:
    """Waits for Ctrl-C, SIGTERM or SIGHUP.

    Args:
        tell: Called once these are waited for: whoever reads it may send one at once.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _FORWARDED)
    try:
        tell()
        signal.sigwait(_FORWARDED)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def exports(environment: Mapping[str, str], base: Mapping[str, str]) -> list[str]:
    """Returns the shell lines that turn `base` into `environment`.

    Args:
        environment: The sandbox's environment.
        base: The environment of the shell that will read the lines.
    """
    unset = [f"unset {name}" for name in sorted(base.keys() - environment.keys())]
    changed = sorted(name for name in environment if base.get(name) != environment[name])
    return unset + [f"export {name}={shlex.quote(environment[name])}" for name in changed]


def _wait(child: int) -> int:
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else _SIGNALLED - code
        received = signal.sigwaitinfo({*_FORWARDED, signal.SIGCHLD})
        # A code above 0 says that the kernel sent it, which to a terminal's foreground group
        # means: to the command as well.
        if received.si_signo != signal.SIGCHLD and received.si_code <= 0:
            os.kill(child, received.si_signo)
