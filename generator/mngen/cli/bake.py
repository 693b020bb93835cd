"""`mngen bake`: the AMIs that the compute environments start."""

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mngen._text import counted
from mngen.cli._bake import bake_with_progress, opened_for_baking
from mngen.cli._console import console, report, table
from mngen.cli._options import DEFAULT_FILE, DEFAULT_OUT, FileOption, OutOption, SandboxOption
from mngen.errors import InterruptedRunError, Problem, ToolError

if TYPE_CHECKING:
    from mngen.images import BakePlan, BakeResult, Baking


class EngineName(StrEnum):
    """What bakes the AMIs."""

    PACKER = "packer"
    DIRECT = "direct"


def bake(
    file: FileOption = DEFAULT_FILE,
    instance: Annotated[
        list[str] | None,
        typer.Option("--instance", metavar="TYPE", help="Only for this instance type; repeatable"),
    ] = None,
    all_images: Annotated[
        bool, typer.Option("--all", help="For all instance types of the spec; default")
    ] = False,
    engine: Annotated[
        EngineName | None,
        typer.Option(
            help="packer (default if it is on PATH), or direct: the EC2 API and Ansible",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would be baked and why")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Bake AMIs even if they are up to date")
    ] = False,
    keep_on_failure: Annotated[
        bool,
        typer.Option(
            "--keep-on-failure",
            help="Keep the builder of a failed bake running; it costs money",
        ),
    ] = False,
    out: OutOption = DEFAULT_OUT,
    sandbox: SandboxOption = False,
) -> None:
    """Bake the AMIs of the spec.

    Each AMI starts from the newest ECS-optimized one, mounts the file system and limits the CPUs to
    the cores. AMIs are baked in parallel and recorded for the next apply; those that are up to date
    are kept. Ctrl-C terminates the builders first. After a bake that was killed, run
    `mngen ami cleanup`.
    """
    if all_images and instance:
        raise typer.BadParameter("--all cannot be used with --instance")
    with opened_for_baking(file, out, sandbox=sandbox) as baking:
        survey = baking.look(tuple(instance or ()), force=force)
        _show_plan(survey.plan, baking)
        if dry_run:
            return
        result = bake_with_progress(
            baking, survey, engine.value if engine else None, keep=keep_on_failure
        )
    _show_result(result, out)


def _show_plan(plan: "BakePlan", baking: "Baking") -> None:
    shown = table("image", "nr_cpus", "architecture", "used by", "bake")
    rows = [
        *((each.image, f"yes: {each.reason}") for each in plan.targets),
        *((each.image, f"no: {each.reason}, {each.record.id}") for each in plan.kept),
    ]
    for image, verdict in sorted(rows, key=lambda row: row[0].name):
        shown.add_row(
            image.name,
            str(image.nr_cpus or "all"),
            image.architecture,
            ", ".join(image.names),
            verdict,
        )
    console(err=True).print(shown)
    count = sum(each.kind == "instance" for each in baking.leftovers())
    if count:
        builders = counted(count, "builder")
        report(f"{builders} of an interrupted or concurrent bake found: see mngen ami cleanup")


def _show_result(result: "BakeResult", out: Path) -> None:
    """Shows the result for each image, and exits with the right code."""
    problems: list[Problem] = []
    for outcome in result.outcomes:
        if outcome.id is not None:
            names = ", ".join(outcome.image.names)
            took = f"  {outcome.seconds:.0f} s" if outcome.seconds else "  found, already baked"
            report(f"{names}: {outcome.id}{took}")
            continue
        problems += [
            replace(problem, message=f"{outcome.image.name}: {problem.message}")
            for problem in outcome.problems
        ]
        if outcome.log is not None:
            report(f"{outcome.image.name}: not baked; log: {outcome.log}")
    problems += result.problems
    if result.interrupted:
        done = sum(outcome.id is not None for outcome in result.outcomes)
        raise InterruptedRunError(
            Problem(
                f"interrupted: {done} of {len(result.outcomes)} AMIs are baked and recorded",
                hint="run mngen bake for the rest, and mngen ami cleanup for leftovers",
            ),
            *(each for each in problems if not each.message.endswith(": interrupted")),
        )
    if problems:
        raise ToolError(*problems)
    report(f"next: mngen apply --out {out}" if result.outcomes else "All AMIs are up to date.")
