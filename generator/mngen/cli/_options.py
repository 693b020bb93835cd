"""Options and arguments that several commands have."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

DEFAULT_FILE = Path("mngen.yaml")
DEFAULT_OUT = Path("deploy")


class Format(StrEnum):
    """Output formats."""

    PRETTY = "pretty"
    JSON = "json"


FileOption = Annotated[Path, typer.Option("--file", "-f", help="Spec file")]
OutOption = Annotated[Path, typer.Option("--out", help="Folder of the rendered tree")]
SandboxOption = Annotated[bool, typer.Option("--sandbox", help="Use the emulated AWS")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation")]
FormatOption = Annotated[Format, typer.Option("--format", help="Output format")]
JobStatusOption = Annotated[
    list[str] | None,
    typer.Option("--status", "-s", help="Only this state, such as RUNNING; repeatable"),
]
JobQueueOption = Annotated[str | None, typer.Option("--queue", "-q", help="Only this queue")]
JobNameOption = Annotated[
    str | None, typer.Option("--name", help="Only matching names; * and ? are wildcards")
]
JobSinceOption = Annotated[
    str | None,
    typer.Option("--since", help="Only newer ones: age (90s, 15m, 2h, 3d) or ISO time"),
]
JobTagOption = Annotated[
    list[str] | None,
    typer.Option("--tag", metavar="KEY=VALUE", help="Only with this tag; repeatable"),
]
JobArgument = Annotated[str, typer.Argument(metavar="ID", help="Job ID")]


def require_subcommand(context: typer.Context) -> None:
    """Shows the help of a group of commands if none of them was named.

    Raises:
        typer.Exit: None was named; the exit code is that of wrong usage.
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(2)


def parse_pair(text: str, option: str) -> tuple[str, str]:
    """Splits the value of an option at its first equals sign.

    Args:
        text: The value, such as `OMP_NUM_THREADS=4`.
        option: The option, for the message.

    Raises:
        typer.BadParameter: There is no name, or no equals sign.
    """
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise typer.BadParameter(f'"{text}": use NAME=VALUE', param_hint=option)
    return name, value
