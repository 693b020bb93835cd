"""What `plan`, `apply`, `destroy` and `output` share on the command line."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mngen.cli._shared import wants_colour
from mngen.errors import InputError

if TYPE_CHECKING:
    from mngen.errors import Problem
    from mngen.terraform import PlanSummary, Standing, Terraform

DEFAULT_OUT = Path("deploy")


class Format(StrEnum):
    """How data is shown."""

    PRETTY = "pretty"
    JSON = "json"


OutOption = Annotated[Path, typer.Option("--out", help="Folder of the rendered tree")]
SandboxOption = Annotated[
    bool, typer.Option("--sandbox", help="Use the emulated AWS, with its own Terraform state")
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation")]
FormatOption = Annotated[Format, typer.Option("--format", help="Output format")]


def report(line: str) -> None:
    """Shows a line of progress.

    A reader who has gone away is no reason to stop Terraform in the middle of its work.
    """
    with suppress(BrokenPipeError):
        typer.echo(line, err=True)


@contextmanager
def opened(out: Path, *, sandbox: bool) -> Iterator["Terraform"]:
    """Opens the Terraform of a rendered tree, on AWS or on the emulated one.

    Args:
        out: The rendered tree.
        sandbox: Whether to work on a copy of its Terraform folder, against the sandbox.
    """
    from mngen.terraform import Terraform, check_folder, sandbox_folder

    folder = out / "terraform"
    if not sandbox:
        yield Terraform(folder, report=report)
        return
    check_folder(folder)
    from mngen.sandbox import open_sandbox

    with open_sandbox(tell=report) as box, box.applied():
        copy = sandbox_folder(folder, box.home)
        yield Terraform(copy, box.environment(), report=report)


def require_someone_to_ask() -> None:
    """Refuses at once where the question would come only after a long plan.

    Raises:
        InputError: Standard input is not a terminal.
    """
    if not sys.stdin.isatty():
        raise InputError(
            "there is nobody to ask: standard input is not a terminal",
            hint="look at `mngen plan` first, then pass --yes",
        )


def ask(question: str) -> None:
    """Asks for a yes; anything else ends the command with exit code 1.

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


def ask_to_import(found: "Standing", *, yes: bool) -> None:
    """Shows what would be imported into the state, and asks.

    Raises:
        InputError: Nobody was to be asked, and it looks like another state's deployment.
        typer.Exit: The answer was no.
    """
    report("The state does not have what stands with this deployment's tag:")
    for each in found.imports:
        report(f"  {each.address}: {each.found.id}")
    if yes and found.of_another_state:
        raise InputError(
            "this state is empty, and a deployment of this name exists: it may have another state",
            hint="use that one's state, or choose another `name` in the spec; to import all of it "
            "into this state, run `mngen apply` without --yes",
        )
    if not yes:
        ask(f"Import {len(found.imports)} resources into the state?")


def warn(problem: "Problem") -> None:
    """Shows a warning."""
    from mngen.errors import format_problem

    report(format_problem(problem, colour=wants_colour(sys.stderr)))


def show_summary(summary: "PlanSummary", *, err: bool) -> None:
    """Prints the summary of a plan, in colour on a terminal."""
    from rich.console import Console

    from mngen.terraform import render_summary

    Console(stderr=err, highlight=False).print(render_summary(summary), soft_wrap=True)
