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
    from mngen import sandbox as emulated

    if sum([bool(command), status, stop]) > 1:
        raise typer.BadParameter("COMMAND, --status and --stop exclude one another")
    if status:
        found = emulated.sandbox_status()
        typer.echo(
            f"{found.endpoint} (process {found.pid})"
            if found
            else "no sandbox is running in the background"
        )
    elif stop:
        typer.echo(
            "stopped" if emulated.stop_sandbox() else "no sandbox is running in the background"
        )
    elif command:
        with emulated.start_sandbox(port) as running:
            code = emulated.run_command(command, running.environment(region))
        raise typer.Exit(code)
    else:
        with emulated.start_sandbox(port) as running:
            for line in emulated.exports(running.environment(region), os.environ):
                typer.echo(line)
            emulated.serve_until_interrupted(
                lambda: typer.echo("# the sandbox runs until you press Ctrl-C", err=True)
            )
