"""`mngen plan`: what an apply would do."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mngen.cli._console import print_json, report_problem
from mngen.cli._options import DEFAULT_OUT, OutOption, SandboxOption
from mngen.cli._session import opened_terraform, prices_beside
from mngen.cli._terraform import show_summary

if TYPE_CHECKING:
    from mngen.cluster import Cluster
    from mngen.cost import Estimate
    from mngen.errors import Problem
    from mngen.terraform import Plan


class PlanFormat(StrEnum):
    """Output formats of a plan."""

    PRETTY = "pretty"
    JSON = "json"
    MARKDOWN = "markdown"


def plan(
    out: OutOption = DEFAULT_OUT,
    sandbox: SandboxOption = False,
    output_format: Annotated[
        PlanFormat,
        typer.Option("--format", help="Output format; markdown for a comment on a pull request"),
    ] = PlanFormat.PRETTY,
) -> None:
    """Show what an apply would change, and why.

    Lists what is added, changed, replaced and destroyed. What loses data or interrupts jobs is
    shown in red. Nothing is changed. What a job costs at most, and what is billed for while none
    runs, comes last.
    """
    from mngen.terraform import announce, denials, running_jobs

    with opened_terraform(out, sandbox=sandbox) as terraform, terraform.plan() as planned:
        cluster = _cluster(planned.spec, out)
        if output_format is PlanFormat.MARKDOWN:
            problems = [*denials(planned), *running_jobs(planned), *announce(planned, terraform)]
            typer.echo(_markdown(planned, cluster, out, problems), nl=False)
            return
        price = _price(cluster, out)
        if output_format is PlanFormat.JSON:
            print_json({**planned.summary.as_dict(), "price": price.as_dict() if price else None})
        else:
            show_summary(planned.summary, err=False)
            for line in price.lines() if price else ():
                typer.echo(line)
        for problem in (
            *denials(planned),
            *running_jobs(planned),
            *announce(planned, terraform),
        ):
            report_problem(problem)


def _markdown(
    planned: "Plan", cluster: "Cluster | None", out: Path, problems: "list[Problem]"
) -> str:
    from mngen.terraform import render_markdown

    price = _price(cluster, out)
    if cluster is None or price is None:
        return render_markdown(planned.summary, problems=problems)
    from mngen.cost import compare, price_note
    from mngen.graph import mermaid_texts, planned_graph

    before = _cluster(planned.spec_before, out)
    former = _price(before, out)
    return render_markdown(
        planned.summary,
        prices=compare(former, price, first=planned.spec_before is None),
        price_note=price_note(price),
        problems=problems,
        pictures=mermaid_texts(planned_graph(planned, cluster, before)),
    )


def _cluster(spec: Any, out: Path) -> "Cluster | None":
    """Returns the deployment of a recorded spec; None if that is not one.

    The catalog is the one beside the spec, which is beside the rendered tree.
    """
    from mngen.catalog import load_catalog
    from mngen.cost import recorded_cluster

    return recorded_cluster(spec, load_catalog(out.resolve().parent))


def _price(cluster: "Cluster | None", out: Path) -> "Estimate | None":
    """Returns what a deployment can cost, at the prices beside the spec; None for none."""
    from mngen.cost import estimate

    return estimate(cluster, prices_beside(out.resolve().parent)) if cluster else None
