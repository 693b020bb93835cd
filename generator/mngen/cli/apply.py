"""`mngen apply`: build what the rendered tree describes."""

from mngen.cli._terraform import (
    DEFAULT_OUT,
    OutOption,
    SandboxOption,
    YesOption,
    ask,
    opened,
    require_someone_to_ask,
    show_summary,
)


def apply(
    out: OutOption = DEFAULT_OUT,
    yes: YesOption = False,
    sandbox: SandboxOption = False,
) -> None:
    """Build what the rendered tree describes: plan, ask, apply exactly that plan.

    Ctrl-C lets Terraform finish its current step and save its state, then says what is left.
    """
    if not yes:
        require_someone_to_ask()
    with opened(out, sandbox=sandbox) as terraform, terraform.plan() as planned:
        show_summary(planned.summary, err=True)
        if not planned.has_changes:
            return
        if not yes:
            ask("Apply this plan?")
        terraform.apply(planned)
