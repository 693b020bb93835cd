"""Runs a command and turns whatever happens into a message and an exit code."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from mngen import __version__
from mngen.errors import MngenError

if TYPE_CHECKING:
    import logging
    from collections.abc import Sequence

_TOOL_FAILED = 3
_INTERRUPTED = 130


def main() -> None:
    """Runs mngen with the process's arguments and exits."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Runs mngen.

    Args:
        arguments: What follows the program's name.

    Returns:
        The exit code; the messages have gone to standard error.
    """
    from mngen.cli._app import app

    try:
        result = app(list(arguments), standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except MngenError as error:
        show_problems(error)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        sys.stderr.write("interrupted\n")
        return _INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has seen enough, as `head` does; the rest goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception:
        log, path = _crash_log()
        log.exception("mngen %s crashed", __version__)
        sys.stderr.write(
            "error: mngen itself failed; this is a bug, not a fault of your spec\n"
            f"  help: the details are in {path}; please report them\n"
        )
        return _TOOL_FAILED
    return result if isinstance(result, int) else 0


def show_problems(error: MngenError) -> None:
    """Shows the problems of an error on standard error, and counts them where they are many."""
    from mngen.cli._shared import wants_colour
    from mngen.errors import format_problems

    sys.stderr.write(format_problems(error.problems, colour=wants_colour(sys.stderr)) + "\n")
    if len(error.problems) > 1:
        sys.stderr.write(f"\n{len(error.problems)} problems\n")


def _crash_log() -> tuple[logging.Logger, str]:
    """Opens a log file of its own for a traceback, which is not for the terminal."""
    import logging
    import tempfile

    descriptor, path = tempfile.mkstemp(prefix="mngen-crash-", suffix=".log")
    os.close(descriptor)
    log = logging.getLogger("mngen.crash")
    log.propagate = False
    log.addHandler(logging.FileHandler(path))
    return log, path
