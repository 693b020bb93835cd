"""`mngen plan`: what an apply would do."""

from mngen.cli._console import print_json, report_problem
from mngen.cli._options import DEFAULT_OUT, Format, FormatOption, OutOption, SandboxOption
from mngen.cli._session import opened_terraform
from mngen.cli._terraform import show_summary


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

    with opened_terraform(out, sandbox=sandbox) as terraform, terraform.plan() as planned:
        if output_format is Format.JSON:
            print_json(planned.summary.as_dict())
        else:
            show_summary(planned.summary, err=False)
        for problem in (*running_jobs(planned), *announce(planned, terraform)):
            report_problem(problem)
