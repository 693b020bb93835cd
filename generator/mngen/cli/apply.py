"""`mngen apply`: build what the rendered tree describes."""

from functools import partial

from mngen.cli._terraform import (
    DEFAULT_OUT,
    OutOption,
    SandboxOption,
    YesOption,
    ask,
    ask_to_import,
    opened,
    require_someone_to_ask,
    show_summary,
    warn,
)


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
    from mngen.terraform import healed_plan, running_jobs

    if not yes:
        require_someone_to_ask()
    with (
        opened(out, sandbox=sandbox) as terraform,
        healed_plan(terraform, partial(ask_to_import, yes=yes), warn) as planned,
    ):
        show_summary(planned.summary, err=True)
        if not planned.has_changes:
            return
        for problem in running_jobs(planned):
            warn(problem)
        if not yes:
            ask("Apply this plan?")
        terraform.apply(planned)
