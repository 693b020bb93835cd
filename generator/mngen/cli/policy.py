"""`mngen policy`: the IAM policy that a person needs for their part in the deployment."""

import json
import sys
from enum import StrEnum
from typing import Annotated

import typer

from mngen.cli._shared import DEFAULT_FILE, FileOption, wants_colour
from mngen.cli._terraform import Format, report


class PartName(StrEnum):
    """The parts that people have in a deployment."""

    DEPLOYER = "deployer"
    BAKER = "baker"
    SUBMITTER = "submitter"


def policy(
    part: Annotated[
        PartName,
        typer.Argument(
            help="deployer: applies the rendered Terraform. baker: makes machine and container "
            "images. submitter: runs jobs."
        ),
    ],
    file: FileOption = DEFAULT_FILE,
    account: Annotated[
        str | None,
        typer.Option(metavar="ID", help="The AWS account; the spec's `account` by default."),
    ] = None,
    document: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Print the Nth document alone, where it takes several."
        ),
    ] = None,
    output: Annotated[
        Format, typer.Option(help="pretty: to paste, one after the other. json: one list of all.")
    ] = Format.PRETTY,
) -> None:
    """Print the least-privilege IAM policy for a part in this deployment.

    It allows what this spec needs and no more, so print it again when the spec changes. What IAM
    does not take in one managed policy is printed as several, all of which are to be attached.
    """
    from mngen.catalog import load_catalog
    from mngen.errors import InputError, Problem, format_problem
    from mngen.policy import Part, account_of, characters, documents
    from mngen.rules import require
    from mngen.spec import load

    def warn(problem: Problem) -> None:
        report(format_problem(problem, colour=wants_colour(sys.stderr)) + "\n")

    cluster = require(load(file), load_catalog(file), warn=warn)
    found = documents(Part(part.value), cluster, account_of(cluster, account))
    numbered = list(enumerate(found, 1))
    if document is not None:
        if document > len(found):
            raise InputError(
                f"there is no document {document}: the policy takes {len(found)}",
                hint=f"`mngen policy {part.value}` prints them all",
            )
        numbered = numbered[document - 1 : document]
    if output is Format.JSON:
        typer.echo(json.dumps([each for _, each in numbered], indent=2))
        return
    for number, each in numbered:
        name = f"{cluster.spec.name}-{part.value}"
        if len(found) > 1:
            name += f"-{number}"
            report(f"{name}: document {number} of {len(found)}, {characters(each)} characters")
        else:
            report(f"{name}: {characters(each)} characters")
        typer.echo(json.dumps(each, indent=2))
