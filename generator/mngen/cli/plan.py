"""`mngen plan`: what an apply would do."""

import json

import typer

from mngen.cli._terraform import (
    DEFAULT_OUT,
    Format,
    FormatOption,
    OutOption,
    SandboxOption,
    opened,
    show_summary,
    warn,
)


def plan(
    out: OutOption = DEFAULT_OUT,
    sandbox: SandboxOption = False,
    output_format: FormatOption = Format.PRETTY,
) -> None:
    """Show what an apply would change, and why.

    Lists what is added, changed, replaced and destroyed. What loses data or interrupts jobs is
    shown in red. Nothing is changed.
    """
    from mngen.terraform import announce, running_jobs

    with opened(out, sandbox=sandbox) as terraform, terraform.plan() as planned:
        if output_format is Format.JSON:
            typer.echo(json.dumps(planned.summary.as_dict(), indent=2))
        else:
            show_summary(planned.summary, err=False)
        for problem in (*running_jobs(planned), *announce(planned, terraform)):
            warn(problem)
