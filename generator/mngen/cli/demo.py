"""`mngen demo`: the whole road on an emulated AWS."""

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from mngen.cli._terraform import report

if TYPE_CHECKING:
    from mngen.demo import Built, Step


def demo() -> None:
    """Walk the whole road on an emulated AWS: no account, nothing left behind.

    Real Terraform and the real AWS provider build the tutorial's cluster, show it, and destroy it.
    """
    from mngen.demo import walk

    with tempfile.TemporaryDirectory(prefix="mngen-demo-") as folder:
        steps, built = walk(Path(folder), report)
    _show(steps, built)


def _show(steps: "list[Step]", built: "list[Built]") -> None:
    from rich.console import Console
    from rich.table import Table

    # What reads a pipe wants every column whole.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    stood = Table(title="What was built", title_justify="left")
    for heading in ("compute environment", "type", "max vCPUs", "image", "placement", "queue"):
        stood.add_column(heading, justify="right" if heading == "max vCPUs" else "left")
    stood.add_column("status")
    for each in built:
        stood.add_row(
            each.environment,
            each.instance_type,
            str(each.max_vcpus),
            each.image,
            each.placement_group,
            ", ".join(each.queues),
            each.status,
        )
    console.print(stood)
    gone = Table(title="The road", title_justify="left")
    for heading in ("step", "result", "seconds"):
        gone.add_column(heading, justify="right" if heading == "seconds" else "left")
    for step in steps:
        gone.add_row(step.name, step.result, f"{step.seconds:.1f}")
    console.print(gone)
    typer.echo("Everything was destroyed again. Your own: mngen init")
