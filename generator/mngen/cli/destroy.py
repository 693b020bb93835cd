"""`mngen destroy`: remove all that was built."""

from mngen.cli._terraform import (
    DEFAULT_OUT,
    OutOption,
    SandboxOption,
    YesOption,
    ask,
    opened,
    report,
    require_someone_to_ask,
    show_summary,
    warn,
)


def destroy(
    out: OutOption = DEFAULT_OUT,
    yes: YesOption = False,
    sandbox: SandboxOption = False,
) -> None:
    """Destroy the deployment, data included.

    What remains and may cost money (AMIs, backups, inputs) is listed at the end, with commands to
    delete it. Ctrl-C lets Terraform finish its current step and save its state, then shows what
    remains.
    """
    from mngen.terraform import survivors

    if not yes:
        require_someone_to_ask()
    with (
        opened(out, sandbox=sandbox) as terraform,
        terraform.plan(destroy=True) as planned,
    ):
        show_summary(planned.summary, err=True)
        if not planned.has_changes:
            return
        if not yes:
            loses_data = any(change.loses_data for change in planned.summary.changes)
            ask("Destroy all this, data included?" if loses_data else "Destroy all this?")
        progress = terraform.apply(planned)
        report(
            f"Destroyed {len(progress.done)} resources: nothing of this tree is left in the state."
        )
        for problem in survivors(planned, terraform.folder):
            warn(problem)
