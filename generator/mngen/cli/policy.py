"""`mngen policy`: the IAM policy that a person needs for their part in the deployment."""

import json
import sys
from enum import StrEnum
from typing import Annotated

import typer

from mngen.cli._shared import DEFAULT_FILE, FileOption, wants_colour
from mngen.cli._terraform import Format, report


class RoleName(StrEnum):
    """The roles that people have in a deployment."""

    DEPLOYER = "deployer"
    BAKER = "baker"
    SUBMITTER = "submitter"


def policy(
    role: Annotated[
        RoleName,
        typer.Argument(
            help="deployer: applies Terraform; baker: bakes AMIs and pushes container images; "
            "submitter: runs jobs"
        ),
    ],
    file: FileOption = DEFAULT_FILE,
    account: Annotated[
        str | None,
        typer.Option(metavar="ID", help="AWS account; default: the spec's `account`"),
    ] = None,
    document: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Only the Nth of several documents"),
    ] = None,
    output_format: Annotated[
        Format, typer.Option("--format", help="pretty: documents to paste; json: a list of them")
    ] = Format.PRETTY,
) -> None:
    """Print a least-privilege IAM policy.

    It allows what a person in this role needs for this spec and no more, so print it again when the
    spec changes. A policy that exceeds the size of an IAM managed policy is printed as several
    documents; attach them all.
    """
    from mngen.errors import InputError, Problem, format_problem
    from mngen.policy import Part, account_of, characters, documents
    from mngen.rules import open_cluster

    def warn(problem: Problem) -> None:
        report(format_problem(problem, colour=wants_colour(sys.stderr)) + "\n")

    cluster = open_cluster(file, warn=warn)
    found = documents(Part(role.value), cluster, account_of(cluster, account))
    numbered = list(enumerate(found, 1))
    if document is not None:
        if document > len(found):
            raise InputError(
                f"there is no document {document}: the policy takes {len(found)}",
                hint=f"`mngen policy {role.value}` prints them all",
            )
        numbered = numbered[document - 1 : document]
    if output_format is Format.JSON:
        typer.echo(json.dumps([each for _, each in numbered], indent=2))
        return
    for number, each in numbered:
        name = f"{cluster.spec.name}-{role.value}"
        if len(found) > 1:
            name += f"-{number}"
            report(f"{name}: document {number} of {len(found)}, {characters(each)} characters")
        else:
            report(f"{name}: {characters(each)} characters")
        typer.echo(json.dumps(each, indent=2))
