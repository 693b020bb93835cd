"""Runs a command and turns whatever happens into a message and an exit code."""

from __future__ import annotations

import errno
import gc
import io
import os
import sys
from typing import TYPE_CHECKING

import typer

from mngen import __version__
from mngen._signals import settle_signals
from mngen.errors import InputError, MngenError, ToolError

if TYPE_CHECKING:
    import logging
    from collections.abc import Sequence

_OUTPUT_FAILED = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
_TOOL_FAILED = 3
_INTERRUPTED = 130


def main() -> None:
    """Runs mngen with the process's arguments and exits."""
    settle_signals()
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            # Closed: the next file to be opened would take its place.
            setattr(sys, name, io.TextIOWrapper(io.FileIO(os.devnull, "w"), "utf-8"))
        elif isinstance(stream, io.TextIOWrapper):
            # A locale without a character that the spec has must not cause a failure.
            stream.reconfigure(errors="backslashreplace")
    code = run(sys.argv[1:])
    # All that is held goes with the process: searching it for cycles first, as Python does when it
    # ends, takes longer than rendering.
    gc.freeze()
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Runs mngen.

    Args:
        arguments: What follows the program's name.

    Returns:
        The exit code; the messages have gone to standard error.
    """
    try:
        result = _invoke(arguments)
    except typer.TyperException as error:
        from mngen.cli._usage import usage_message

        context = getattr(error, "ctx", None)
        command = context.command_path if context else "mngen"
        sys.stderr.write(f"error: {usage_message(error)}\n  help: see `{command} --help`\n")
        return error.exit_code
    except MngenError as error:
        show_problems(error)
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        sys.stderr.write("interrupted\n")
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader has seen enough, as `head` does; the rest goes nowhere.
        _silence()
        return 0
    except Exception:
        log, place = _crash_log()
        log.exception("mngen %s crashed", __version__)
        sys.stderr.write(
            "error: mngen crashed; this is a bug, not an error in your spec\n"
            f"  help: {place}; please report it\n"
        )
        return _TOOL_FAILED
    return result if isinstance(result, int) else 0


def _invoke(arguments: Sequence[str]) -> object:
    """Runs the command and explains the failures that any command can meet."""
    from mngen.cli._app import app

    try:
        return app(list(arguments), standalone_mode=False)
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.filename is None and error.errno in _OUTPUT_FAILED:
            _silence()
            raise ToolError(f"cannot write the output: {error.strerror}") from None
        if error.filename is None and error.errno == errno.ENOENT:
            raise InputError(
                "the current folder no longer exists", hint="change to another folder"
            ) from None
        raise


def _silence() -> None:
    """Sends what is still to be written to standard output nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def show_problems(error: MngenError) -> None:
    """Shows the problems of an error on standard error, and counts them where they are many."""
    from mngen.cli._console import wants_colour
    from mngen.errors import format_problems

    sys.stderr.write(format_problems(error.problems, colour=wants_colour(sys.stderr)) + "\n")
    if len(error.problems) > 1:
        sys.stderr.write(f"\n{len(error.problems)} problems\n")


def _crash_log() -> tuple[logging.Logger, str]:
    """Opens a log file for a traceback, which is not for the terminal; returns where it is."""
    import logging
    import tempfile

    # A log that cannot be written must not put a second traceback on the terminal.
    logging.raiseExceptions = False
    log = logging.getLogger("mngen.crash")
    log.propagate = False
    try:
        descriptor, path = tempfile.mkstemp(prefix="mngen-crash-", suffix=".log")
    except OSError as error:
        log.addHandler(logging.NullHandler())
        return log, f"could not save the details ({error.strerror})"
    os.close(descriptor)
    log.addHandler(logging.FileHandler(path, encoding="utf-8"))
    return log, f"the details are in {path}"
