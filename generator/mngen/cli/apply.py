"""`mngen apply`: build what the rendered tree describes."""

from functools import partial

from mngen.cli._console import ask, report_problem, require_terminal
from mngen.cli._options import DEFAULT_OUT, OutOption, SandboxOption, YesOption
from mngen.cli._session import opened_terraform
from mngen.cli._terraform import ask_to_import, show_summary


def apply(
    out: OutOption = DEFAULT_OUT,
    yes: YesOption = False,
    sandbox: SandboxOption = False,
) -> None:
    """Apply the rendered Terraform.

    Shows the plan, asks, and applies exactly that plan. Resources that an interrupted apply created
    without recording them in the state are imported. Ctrl-C lets Terraform finish its current step
    and save its state, then shows what remains.
    """
    from mngen.terraform import healed_plan, refuse_denied, running_jobs

    if not yes:
        require_terminal("run mngen plan to see what would change")
    with (
        opened_terraform(out, sandbox=sandbox) as terraform,
        healed_plan(terraform, partial(ask_to_import, yes=yes), report_problem) as planned,
    ):
        show_summary(planned.summary, err=True)
        if not planned.has_changes:
            return
        refuse_denied(planned)
        for problem in running_jobs(planned):
            report_problem(problem)
        if not yes:
            ask("Apply this plan?")
        terraform.apply(planned)
