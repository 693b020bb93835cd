"""`mngen output`: the Terraform outputs of the deployment."""

import json
from typing import Annotated

import typer

from mngen.cli._console import print_json, report
from mngen.cli._options import DEFAULT_OUT, Format, FormatOption, OutOption, SandboxOption
from mngen.cli._session import opened_terraform
from mngen.errors import InputError, did_you_mean


def output(
    name: Annotated[str | None, typer.Argument(help="Only this output, as plain text")] = None,
    out: OutOption = DEFAULT_OUT,
    sandbox: SandboxOption = False,
    output_format: FormatOption = Format.PRETTY,
) -> None:
    """Show the outputs of the deployment.

    These are IDs, names and addresses. Secrets are shown by `--format json` only.
    """
    with opened_terraform(out, sandbox=sandbox) as terraform:
        outputs = terraform.read_outputs()
    if name is not None and name not in outputs:
        raise InputError(
            f'unknown output "{name}"',
            hint=did_you_mean(name, outputs)
            or ("run mngen output to list them" if outputs else "run mngen apply first"),
        )
    if output_format is Format.JSON:
        values = {key: item.value for key, item in outputs.items()}
        print_json(values if name is None else values[name])
    elif name is not None:
        if outputs[name].sensitive:
            raise InputError(f'output "{name}" is a secret', hint="--format json prints it")
        typer.echo(_text(outputs[name].value))
    elif outputs:
        for key, item in outputs.items():
            typer.echo(f"{key} = {'(sensitive)' if item.sensitive else _text(item.value)}")
    else:
        report("No outputs yet: run mngen apply")


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, indent=2)
