"""`mngen selftest`: a job that shows whether the deployment works."""

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mngen._text import replaced
from mngen.cli._console import (
    ask,
    console,
    print_json,
    report,
    report_problem,
    require_terminal,
)
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
from mngen.cli._session import opened_jobs
from mngen.errors import InputError

if TYPE_CHECKING:
    from mngen.selftest import Card, Wish

_STYLES = {"ok": "green", "warning": "yellow", "error": "red", "skipped": "dim"}


class FaultName(StrEnum):
    """Faults that can be injected into a rehearsed node; see `mngen.selftest.Fault`."""

    CPUS = "cpus"
    UNSHARED = "unshared"
    PINNING = "pinning"


def selftest(
    *,
    nodes: Annotated[
        int, typer.Option("--nodes", "-n", min=1, max=1000, help="Number of nodes")
    ] = 2,
    queue: Annotated[
        str | None, typer.Option("--queue", "-q", help="Job queue; default: the job's")
    ] = None,
    job: Annotated[
        str | None,
        typer.Option("--job", help="Job whose definition is used; default: a multi-node job"),
    ] = None,
    timeout: Annotated[
        int, typer.Option("--timeout", min=120, help="Timeout of the job in seconds")
    ] = 600,
    wait: Annotated[
        int, typer.Option("--wait", min=1, help="Seconds to wait for the nodes")
    ] = 1800,
    price: Annotated[
        float | None, typer.Option("--price", min=0, help="USD per instance and hour")
    ] = None,
    yes: YesOption = False,
    rehearse: Annotated[
        bool, typer.Option("--rehearse", help="Run on this machine instead; needs root")
    ] = False,
    fault: Annotated[
        list[FaultName] | None, typer.Option("--fault", help="Fault to inject into a rehearsal")
    ] = None,
    page: Annotated[
        Path | None, typer.Option("--report", metavar="FILE", help="HTML page to write")
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option("--keep", metavar="DIR", help="Folder for log.txt, card.json, report.html"),
    ] = None,
    out: OutOption = DEFAULT_OUT,
    file: FileOption = DEFAULT_FILE,
    sandbox: SandboxOption = False,
    output_format: FormatOption = Format.PRETTY,
) -> None:
    """Test the deployment with a job.

    The job checks CPUs, pinning, file system, AMI, limits and EFA on every node, and measures the
    network between them. The report card shows each check, with what to do about it if it fails.
    Before it submits anything, the command shows the maximum cost and asks.

    Exit codes: 0 passed, 1 a check failed, 3 AWS failed or the job did not start. Ctrl-C cancels
    the job.

    --rehearse runs the same program on this machine, with real MPI; --fault makes one node have
    one CPU less (cpus) or a separate folder (unshared), or binds all ranks to one CPU (pinning).
    """
    if fault and not rehearse:
        raise typer.BadParameter("only with --rehearse", param_hint="--fault")
    for path in (page, keep):
        if path is not None:
            _require_parent(path)
    if rehearse:
        card, lines = _rehearse(nodes, fault or [])
    else:
        from mngen.selftest import Wish

        wish = Wish(nodes=nodes, job=job, queue=queue, timeout=timeout)
        card, lines = _submit(wish, file, out, wait=wait, price=price, yes=yes, sandbox=sandbox)
    _show(card, output_format)
    _write(card, lines, page, keep)
    if not card.passed:
        raise typer.Exit(1)


def _rehearse(nodes: int, faults: list[FaultName]) -> "tuple[Card, list[str]]":
    from mngen.selftest import Fault, judge, run_here

    lines: list[str] = []
    report(f"rehearsing the self-test on this machine: {nodes} nodes")
    expected, run = run_here(
        nodes, tuple(Fault(each.value) for each in faults), on_line=lines.append
    )
    return judge(expected, run), lines


def _submit(
    wish: "Wish",
    file: Path,
    out: Path,
    *,
    wait: float,
    price: float | None,
    yes: bool,
    sandbox: bool,
) -> "tuple[Card, list[str]]":
    from mngen.cluster import AMIS_FILE, AmiFile
    from mngen.selftest import OnAws, choose, judge

    with opened_jobs(file, sandbox=sandbox) as jobs:
        choice = choose(jobs.cluster, wish)
        run = OnAws(jobs, choice, AmiFile(out / AMIS_FILE).read())
        prepared = run.prepare()
        prepared.require(report_problem)
        report(f"self-test with the definition of job {choice.job.name}, queue {choice.queue.name}")
        report(choice.bound(price))
        if not yes:
            require_terminal("the lines above show what the job costs at most")
            ask("Submit the job?")
        expected, ended = run.run(prepared, wait=wait)
    return judge(expected, ended), run.lines


def _show(card: "Card", output_format: Format) -> None:
    if output_format is Format.JSON:
        print_json(_as_shown(card))
        return
    from rich.markup import escape
    from rich.table import Table

    from mngen.selftest import share

    shown_on = console()
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column("state", no_wrap=True)
    table.add_column("check", no_wrap=True)
    table.add_column("seen", overflow="fold")
    for check in card.checks:
        style = _STYLES[check.state]
        seen = escape(replaced(check.seen))
        if check.remedy:
            seen += f"\n[bold]help:[/bold] {escape(replaced(check.remedy))}"
        title = check.title if check.state != "ok" else ""
        shown = f"{escape(title)}: {seen}" if title else seen
        table.add_row(f"[{style}]{check.state}[/{style}]", check.id, shown)
    shown_on.print(f"[bold]{escape(replaced(card.title))}[/bold]")
    shown_on.print(table)
    if card.figures:
        figures = Table(box=None, pad_edge=False, show_header=False)
        for _ in range(2):
            figures.add_column()
        figures.add_column(justify="right")
        figures.add_column(overflow="fold")
        for each in card.figures:
            promise = ""
            if each.promise:
                promise = f"{share(each)} of {each.promise:g} {each.unit} ({each.note})"
            figures.add_row("", each.name, f"{each.value:g} {each.unit}", promise)
        shown_on.print(figures)
    shown_on.print(_verdict(card))


def _verdict(card: "Card") -> str:
    from mngen.selftest import State

    errors, warnings = card.count(State.ERROR), card.count(State.WARNING)
    if errors:
        return f"[red]failed[/red]: {errors} of {len(card.checks)} checks"
    also = f", {warnings} with a warning" if warnings else ""
    return f"[green]passed[/green]: {len(card.checks)} checks{also}"


def _as_shown(card: "Card") -> dict[str, object]:
    from mngen.jobs import as_data

    return {"passed": card.passed, **as_data(card)}


def _require_parent(path: Path) -> None:
    """Refuses a path that could not be written after the job."""
    if not path.parent.is_dir():
        raise InputError(f"cannot write {path}: folder {path.parent} does not exist")


def _write(card: "Card", lines: list[str], page: Path | None, keep: Path | None) -> None:
    from mngen.selftest import to_page

    texts: dict[Path, str] = {}
    if page is not None:
        texts[page] = to_page(card)
    if keep is not None:
        texts[keep / "log.txt"] = "".join(f"{line}\n" for line in lines)
        texts[keep / "card.json"] = json.dumps(_as_shown(card), indent=2) + "\n"
        texts[keep / "report.html"] = to_page(card)
    try:
        if keep is not None:
            keep.mkdir(exist_ok=True)
        for path, text in texts.items():
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {error.filename}: {error.strerror}") from None
    for path in texts:
        report(f"wrote {path}")
