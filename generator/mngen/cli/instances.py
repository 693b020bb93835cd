"""`mngen instances`: EC2 instance types, and refreshing the catalog of them."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mngen._text import counted
from mngen.cli._console import console, print_json, report, table
from mngen.cli._options import DEFAULT_FILE, FileOption, SandboxOption
from mngen.cli._session import account_of

if TYPE_CHECKING:
    from mngen.catalog import Catalog, InstanceType

_MIB_PER_GIB = 1024
_NAMES_SHOWN = 10


class CatalogFormat(StrEnum):
    """Output formats of instance types."""

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
    gpus: Annotated[
        bool | None, typer.Option("--gpus/--no-gpus", help="Only types with, or without, GPUs")
    ] = None,
    disks: Annotated[
        bool | None,
        typer.Option("--disks/--no-disks", help="Only types with, or without, NVMe instance store"),
    ] = None,
    arch: Annotated[Arch | None, typer.Option(help="Processor architecture")] = None,
    output_format: Annotated[
        CatalogFormat, typer.Option("--format", help="Output format")
    ] = CatalogFormat.PRETTY,
    file: FileOption = DEFAULT_FILE,
    refresh: Annotated[
        bool,
        typer.Option("--refresh", help="Read all types and prices from AWS and write both files"),
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
    prices: Annotated[
        bool | None,
        typer.Option("--prices/--no-prices", help="With --refresh: also read prices (default)"),
    ] = None,
    sandbox: SandboxOption = False,
) -> None:
    """Show EC2 instance types and their cores.

    `nr_cpus` is the CPU limit that mngen bakes to turn hyper-threading off, `threads` counts
    threads per core, EFA the adapters, `cluster` whether the type can join a cluster placement
    group, GPUs the whole ones with their model and memory, and disks the instance store that
    `scratch` uses. `--format json` prints everything that is known.

    The data comes with mngen, or from mngen-catalog.json beside the spec. `--refresh` writes that
    file from EC2; commit it with the spec, so that everyone renders from the same data. The memory
    that Linux has on each type was measured by ec2instances.info: `--memory` reads a newer copy.

    `--refresh` also writes the prices of the region to mngen-prices.json beside it: an hour on
    demand with Linux, from AWS's price list. Other regions in that file stay as they are.
    """
    from mngen.catalog import load_catalog
    from mngen.errors import InputError

    if refresh:
        from mngen.catalog import catalog_path

        with account_of(region, sandbox=sandbox):
            path = write or catalog_path(file)
            names = _refresh(path, region, source, memory)
            if prices is not False:
                _refresh_prices(path, region, names)
        return
    for name, value in (
        ("--region", region),
        ("--write", write),
        ("--source", source),
        ("--memory", memory),
        ("--prices", prices),
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
        gpus=gpus,
        disks=disks,
        architecture=None if arch is None else arch.value,
    )
    if not found:
        raise InputError(catalog.no_match(pattern))
    if output_format is CatalogFormat.NAMES:
        typer.echo("\n".join(each.name for each in found))
    elif output_format is CatalogFormat.JSON:
        print_json(_as_data(catalog, found))
    else:
        _show(catalog, found)


def _refresh(
    path: Path, region: str | None, source: str | None, memory: Path | None
) -> tuple[str, ...]:
    """Writes the catalog file, and returns the names of its types."""
    from mngen.catalog import refresh_catalog

    done = refresh_catalog(path, region, source=source, memory=memory)
    for name, reason in done.left_out.items():
        report(f"warning: {name} is skipped: {reason}")
    typer.echo(f"{done.path}: {done.total} instance types")
    for verb, names in (
        ("added", done.added),
        ("removed", done.removed),
        ("changed", done.changed),
    ):
        if names:
            typer.echo(f"  {verb} {len(names)}: {_some(names)}")
    return done.names


def _refresh_prices(catalog: Path, region: str | None, names: tuple[str, ...]) -> None:
    """Writes the prices beside the catalog that was just written.

    Raises:
        ToolError: AWS could not be asked; the catalog was written all the same.
    """
    from dataclasses import replace

    from mngen.catalog import prices_path, refresh_prices
    from mngen.errors import ToolError

    try:
        done = refresh_prices(prices_path(catalog.parent), region, names=names)
    except ToolError as error:
        first = error.problems[0]
        message = f"the instance types were written, but no prices: {first.message}"
        hint = f"{first.hint or 'repeat the command'}; `--no-prices` leaves prices out"
        raise ToolError(replace(first, message=message, hint=hint)) from error
    if done is None:
        report("no prices were read: AWS has no price list for GovCloud regions")
        return
    typer.echo(f"{done.path}: {done.total} prices in {done.currency}, {done.region}")
    for verb, which in (("changed", done.changed), ("without a price", done.missing)):
        if which:
            typer.echo(f"  {verb} {len(which)}: {_some(which)}")


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:_NAMES_SHOWN]) + (", …" if len(names) > _NAMES_SHOWN else "")


def _as_data(catalog: "Catalog", found: list["InstanceType"]) -> dict[str, Any]:
    import msgspec

    rows = [
        {**msgspec.structs.asdict(each), "efa": each.efa, "nr_cpus": each.nr_cpus} for each in found
    ]
    return {
        "date": catalog.date,
        "source": catalog.source,
        "memory_source": catalog.memory_source,
        "instance_types": rows,
    }


def _show(catalog: "Catalog", found: list["InstanceType"]) -> None:
    numbers = ("vCPUs", "cores", "threads", "nr_cpus", "mem GiB")
    shown = table("type", *numbers, "arch", "EFA", "cluster", "GPUs", "disks", right=numbers)
    for each in found:
        shown.add_row(
            f"[bold]{each.name}[/bold]",
            str(each.vcpus),
            str(each.cores),
            str(each.threads_per_core),
            "no limit" if each.nr_cpus is None else str(each.nr_cpus),
            f"{each.memory / _MIB_PER_GIB:g}",
            each.architecture,
            str(each.max_efa_interfaces) if each.efa else "no",
            "yes" if each.cluster_placement else "no",
            _gpus(each),
            f"{each.scratch_disks} x {each.disk_size} GB" if each.scratch_disks else "no",
        )
    console().print(shown)
    report(f"{counted(len(found), 'type')} ({catalog.source}, {catalog.date})")


def _gpus(instance: "InstanceType") -> str:
    if not instance.gpu_name:
        return "no"
    memory = f"{instance.gpu_memory / _MIB_PER_GIB:.3g} GiB"
    if not instance.gpus:
        return f"part of {instance.gpu_name}, {memory}"
    return f"{instance.gpus} {instance.gpu_name}, {memory}"
