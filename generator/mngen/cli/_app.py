"""The application: all commands."""

from collections.abc import Callable
from typing import Annotated

import typer

from mngen import __version__
from mngen.cli.apply import apply
from mngen.cli.bake import bake
from mngen.cli.cancel import cancel
from mngen.cli.check import check
from mngen.cli.demo import demo
from mngen.cli.destroy import destroy
from mngen.cli.doctor import doctor
from mngen.cli.image import image
from mngen.cli.images import images
from mngen.cli.init import init
from mngen.cli.instances import instances
from mngen.cli.jobs import jobs
from mngen.cli.logs import logs
from mngen.cli.output import output
from mngen.cli.plan import plan
from mngen.cli.policy import policy
from mngen.cli.rehearse import RehearseCommand, rehearse
from mngen.cli.render import render
from mngen.cli.rules import rules
from mngen.cli.sandbox import sandbox
from mngen.cli.schema import schema
from mngen.cli.selftest import selftest
from mngen.cli.status import status
from mngen.cli.submit import submit
from mngen.cli.sweep import sweep
from mngen.cli.timeline import timeline
from mngen.cli.wait import wait

app = typer.Typer(
    name="mngen",
    # Plain help needs no rich, which would take as long to import as all the rest.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    """One YAML file into a multi-node MPI cluster on AWS Batch."""
    if version:
        typer.echo(f"mngen {__version__}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(2)


# In the order of a user's road.
_COMMANDS: tuple[Callable[..., None], ...] = (
    init,
    check,
    render,
    plan,
    apply,
    bake,
    sweep,
    output,
    rehearse,
    selftest,
    submit,
    jobs,
    status,
    logs,
    wait,
    cancel,
    timeline,
    destroy,
    instances,
    policy,
    rules,
    schema,
    sandbox,
    demo,
    doctor,
)
for command in _COMMANDS:
    app.command(cls=RehearseCommand if command is rehearse else None)(command)
app.add_typer(images, name="images")
app.add_typer(image)
