"""`mngen sandbox`: an emulated AWS for one command, for a shell, or in the background."""

from __future__ import annotations

import os
from typing import Annotated

import typer


def sandbox(
    command: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="-- COMMAND",
            help="Command that sees only the emulated AWS; without one, the sandbox runs until "
            "Ctrl-C and prints the settings for another shell",
            show_default=False,
        ),
    ] = None,
    *,
    region: Annotated[str, typer.Option(help="AWS region of the command")] = "us-east-1",
    port: Annotated[int, typer.Option(help="Port on loopback; 0: a free one")] = 0,
    status: Annotated[
        bool, typer.Option("--status", help="Show the sandbox in the background")
    ] = False,
    stop: Annotated[
        bool, typer.Option("--stop", help="Stop the sandbox in the background")
    ] = False,
) -> None:
    """Run a command against an emulated AWS.

    The emulator runs on this machine and needs no AWS account.
    """
    from mngen import sandbox as room

    if sum([bool(command), status, stop]) > 1:
        raise typer.BadParameter("give a command, --status or --stop: one of them")
    if status:
        found = room.sandbox_status()
        typer.echo(
            f"{found.endpoint} (process {found.pid})"
            if found
            else "no sandbox runs in the background"
        )
    elif stop:
        typer.echo("stopped" if room.stop_sandbox() else "no sandbox runs in the background")
    elif command:
        with room.start_sandbox(port) as running:
            code = room.run_command(command, running.environment(region))
        raise typer.Exit(code)
    else:
        with room.start_sandbox(port) as running:
            for line in room.exports(running.environment(region), os.environ):
                typer.echo(line)
            room.serve_until_interrupted(
                lambda: typer.echo("# the sandbox runs until Ctrl-C", err=True)
            )
