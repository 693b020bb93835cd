"""`mngen plan`: what an apply would do."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from mngen.cli._console import print_json, report_problem
from mngen.cli._options import DEFAULT_OUT, Format, FormatOption, OutOption, SandboxOption
from mngen.cli._session import opened_terraform, prices_beside
from mngen.cli._terraform import show_summary

if TYPE_CHECKING:
    from mngen.cost import Estimate
    from mngen.terraform import Plan


def plan(
    out: OutOption = DEFAULT_OUT,
    sandbox: SandboxOption = False,
    output_format: FormatOption = Format.PRETTY,
) -> None:
    """Show what an apply would change, and why.

    Lists what is added, changed, replaced and destroyed. What loses data or interrupts jobs is
    shown in red. Nothing is changed. What a job costs at most, and what is billed for while none
    runs, comes last.
    """
    from mngen.terraform import announce, running_jobs

    with opened_terraform(out, sandbox=sandbox) as terraform, terraform.plan() as planned:
        price = _price(planned, out)
        if output_format is Format.JSON:
            print_json({**planned.summary.as_dict(), "price": price.as_dict() if price else None})
        else:
            show_summary(planned.summary, err=False)
            for line in price.lines() if price else ():
                typer.echo(line)
        for problem in (*running_jobs(planned), *announce(planned, terraform)):
            report_problem(problem)


def _price(planned: "Plan", out: Path) -> "Estimate | None":
    """Returns what the deployment can cost afterwards; None if the plan does not have its spec.

    Catalog and prices are those beside the spec, which is beside the rendered tree.
    """
    from mngen.catalog import load_catalog
    from mngen.cost import estimate, recorded_cluster

    folder = out.resolve().parent
    cluster = recorded_cluster(planned.spec, load_catalog(folder))
    return estimate(cluster, prices_beside(folder)) if cluster else None
