"""What `plan`, `apply` and `destroy` share."""

from typing import TYPE_CHECKING

from mngen.cli._console import ask, report
from mngen.errors import InputError

if TYPE_CHECKING:
    from mngen.terraform import PlanSummary, Standing


def ask_to_import(found: "Standing", *, yes: bool) -> None:
    """Shows what would be imported into the state, and asks.

    Raises:
        InputError: There is no question to ask, and it looks like another state's deployment.
        typer.Exit: The answer was no.
    """
    report("These resources have the deployment's tag but are missing from the state:")
    for each in found.imports:
        report(f"  {each.address}: {each.found.id}")
    if yes and found.of_another_state:
        raise InputError(
            "the Terraform state is empty, but a deployment of this name exists",
            hint="use the state of that deployment, or choose another `name` in the spec; to "
            "import all of it into this state, run mngen apply without --yes",
        )
    if not yes:
        ask(f"Import {len(found.imports)} resources into the state?")


def show_summary(summary: "PlanSummary", *, err: bool) -> None:
    """Prints the summary of a plan, in colour on a terminal."""
    from rich.console import Console

    from mngen.terraform import render_summary

    Console(stderr=err, highlight=False).print(render_summary(summary), soft_wrap=True)
