"""Running a command inside a sandbox, and serving one in the foreground."""

from __future__ import annotations

import os
import shlex
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mngen._signals import is_ignored, pay_no_attention
from mngen.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

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

    The command ignores what this process was started to ignore.

    Raises:
        InputError: The program does not exist or may not be run.
    """
    # Signals are held back from before the command starts, so that none is lost in between.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {*_FORWARDED, signal.SIGCHLD})
    try:
        try:
            with _ignored_for_good():
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


def serve_until_interrupted(on_ready: Callable[[], None]) -> None:
    """Waits for Ctrl-C, SIGTERM or SIGHUP, unless they were ignored from the start.

    Args:
        on_ready: Called once these are waited for: a user who sees it may send one at once.
    """
    # A blocked signal is kept even where it is ignored, and would be waited for.
    waited_for = {number for number in _FORWARDED if not is_ignored(number)}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, waited_for)
    try:
        on_ready()
        signal.sigwait(waited_for)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _ignored_for_good() -> Iterator[None]:
    """Lets a program started in the block inherit that Ctrl-C was ignored from the start."""
    inherited = signal.getsignal(signal.SIGINT) is pay_no_attention
    if inherited:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        if inherited:
            signal.signal(signal.SIGINT, pay_no_attention)


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
        # A code above 0 means that the kernel sent it, which to a terminal's foreground group
        # means: to the command as well.
        if received.si_signo != signal.SIGCHLD and received.si_code <= 0:
            os.kill(child, received.si_signo)
