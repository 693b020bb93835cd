"""`mngen images`: the machine images that were baked, and the end of those that nothing uses."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from mngen.cli._bake import account_of, cluster_of, record_of
from mngen.cli._shared import DEFAULT_FILE, FileOption
from mngen.cli._terraform import (
    DEFAULT_OUT,
    Format,
    FormatOption,
    OutOption,
    SandboxOption,
    YesOption,
    ask,
    report,
    require_someone_to_ask,
)

if TYPE_CHECKING:
    from mngen.cluster import Cluster
    from mngen.images import Listed

images = typer.Typer(help="List the machine images, and end those that nothing uses.")


@images.callback(invoke_without_command=True)
def list_all(
    context: typer.Context,
    file: FileOption = DEFAULT_FILE,
    out: OutOption = DEFAULT_OUT,
    sandbox: SandboxOption = False,
    output: FormatOption = Format.PRETTY,
) -> None:
    """List the machine images of the deployment."""
    if context.invoked_subcommand is not None:
        return
    cluster = cluster_of(file)
    with account_of(cluster.spec.region, sandbox=sandbox):
        found = _listed(cluster, out, sandbox=sandbox)
    if output is Format.JSON:
        import msgspec

        typer.echo(json.dumps(msgspec.to_builtins(found), indent=2))
    elif found:
        _show(found)
    else:
        report("There are no machine images: `mngen bake` makes them.")


@images.command()
def prune(
    file: FileOption = DEFAULT_FILE,
    out: OutOption = DEFAULT_OUT,
    yes: YesOption = False,
    sandbox: SandboxOption = False,
) -> None:
    """Deregister the images that neither the record nor a compute environment uses.

    Their snapshots, which are what is paid for, are deleted with them.
    """
    from mngen.images import prunable, prune

    if not yes:
        require_someone_to_ask()
    cluster = cluster_of(file)
    with account_of(cluster.spec.region, sandbox=sandbox):
        unused = prunable(_listed(cluster, out, sandbox=sandbox))
        if not unused:
            report("Every image is in use.")
            return
        _show(unused)
        if not yes:
            ask(f"Deregister {len(unused)} images and delete their snapshots?")
        prune(cluster.spec.region, unused)
    report(f"Deregistered {len(unused)} images.")


def _listed(cluster: "Cluster", out: Path, *, sandbox: bool) -> "list[Listed]":
    from mngen.images import list_images

    return list_images(cluster, record_of(out, sandbox=sandbox).read())


def _show(found: "list[Listed]") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("id", "image", "nr_cpus", "base", "created", "state", "recorded as", "used by"):
        table.add_column(title, overflow="fold")
    for each in found:
        table.add_row(
            each.id,
            each.image,
            "?" if each.nr_cpus is None else str(each.nr_cpus or "all"),
            each.base or "?",
            (each.created or "")[:16].replace("T", " "),
            each.state,
            ", ".join(each.recorded_as) or "-",
            ", ".join(each.used_by) or "-",
        )
    # What reads a pipe wants every column whole.
    Console(highlight=False, width=None if sys.stdout.isatty() else 200).print(table)
