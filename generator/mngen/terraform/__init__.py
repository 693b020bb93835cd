"""Terraform in the rendered folder: what `mngen plan|apply|destroy|output` are made of.

The package runs the `terraform` (or `tofu`) on PATH, or else the embedded one, the
way a user would run it: nothing but Terraform itself writes into the folder. It adds what a
user needs around it: a summary that names what is at stake, hints for the failures that we
know, and an interrupt that ends in a saved state and shows what is left to do.

    terraform = Terraform(Path("deploy/terraform"))
    with terraform.plan() as plan:
        rich.print(render_summary(plan.summary))
        terraform.apply(plan)

`sandbox_folder` makes the copy of the folder in which Terraform works against the emulated AWS.
"""

from mngen.terraform._denied import denials, refuse_denied
from mngen.terraform._heal import announce, healed_plan
from mngen.terraform._markdown import PriceRow, render_markdown
from mngen.terraform._missing import Import, Standing
from mngen.terraform._plan import Plan
from mngen.terraform._progress import Progress
from mngen.terraform._render import render_summary
from mngen.terraform._running import running_jobs
from mngen.terraform._sandbox_copy import SANDBOX_AMIS, SANDBOX_DIGESTS, sandbox_folder
from mngen.terraform._summary import Change, Kind, PlanSummary, summarise
from mngen.terraform._survivors import survivors
from mngen.terraform._terraform import Output, Terraform, check_folder

__all__ = [
    "SANDBOX_AMIS",
    "SANDBOX_DIGESTS",
    "Change",
    "Import",
    "Kind",
    "Output",
    "Plan",
    "PlanSummary",
    "PriceRow",
    "Progress",
    "Standing",
    "Terraform",
    "announce",
    "check_folder",
    "denials",
    "healed_plan",
    "refuse_denied",
    "render_markdown",
    "render_summary",
    "running_jobs",
    "sandbox_folder",
    "summarise",
    "survivors",
]
