"""`mngen demo`: the whole workflow on an emulated AWS."""

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mngen.cli._console import console, report
from mngen.errors import InputError, ToolError

if TYPE_CHECKING:
    from rich.console import Console

    from mngen.demo import Built, Step


def demo(
    keep: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="New or empty folder that keeps what the steps write",
        ),
    ] = None,
    container: Annotated[
        bool | None,
        typer.Option(
            "--container/--no-container",
            help="Build the container image, or not; default: if its base image is present. "
            "Otherwise, some hundred MB are downloaded",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Run the whole workflow on an emulated AWS.

    Real Terraform and the real AWS provider build the tutorial's cluster, show it and destroy it.
    No AWS account is needed and nothing is left behind. Without --keep, files are kept only if a
    step fails.
    """
    from mngen.cli._demo import show_plan, shown_progress
    from mngen.demo import plan_demo, run_demo

    plan = plan_demo(build=container)
    folder = Path(tempfile.mkdtemp(prefix="mngen-demo-")) if keep is None else _prepared(keep)
    kept = keep is not None
    show_plan(plan)
    try:
        with shown_progress() as on_step:
            steps, built = run_demo(folder, plan=plan, on_step=on_step, build=container, keep=kept)
    except (InputError, ToolError):
        kept = True
        report(f"the files that the demo wrote are in {folder}")
        raise
    finally:
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)
    _show(steps, built, keep)


def _prepared(folder: Path) -> Path:
    """Makes the folder to keep, and refuses one with anything in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        taken = any(folder.iterdir())
    except OSError as error:
        raise InputError(f"cannot use {folder}: {error.strerror}") from None
    if taken:
        raise InputError(f"{folder} is not empty", hint="choose a new folder, or delete this one")
    return folder


def _show(steps: "list[Step]", built: "list[Built]", kept: Path | None) -> None:
    shown = console()
    _show_built(shown, built)
    _show_steps(shown, steps, kept)
    if kept is None:
        typer.echo("Everything was destroyed. To keep the files that the steps write:")
        typer.echo("  mngen demo --keep mngen-demo")
    else:
        typer.echo("Everything was destroyed; the IDs in these files are emulated.")
    typer.echo("To start your own: mngen init")


def _show_built(shown: "Console", built: "list[Built]") -> None:
    from rich.table import Table

    table = Table(title="What was built", title_justify="left")
    for heading in ("compute environment", "type", "max vCPUs", "image", "placement", "queue"):
        table.add_column(heading, justify="right" if heading == "max vCPUs" else "left")
    table.add_column("status")
    for each in built:
        table.add_row(
            each.environment,
            each.instance_type,
            str(each.max_vcpus),
            each.image,
            each.placement_group,
            ", ".join(each.queues),
            each.status,
        )
    shown.print(table)


def _show_steps(shown: "Console", steps: "list[Step]", kept: Path | None) -> None:
    """Shows each step with the files that it wrote, or its command."""
    from rich.table import Table

    title = "Workflow" if kept is None else f"Workflow; files are in {kept}"
    table = Table(title=title, title_justify="left")
    for heading in ("step", "result", "seconds"):
        table.add_column(heading, justify="right" if heading == "seconds" else "left")
    table.add_column("files or command", no_wrap=True)
    for step in steps:
        files = [str(each) for each in step.files] if kept is not None else []
        where = "\n".join(files) or f"{step.command} --help"
        table.add_row(step.name, step.result, f"{step.seconds:.1f}", where)
    shown.print(table)
