"""`mngen check`: the spec against every rule, before it costs anything."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mngen.cli._console import print_json, wants_colour
from mngen.cli._options import DEFAULT_FILE, DEFAULT_OUT, FileOption, OutOption
from mngen.cli._session import account_of, sound_cluster, spot_of, stale_amis
from mngen.errors import InputError, Severity, format_problems

if TYPE_CHECKING:
    from mngen.cost import SpotPrice
    from mngen.rules import Report


class CheckFormat(StrEnum):
    """Output formats of problems."""

    PRETTY = "pretty"
    JSON = "json"
    SARIF = "sarif"


def check(
    file: FileOption = DEFAULT_FILE,
    level: Annotated[
        Severity, typer.Option("--level", help="Lowest severity to show")
    ] = Severity.INFO,
    skip: Annotated[
        list[str] | None, typer.Option("--skip", metavar="ID", help="Rule to skip; repeatable")
    ] = None,
    aws: Annotated[
        bool, typer.Option("--aws", help="Also check the AWS account; read-only")
    ] = False,
    sandbox: Annotated[bool, typer.Option("--sandbox", help="Use the emulated AWS")] = False,
    out: OutOption = DEFAULT_OUT,
    show: Annotated[
        bool, typer.Option("--show", help="Print the spec with all that it extends, unchecked")
    ] = False,
    output_format: Annotated[
        CheckFormat, typer.Option("--format", help="Output format")
    ] = CheckFormat.PRETTY,
) -> None:
    """Check the spec against every rule.

    A spec without errors is shown with what a job costs at most, and what is billed for while none
    runs.

    With --aws, rules that read the AWS account are checked too, and prices of Spot instances are
    shown. Exit codes: 1 if there is an error, 3 if there is none but AWS could not answer
    everything. `mngen rules ID` explains a rule.
    """
    if show:
        _show_spec(file)
        return
    from mngen.rules import at_level, check_file

    with account_of(_region(file) if sandbox else None, sandbox=sandbox):
        found = check_file(
            file,
            skip=frozenset(each.upper() for each in skip or ()),
            level=level,
            aws=aws or sandbox,
            out=out,
        )
    price = None
    spot: tuple[SpotPrice, ...] = ()
    unknown = ""
    if not found.count(Severity.ERROR):
        found = found.with_more(at_level(stale_amis(file, out), level))
        cluster = sound_cluster(file)
        if cluster is not None:
            from mngen.catalog import load_prices
            from mngen.cost import estimate

            prices = load_prices(file)
            price = estimate(cluster, prices)
            # Emulated instances have no market, and SARIF has no place for prices.
            if aws and not sandbox and output_format is not CheckFormat.SARIF:
                spot, unknown = spot_of(cluster, prices)
    if output_format is CheckFormat.JSON:
        shown = price.as_dict() if price else None
        print_json({**found.as_dict(), "price": shown, "spot": spot, "spot_unknown": unknown})
    else:
        lines = [*(price.lines() if price else ()), *(each.line() for each in spot)]
        _show(found, [*lines, *([f"spot: {unknown}"] if unknown else [])], output_format)
    if found.exit_code:
        raise typer.Exit(found.exit_code)


def _show_spec(file: Path) -> None:
    """Prints a spec as one file, in YAML that is loaded again as the same."""
    import yaml

    from mngen.spec import load

    loaded = load(file)
    data = loaded.document.data
    problems = loaded.document.problems if isinstance(data, dict) else loaded.problems
    if problems:
        raise InputError(*problems)
    typer.echo(yaml.safe_dump(data, allow_unicode=True, sort_keys=False), nl=False)


def _region(file: Path) -> str | None:
    from mngen.spec import load

    spec = load(file).spec
    return spec.region if spec else None


def _show(found: "Report", prices: list[str], output_format: CheckFormat) -> None:
    if output_format is CheckFormat.SARIF:
        from mngen.rules import to_sarif

        print_json(to_sarif(found.everything))
    else:
        if found.everything:
            typer.echo(format_problems(found.everything, colour=wants_colour(sys.stdout)) + "\n")
        typer.echo("\n".join([*prices, found.summary]))
