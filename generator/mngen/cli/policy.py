"""`mngen policy`: the IAM policy of a role in the deployment."""

from enum import StrEnum
from typing import Annotated

import typer

from mngen.cli._console import print_json, report, report_problem
from mngen.cli._options import DEFAULT_FILE, FileOption, Format


class RoleName(StrEnum):
    """The roles that people have in a deployment."""

    DEPLOYER = "deployer"
    BAKER = "baker"
    SUBMITTER = "submitter"
    DEBUGGER = "debugger"
    IMPORTER = "importer"


def policy(
    role: Annotated[
        RoleName,
        typer.Argument(
            help="deployer: applies Terraform; baker: bakes AMIs and pushes container images; "
            "submitter: runs jobs; debugger: opens shells in running jobs; importer: reads what "
            "exists, needs no spec"
        ),
    ],
    file: FileOption = DEFAULT_FILE,
    account: Annotated[
        str | None,
        typer.Option(metavar="ID", help="AWS account; default: the spec's `account`"),
    ] = None,
    region: Annotated[
        str | None,
        typer.Option(help="AWS region, only for the importer; default: the configured one"),
    ] = None,
    finish: Annotated[
        bool,
        typer.Option(
            "--finish", help="Only for the importer: what mngen import --finish needs instead"
        ),
    ] = False,
    document: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Only the Nth of several documents"),
    ] = None,
    output_format: Annotated[
        Format, typer.Option("--format", help="pretty: documents to paste; json: a list of them")
    ] = Format.PRETTY,
) -> None:
    """Print a least-privilege IAM policy.

    It allows exactly what a person in this role needs for this spec: print it again when the spec
    changes. A policy that exceeds the size of an IAM managed policy is printed as several
    documents; attach them all.
    """
    from mngen.errors import InputError
    from mngen.policy import (
        Part,
        account_of,
        characters,
        documents,
        finish_documents,
        import_documents,
    )

    prefix = "mngen"
    if finish and (role is not RoleName.IMPORTER or region or account):
        raise typer.BadParameter(
            "--finish is only for the importer, without --account and --region"
        )
    if finish:
        from mngen.adoption import read_record

        found = finish_documents([each.arn for each in read_record(file).environments])
    elif role is RoleName.IMPORTER:
        from mngen._aws import region_of

        found = import_documents(region_of(region), account)
    else:
        from mngen.rules import open_cluster

        if region:
            raise typer.BadParameter("--region is only for the importer")
        cluster = open_cluster(file, warn=report_problem)
        prefix = cluster.spec.name
        found = documents(Part(role.value), cluster, account_of(cluster, account))
    numbered = list(enumerate(found, 1))
    if document is not None:
        if document > len(found):
            raise InputError(
                f"--document must be between 1 and {len(found)}",
                hint=f"mngen policy {role.value} prints all documents",
            )
        numbered = numbered[document - 1 : document]
    if output_format is Format.JSON:
        print_json([each for _, each in numbered])
        return
    for number, each in numbered:
        name = f"{prefix}-{role.value}"
        if len(found) > 1:
            name += f"-{number}"
            report(f"{name}: document {number} of {len(found)}, {characters(each)} characters")
        else:
            report(f"{name}: {characters(each)} characters")
        print_json(each)
