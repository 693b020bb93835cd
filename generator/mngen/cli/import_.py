"""`mngen import`: a spec from what there is already."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mngen.cli._console import print_json, report
from mngen.cli._options import (
    DEFAULT_FILE,
    FileOption,
    Format,
    FormatOption,
    SandboxOption,
)
from mngen.cli._session import account_of
from mngen.errors import InputError

if TYPE_CHECKING:
    from mngen.adoption import Adoption


def import_(
    from_pcluster: Annotated[
        Path,
        typer.Option(
            "--from-pcluster",
            metavar="FILE",
            help="Cluster file of ParallelCluster, with the scheduler awsbatch",
        ),
    ],
    file: FileOption = DEFAULT_FILE,
    name: Annotated[
        str | None, typer.Option(help="Name of the deployment; default: that of the folder")
    ] = None,
    region: Annotated[
        str | None, typer.Option(help="AWS region; default: that of what is imported")
    ] = None,
    aws: Annotated[
        bool, typer.Option("--aws", help="Ask the account what files do not show; read-only")
    ] = False,
    sandbox: SandboxOption = False,
    partial: Annotated[
        bool, typer.Option("--partial", help="Write what is possible, without the rest")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Write nothing; show the report")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Overwrite a spec and report that exist")
    ] = False,
    output_format: FormatOption = Format.PRETTY,
) -> None:
    """Write a spec from what exists already.

    Writes the spec and a report with a line for each value (adoption.md): both or neither; AWS is
    only read. Exit code 1: a value cannot be written in a spec; then nothing is written without
    --partial.
    """
    from mngen._aws import region_of
    from mngen.adoption import Outcome, Wishes, adopt, look_up, read_cluster, save
    from mngen.catalog import load_catalog
    from mngen.spec import name_from

    found = read_cluster(from_pcluster)
    with account_of(region or found.region, sandbox=sandbox):
        if aws or sandbox:
            look_up(found, region_of(region or found.region))
    adoption = adopt(
        found,
        Wishes(
            name=name or name_from(file.absolute().parent.name),
            region=region,
            default_region=os.environ.get("AWS_REGION") or "us-east-1",
            spec=file.name,
        ),
        load_catalog(file),
    )
    refused = bool(adoption.count(Outcome.CANNOT)) and not partial
    written: list[Path] = []
    if adoption.spec and not refused and not dry_run:
        written = save(adoption, file, overwrite=overwrite)
    if output_format is Format.JSON:
        print_json({**adoption.as_dict(), "written": [str(each) for each in written]})
    else:
        _show(adoption, written)
    if refused:
        raise InputError(
            f"{adoption.count(Outcome.CANNOT)} of the values cannot be written in a spec; nothing "
            "was written",
            hint="--partial writes the rest",
        )
    if not adoption.spec:
        raise InputError("no compute environment with a queue can be written in a spec")


def _show(adoption: "Adoption", written: list[Path]) -> None:
    """Shows what matters most, and all of it if no report is written."""
    from mngen.adoption import Outcome, line_text

    for line in adoption.lines:
        if not written or line.breaks or line.outcome is Outcome.CANNOT:
            typer.echo(line_text(line))
    counts = ", ".join(f"{adoption.count(each)} {each.value}" for each in Outcome)
    report(counts)
    for each in written:
        report(f"wrote {each}")
    if written:
        report(f"next: read {written[1]}, then mngen check --file {written[0]}")
