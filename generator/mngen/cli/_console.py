"""What commands print, and what they ask."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO

import typer

from mngen.errors import InputError, Problem, format_problem

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console
    from rich.table import Table

# In a narrow terminal lines wrap: an ID or a figure that is cut off would be another one.
_NARROWEST = 100
# A program that reads a pipe needs every column whole.
_PIPE_WIDTH = 250
_SLOW = 1.0  # seconds


def wants_colour(stream: TextIO) -> bool:
    """Returns whether a stream shows colours: a terminal, unless NO_COLOR is set.

    Source: https://no-color.org
    """
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def report(line: str) -> None:
    """Prints a line of progress to standard error.

    A closed pipe must not stop Terraform in the middle of its work.
    """
    with suppress(BrokenPipeError):
        typer.echo(line, err=True)


def report_problem(problem: Problem) -> None:
    """Prints a problem, such as a warning, and an empty line to standard error."""
    report(format_problem(problem, colour=wants_colour(sys.stderr)) + "\n")


def print_json(value: Any) -> None:
    """Prints data as JSON to standard output; msgspec structs in it as objects."""
    typer.echo(json.dumps(value, indent=2, default=_as_data))


def _as_data(value: Any) -> Any:
    import msgspec

    return msgspec.to_builtins(value)


def require_suffix(path: "Path", suffix: str, wanted: str) -> None:
    """Refuses a file that is not named as what is about to be written over it.

    Args:
        path: The file.
        suffix: How its name ends, and that of what a link of this name points to.
        wanted: What the option takes, in words.

    Raises:
        InputError: The name ends otherwise.
    """
    # Unlike Path.resolve, it takes a link that points to itself as it is.
    target = os.path.realpath(path)
    if not all(each.lower().endswith(suffix) for each in (path.name, target)):
        raise InputError(f"{wanted}: {path}", hint=f"pass a name that ends in {suffix}")


def write_picture(path: "Path", text: str) -> None:
    """Writes a picture into a file, wholly or not at all.

    Raises:
        InputError: It cannot be written.
    """
    from mngen._files import write_atomically

    try:
        if path.is_symlink() or (path.exists() and not path.is_file()):
            # Nothing takes the place of a link or a pipe, such as /dev/stdout.
            path.write_text(text, encoding="utf-8")
        else:
            write_atomically(path, text.encode())
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from None


def console(*, err: bool = False) -> "Console":
    """Returns a console for tables, wide enough for whole IDs.

    Args:
        err: Whether it writes to standard error.
    """
    from rich.console import Console

    stream = sys.stderr if err else sys.stdout
    made = Console(stderr=err, highlight=False)
    made.width = max(made.width, _NARROWEST) if stream.isatty() else _PIPE_WIDTH
    return made


def table(*headings: str, right: tuple[str, ...] = (), whole: tuple[str, ...] = ()) -> "Table":
    """Returns an empty table without lines.

    Args:
        headings: The headings of its columns.
        right: Those of columns that are aligned to the right.
        whole: Those of columns that are never wrapped.
    """
    from rich.table import Table

    made = Table(box=None, pad_edge=False)
    for each in headings:
        made.add_column(
            each,
            justify="right" if each in right else "left",
            no_wrap=each in whole,
            overflow="fold",
        )
    return made


def has_terminal() -> bool:
    """Returns whether standard input is a terminal; one that is closed is none."""
    return sys.stdin is not None and sys.stdin.isatty()


def require_terminal(hint: str) -> None:
    """Refuses a command that will ask for confirmation where it cannot: before a long plan.

    Args:
        hint: What the user can look at first.

    Raises:
        InputError: Standard input is not a terminal.
    """
    if not has_terminal():
        raise InputError("not a terminal: pass --yes to confirm", hint=hint)


def ask(question: str) -> None:
    """Asks for confirmation; anything but yes exits with code 1.

    Raises:
        typer.Exit: The answer was no, or there was none.
        KeyboardInterrupt: The user pressed Ctrl-C.
    """
    try:
        agreed = typer.confirm(question, err=True)
    except typer.Abort as abort:
        if isinstance(abort.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        report("")
        agreed = False
    if not agreed:
        report("Nothing was changed.")
        raise typer.Exit(1)


@contextmanager
def progress_of(what: str) -> Iterator[Callable[[int, int], None]]:
    """Yields what to call with how much is done and of how much; shows a bar if it takes long.

    Args:
        what: What is counted, such as `files`.
    """
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    import time

    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None, visible=False)
        begun = time.monotonic()

        def step(done: int, total: int) -> None:
            slow = time.monotonic() - begun > _SLOW
            bar.update(task, completed=done, total=total, visible=slow)

        yield step
