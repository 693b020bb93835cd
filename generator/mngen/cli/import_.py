"""`mngen import`: a spec from what there is already, and the end of what it replaces."""

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mngen.cli._console import print_json, report
from mngen.cli._finish import finish as run_finish
from mngen.cli._options import (
    DEFAULT_FILE,
    DEFAULT_OUT,
    FileOption,
    Format,
    FormatOption,
    OutOption,
    SandboxOption,
    YesOption,
)
from mngen.cli._session import account_of
from mngen.errors import InputError

if TYPE_CHECKING:
    from mngen.adoption import Adoption


class Take(StrEnum):
    """What an import takes over only if asked to."""

    REPOSITORY = "repository"


def import_(
    more: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILE]...", help="More files for --from-json")
    ] = None,
    from_json: Annotated[
        list[Path] | None,
        typer.Option(
            "--from-json",
            metavar="FILE",
            help="File for `aws batch … --cli-input-json`; repeatable",
        ),
    ] = None,
    from_pcluster: Annotated[
        Path | None,
        typer.Option(
            "--from-pcluster",
            metavar="FILE",
            help="Cluster file of ParallelCluster, with the scheduler awsbatch",
        ),
    ] = None,
    from_terraform: Annotated[
        Path | None,
        typer.Option(
            "--from-terraform",
            metavar="PATH",
            help="Folder of another Terraform configuration, or a file with its state",
        ),
    ] = None,
    from_account: Annotated[
        bool, typer.Option("--from-account", help="Read the AWS account")
    ] = False,
    queue: Annotated[
        list[str] | None,
        typer.Option("--queue", metavar="NAME", help="Only this job queue; repeatable"),
    ] = None,
    job: Annotated[
        list[str] | None,
        typer.Option(
            "--job", metavar="NAME", help="Also take this job definition over; repeatable"
        ),
    ] = None,
    file: FileOption = DEFAULT_FILE,
    out: OutOption = DEFAULT_OUT,
    name: Annotated[
        str | None, typer.Option(help="Name of the deployment; default: that of the folder")
    ] = None,
    region: Annotated[
        str | None, typer.Option(help="AWS region; default: that of what is imported")
    ] = None,
    take: Annotated[
        Take | None, typer.Option("--take", help="Also manage the repository of the image")
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
    finish: Annotated[
        bool, typer.Option("--finish", help="Delete the old compute environments, after asking")
    ] = False,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout", min=0, help="Seconds to wait for jobs with --finish; default: 3600"
        ),
    ] = None,
    yes: YesOption = False,
    output_format: FormatOption = Format.PRETTY,
) -> None:
    """Write a spec from what exists already.

    Writes the spec, a report with a line for each value (adoption.md) and, for queues that exist,
    Terraform's import blocks. All files are written or none; AWS is only read. Exit code 1: a value
    cannot be written in a spec; then nothing is written without --partial.

    With --finish, the compute environments that queues had before mngen are deleted, once neither a
    queue nor the spec lists them and no job runs on them. Interrupted, it continues when it is run
    again. Exit code 3: one is still in use after --timeout, or AWS does not delete it; the others
    are deleted.
    """
    from mngen._aws import region_of
    from mngen.adoption import (
        Outcome,
        Wishes,
        adopt,
        look_up,
        read_account,
        read_cluster,
        read_json,
        read_terraform,
        region_of_inventory,
        save,
    )
    from mngen.catalog import load_catalog
    from mngen.spec import name_from

    files = [*(from_json or ()), *(more or ())]
    sources = [bool(from_json), bool(from_pcluster), bool(from_terraform), from_account]
    others = any((files, queue, job, name, region, take, aws, partial, overwrite))
    if finish:
        if others or any(sources):
            raise typer.BadParameter(
                "with --finish, pass only --file, --out, --timeout, --yes, --dry-run, --sandbox "
                "and --format"
            )
        run_finish(
            file,
            out,
            yes=yes,
            dry_run=dry_run,
            sandbox=sandbox,
            output_format=output_format,
            timeout=timeout,
        )
        return
    if yes or timeout is not None:
        raise typer.BadParameter("--yes and --timeout are only for --finish")
    _check_source(sources, more=bool(more), named=bool(queue or job))
    with account_of(region, sandbox=sandbox):
        if from_account:
            found = read_account(queue or [], job or [], name=name, region=region)
        elif from_terraform:
            found = read_terraform(from_terraform, queue or [], job or [])
        else:
            found = read_cluster(from_pcluster) if from_pcluster else read_json(files)
        if (aws or sandbox) and not from_account:
            look_up(found, region_of(region_of_inventory(found, region)))
    adoption = adopt(
        found,
        Wishes(
            name=name or found.name or name_from(file.absolute().parent.name),
            region=region,
            default_region=os.environ.get("AWS_REGION") or "us-east-1",
            jobs=frozenset(job or ()),
            take_repository=take is Take.REPOSITORY,
            spec=file.name,
            out=str(out),
        ),
        load_catalog(file),
    )
    refused = bool(adoption.count(Outcome.CANNOT)) and not partial
    written: list[Path] = []
    if adoption.spec and not refused and not dry_run:
        written = save(adoption, file, out, overwrite=overwrite)
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


def _check_source(sources: list[bool], *, more: bool, named: bool) -> None:
    from_json, _, from_terraform, from_account = sources
    if sources.count(True) != 1:
        raise typer.BadParameter(
            "pass one of --from-json, --from-pcluster, --from-terraform, --from-account and "
            "--finish"
        )
    if more and not from_json:
        raise typer.BadParameter("files are only for --from-json")
    if named and not (from_account or from_terraform):
        raise typer.BadParameter(
            "--queue and --job are only for --from-account and --from-terraform"
        )


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
