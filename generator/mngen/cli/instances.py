"""`mngen instances`: what is known of EC2's instance types, and the refresh of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mngen.cli._shared import DEFAULT_FILE, FileOption
from mngen.cli._terraform import SandboxOption, report

if TYPE_CHECKING:
    from mngen.catalog import Catalog, InstanceType

_MIB_PER_GIB = 1024
_NAMES_SHOWN = 10
_TABLE_WIDTH = 100


class Output(StrEnum):
    """How the types are shown."""

    PRETTY = "pretty"
    JSON = "json"
    NAMES = "names"


class Arch(StrEnum):
    """The processor architectures that Batch runs containers on."""

    X86_64 = "x86_64"
    ARM64 = "arm64"


def instances(
    pattern: Annotated[str, typer.Argument(help="Type, family, or pattern such as 'r5*'")] = "*",
    min_cores: Annotated[
        int | None, typer.Option(min=1, help="Minimum number of physical cores")
    ] = None,
    max_cores: Annotated[
        int | None, typer.Option(min=1, help="Maximum number of physical cores")
    ] = None,
    min_memory: Annotated[
        int | None, typer.Option(min=1, metavar="GIB", help="Minimum memory in GiB")
    ] = None,
    efa: Annotated[
        bool | None, typer.Option("--efa/--no-efa", help="Only types with, or without, EFA")
    ] = None,
    arch: Annotated[Arch | None, typer.Option(help="Processor architecture")] = None,
    output_format: Annotated[
        Output, typer.Option("--format", help="Output format")
    ] = Output.PRETTY,
    file: FileOption = DEFAULT_FILE,
    refresh: Annotated[
        bool,
        typer.Option("--refresh", help="Read all types from EC2 and write the catalog file"),
    ] = False,
    region: Annotated[
        str | None,
        typer.Option(help="With --refresh: AWS region to read; default: the configured one"),
    ] = None,
    write: Annotated[
        Path | None,
        typer.Option(
            help="With --refresh: file to write; default: mngen-catalog.json beside the spec"
        ),
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="With --refresh: source to record in the file")
    ] = None,
    memory: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="With --refresh: manually_fetched_data.json of ec2instances.info",
        ),
    ] = None,
    sandbox: SandboxOption = False,
) -> None:
    """Show EC2 instance types and their cores.

    `nr_cpus` is the CPU limit that mngen bakes to turn hyper-threading off, `threads` counts
    threads per core, EFA the adapters, and `cluster` says whether the type can join a cluster
    placement group. `--format json` prints everything that is known.

    The data comes with mngen, or from mngen-catalog.json beside the spec. `--refresh` writes that
    file from EC2; commit it with the spec, so that everyone renders from the same data. The memory
    that Linux has on each type was measured by ec2instances.info: `--memory` reads a newer copy.
    """
    from mngen.catalog import load_catalog
    from mngen.errors import InputError

    if refresh:
        from mngen.catalog import catalog_path

        with _aws(region, sandbox=sandbox):
            _refresh(write or catalog_path(file), region, source, memory)
        return
    for name, value in (
        ("--region", region),
        ("--write", write),
        ("--source", source),
        ("--memory", memory),
    ):
        if value is not None:
            raise typer.BadParameter("only with --refresh", param_hint=name)
    catalog = load_catalog(file)
    found = catalog.match(
        pattern,
        min_cores=min_cores,
        max_cores=max_cores,
        min_memory=None if min_memory is None else min_memory * _MIB_PER_GIB,
        efa=efa,
        architecture=None if arch is None else arch.value,
    )
    if not found:
        raise InputError(catalog.no_match(pattern))
    if output_format is Output.NAMES:
        typer.echo("\n".join(each.name for each in found))
    elif output_format is Output.JSON:
        typer.echo(_as_json(catalog, found))
    else:
        _show(catalog, found)


@contextmanager
def _aws(region: str | None, *, sandbox: bool) -> Iterator[None]:
    if not sandbox:
        yield
        return
    from mngen.sandbox import open_sandbox

    with open_sandbox(tell=report) as box, box.applied(region or "us-east-1"):
        yield


def _refresh(path: Path, region: str | None, source: str | None, memory: Path | None) -> None:
    from mngen.catalog import refresh_catalog

    done = refresh_catalog(path, region, source=source, memory=memory)
    for name, reason in done.left_out.items():
        report(f"warning: {name} is left out: {reason}")
    typer.echo(f"{done.path}: {done.total} instance types")
    for verb, names in (
        ("added", done.added),
        ("removed", done.removed),
        ("changed", done.changed),
    ):
        if names:
            shown = ", ".join(names[:_NAMES_SHOWN]) + (", …" if len(names) > _NAMES_SHOWN else "")
            typer.echo(f"  {verb} {len(names)}: {shown}")


def _as_json(catalog: "Catalog", found: list["InstanceType"]) -> str:
    import msgspec

    rows = [
        {**msgspec.structs.asdict(each), "efa": each.efa, "nr_cpus": each.nr_cpus} for each in found
    ]
    data = {
        "date": catalog.date,
        "source": catalog.source,
        "memory_source": catalog.memory_source,
        "instance_types": rows,
    }
    return msgspec.json.format(msgspec.json.encode(data)).decode()


def _show(catalog: "Catalog", found: list["InstanceType"]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    # A figure cut short would be a wrong figure: in a narrow terminal, lines wrap instead.
    console.width = max(console.width, _TABLE_WIDTH)
    table = Table(box=None, pad_edge=False)
    table.add_column("type", style="bold")
    for number in ("vCPUs", "cores", "threads", "nr_cpus", "mem GiB"):
        table.add_column(number, justify="right")
    for text in ("arch", "EFA", "cluster"):
        table.add_column(text)
    for each in found:
        table.add_row(
            each.name,
            str(each.vcpus),
            str(each.cores),
            str(each.threads_per_core),
            "no limit" if each.nr_cpus is None else str(each.nr_cpus),
            f"{each.memory / _MIB_PER_GIB:g}",
            each.architecture,
            str(each.max_efa_interfaces) if each.efa else "no",
            "yes" if each.cluster_placement else "no",
        )
    console.print(table)
    types = "type" if len(found) == 1 else "types"
    report(f"{len(found)} {types} ({catalog.source}, {catalog.date})")
