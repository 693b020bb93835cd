"""`mngen graph`: the deployment as a picture."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mngen.cli._console import report, report_problem, require_suffix, write_picture
from mngen.cli._options import DEFAULT_FILE, FileOption


class GraphFormat(StrEnum):
    """Formats of a picture."""

    MERMAID = "mermaid"
    SVG = "svg"


_SUFFIXES = {GraphFormat.MERMAID: ".mmd", GraphFormat.SVG: ".svg"}


def graph(
    file: FileOption = DEFAULT_FILE,
    picture: Annotated[
        Path | None, typer.Option("--picture", help="File for the picture; default: print it")
    ] = None,
    output_format: Annotated[
        GraphFormat, typer.Option("--format", help="Format of the picture")
    ] = GraphFormat.MERMAID,
) -> None:
    """Draw the deployment as a diagram.

    Jobs, queues, compute environments and AMIs, and the storage, network, roles and messages
    around them, from the spec alone. GitHub and GitLab draw mermaid in Markdown. What is too large
    for them is folded: the jobs of a queue into one box, or all of a kind. An SVG shows all.
    """
    from mngen.graph import graph_of, mermaid_texts, to_svg
    from mngen.rules import open_cluster

    if picture is not None:
        suffix = _SUFFIXES[output_format]
        require_suffix(picture, suffix, f"--picture takes a {suffix} file")
    drawn = graph_of(open_cluster(file, warn=report_problem))
    text = to_svg(drawn) if output_format is GraphFormat.SVG else next(mermaid_texts(drawn))
    if picture is None:
        typer.echo(text, nl=False)
    else:
        write_picture(picture, text)
        report(f"graph: {picture}")
