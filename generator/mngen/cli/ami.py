"""`mngen ami`: the AMIs that were baked, and cleaning up after bakes."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from mngen.cli._console import ask, console, print_json, report, require_terminal, table
from mngen.cli._options import (
    DEFAULT_FILE,
    DEFAULT_OUT,
    FileOption,
    Format,
    FormatOption,
    OutOption,
    SandboxOption,
    YesOption,
    require_subcommand,
)
from mngen.cli._quick import QuickCommand, QuickGroup
from mngen.cli._session import account_of, ami_record, cluster_of

if TYPE_CHECKING:
    from mngen.cluster import Cluster
    from mngen.images import Listed

ami = typer.Typer(name="ami", cls=QuickGroup, add_completion=False, rich_markup_mode=None)


@ami.callback(invoke_without_command=True)
def root(context: typer.Context) -> None:
    """List, prune and clean up AMIs."""
    require_subcommand(context)


@ami.command(name="list", cls=QuickCommand)
def list_(
    file: FileOption = DEFAULT_FILE,
    out: OutOption = DEFAULT_OUT,
    sandbox: SandboxOption = False,
    output_format: FormatOption = Format.PRETTY,
) -> None:
    """List the AMIs of the deployment and their use.

    An AMI is in use if amis.auto.tfvars.json records it, or a compute environment starts it.
    """
    cluster = cluster_of(file)
    with account_of(cluster.spec.region, sandbox=sandbox):
        found = _listed(cluster, out, sandbox=sandbox)
    if output_format is Format.JSON:
        print_json(found)
    elif found:
        _show(found)
    else:
        report("No AMIs yet: run mngen bake")


@ami.command(cls=QuickCommand)
def prune(
    file: FileOption = DEFAULT_FILE,
    out: OutOption = DEFAULT_OUT,
    yes: YesOption = False,
    sandbox: SandboxOption = False,
) -> None:
    """Deregister unused AMIs.

    An AMI is unused if no compute environment starts it and amis.auto.tfvars.json does not record
    it. Its snapshots, which cost money, are deleted with it.
    """
    from mngen.images import prunable, prune

    if not yes:
        require_terminal("run mngen ami list to see which AMIs are unused")
    cluster = cluster_of(file)
    with account_of(cluster.spec.region, sandbox=sandbox):
        unused = prunable(_listed(cluster, out, sandbox=sandbox))
        if not unused:
            report("Every AMI is in use.")
            return
        _show(unused)
        if not yes:
            ask(f"Deregister {len(unused)} AMIs and delete their snapshots?")
        prune(cluster.spec.region, unused)
    report(f"Deregistered {len(unused)} AMIs.")


@ami.command(cls=QuickCommand)
def cleanup(
    file: FileOption = DEFAULT_FILE, yes: YesOption = False, sandbox: SandboxOption = False
) -> None:
    """Clean up resources left by interrupted bakes.

    These are builders, key pairs, volumes and security groups, found by the tags that a bake gives
    to everything it creates. A bake that is running elsewhere has such resources too: check their
    start times before you confirm.
    """
    from mngen._aws import client
    from mngen.images import end_leftovers, find_leftovers

    if not yes:
        require_terminal("without --yes, the resources are listed first")
    spec = cluster_of(file).spec
    with account_of(spec.region, sandbox=sandbox):
        ec2 = client("ec2", spec.region)
        left = find_leftovers(ec2, spec.name)
        if not left:
            report("Nothing to clean up.")
            return
        for each in left:
            since = f", since {each.since}" if each.since else ""
            state = f", {each.state}" if each.state else ""
            report(f"{each.kind} {each.id}: of image {each.image}{state}{since}")
        if not yes:
            ask(f"Delete these {len(left)} resources?")
        end_leftovers(ec2, left)
    report(f"Deleted {len(left)} resources.")


def _listed(cluster: "Cluster", out: Path, *, sandbox: bool) -> "list[Listed]":
    from mngen.images import list_images

    return list_images(cluster, ami_record(out, sandbox=sandbox).read())


def _show(found: "list[Listed]") -> None:
    headings = ("id", "image", "nr_cpus", "base", "created", "state", "recorded as", "used by")
    shown = table(*headings)
    for each in found:
        shown.add_row(
            each.id,
            each.image,
            "?" if each.nr_cpus is None else str(each.nr_cpus or "all"),
            each.base or "?",
            (each.created or "")[:16].replace("T", " "),
            each.state,
            ", ".join(each.recorded_as) or "-",
            ", ".join(each.used_by) or "-",
        )
    console().print(shown)
