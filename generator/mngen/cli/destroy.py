"""`mngen destroy`: remove all that was built."""

from mngen.cli._console import ask, report, report_problem, require_terminal
from mngen.cli._options import DEFAULT_OUT, OutOption, SandboxOption, YesOption
from mngen.cli._session import opened_terraform
from mngen.cli._terraform import show_summary


def destroy(
    out: OutOption = DEFAULT_OUT,
    yes: YesOption = False,
    sandbox: SandboxOption = False,
) -> None:
    """Destroy the deployment, data included.

    What remains and may cost money (AMIs, backups, inputs, outputs) is listed at the end, with
    commands to delete it. Ctrl-C lets Terraform finish its current step and save its state, then
    shows what remains.
    """
    from mngen.terraform import refuse_denied, survivors

    if not yes:
        require_terminal("everything that the tree built is deleted, its data included")
    with (
        opened_terraform(out, sandbox=sandbox) as terraform,
        terraform.plan(destroy=True) as planned,
    ):
        show_summary(planned.summary, err=True)
        if not planned.has_changes:
            return
        refuse_denied(planned)
        if not yes:
            loses_data = any(change.loses_data for change in planned.summary.changes)
            ask(
                "Destroy these resources and their data?"
                if loses_data
                else "Destroy these resources?"
            )
        progress = terraform.apply(planned)
        report(f"Destroyed {len(progress.done)} resources; the Terraform state is empty.")
        for problem in survivors(planned, terraform.folder):
            report_problem(problem)
