"""`mngen init`: a commented spec to start from."""

from pathlib import Path
from typing import Annotated

import typer

from mngen.cli._console import report
from mngen.cli._options import DEFAULT_FILE, FileOption


def init(
    file: FileOption = DEFAULT_FILE,
    name: Annotated[
        str | None, typer.Option(help="Name of the deployment; default: that of the folder")
    ] = None,
    region: Annotated[str, typer.Option(help="AWS region")] = "us-east-1",
) -> None:
    """Write a commented spec to start from.

    An existing file is never overwritten.
    """
    from mngen.spec import create, initial, name_from

    create(file, initial(name or name_from(Path.cwd().name), region))
    report(f"wrote {file}\nnext: read it, then mngen check --file {file}")
