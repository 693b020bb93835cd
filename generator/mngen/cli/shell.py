"""`mngen shell`: a shell in the container of a node."""

from typing import Annotated

import typer

from mngen.cli._console import has_terminal
from mngen.cli._options import DEFAULT_FILE, FileOption, JobArgument, SandboxOption
from mngen.cli._session import opened_jobs
from mngen.errors import InputError


def shell(
    job: JobArgument,
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- COMMAND ...]", help="Command to run instead of a shell"),
    ] = None,
    node: Annotated[
        int | None, typer.Option("--node", min=0, help="Node; default: the main node")
    ] = None,
    file: FileOption = DEFAULT_FILE,
    sandbox: SandboxOption = False,
) -> None:
    """Open a shell on a node of a running job.

    It runs in the node's container, as root, by ECS Exec. The job must have `shell: true` in the
    spec when it is submitted, and you need the Session Manager plugin and the permissions of
    `mngen policy debugger`. Ctrl-C and Ctrl-Z are sent to the container; `exit` closes the shell.

    The exit code of COMMAND is not transferred: it is 0 even if the plugin cannot connect. Without
    a terminal, COMMAND gets no input.
    """
    if not command and not sandbox and not has_terminal():
        raise InputError(
            "not a terminal: a shell needs one",
            hint=f"run a command instead: mngen shell {job} -- COMMAND",
        )
    with opened_jobs(file, sandbox=sandbox) as opened:
        if sandbox:
            opened.open_shell(job, node=node, command=command or ())
            raise InputError(
                "AWS would open the shell; jobs of the emulated AWS have no containers",
                hint="run the command without --sandbox for a job on AWS",
            )
        opened.shell(job, node=node, command=command or ())
