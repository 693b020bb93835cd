"""What several commands share: options and the way to speak."""

import os
from pathlib import Path
from typing import Annotated, TextIO

import typer

DEFAULT_FILE = Path("mngen.yaml")

FileOption = Annotated[Path, typer.Option("--file", "-f", help="Spec file")]


def wants_colour(stream: TextIO) -> bool:
    """Tells whether a stream shows colours: a terminal, unless NO_COLOR says otherwise.

    Source: https://no-color.org
    """
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def require_subcommand(context: typer.Context) -> None:
    """Shows the help of a group of commands where none of them was named.

    Raises:
        typer.Exit: None was named; the exit code is that of wrong usage.
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(2)
