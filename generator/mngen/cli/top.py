"""`mngen top`: the queues, instances and jobs of the deployment, live."""

import os
import shutil
import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from mngen.cli._console import console, has_terminal, print_json
from mngen.cli._options import DEFAULT_FILE, FileOption, Format, FormatOption, SandboxOption
from mngen.cli._session import opened_jobs

if TYPE_CHECKING:
    from mngen.jobs import Watcher

# As for tables, for a program that reads a pipe.
_PIPE_WIDTH = 250


def top(
    every: Annotated[
        int, typer.Option("--every", min=1, max=3600, metavar="SECONDS", help="Time between rounds")
    ] = 5,
    once: Annotated[bool, typer.Option("--once", help="Print one page and exit")] = False,
    file: FileOption = DEFAULT_FILE,
    sandbox: SandboxOption = False,
    output_format: FormatOption = Format.PRETTY,
) -> None:
    """Watch queues, instances and jobs live.

    Press q to quit. Shows the jobs of each queue by state and how long ago the oldest RUNNABLE one
    was submitted, the instances of each compute environment that run, that AWS Batch wants, and
    that it may have, and all jobs that have not finished, with what is left of their timeout. A
    round takes at most 12 calls. If AWS does not answer, the last page stays, and rounds become
    rarer.

    Without a terminal, and with `--format json`, it prints one page, like --once.
    """
    with opened_jobs(file, sandbox=sandbox) as opened:
        terminal = sys.stdout.isatty() and has_terminal() and os.environ.get("TERM") != "dumb"
        if terminal and not once and output_format is not Format.JSON:
            from mngen.cli._top_live import live

            live(opened.watcher(), float(every))
        else:
            _print(opened.watcher(repeat=True), output_format)


def _print(watcher: "Watcher", output_format: Format) -> None:
    from rich.text import Text

    from mngen.cli._top_page import page

    overview = watcher.look()
    while not overview.complete:
        overview = watcher.look()
    if output_format is Format.JSON:
        print_json(overview)
        return
    width = shutil.get_terminal_size((_PIPE_WIDTH, 24)).columns
    shown = Text("\n").join(page(overview, width=width, now=time.time()))
    console().print(shown, no_wrap=True, overflow="ignore", crop=False)
