"""`mngen container`: the container image of the jobs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mngen.cli._console import console, print_json, report, table
from mngen.cli._options import (
    DEFAULT_FILE,
    DEFAULT_OUT,
    FileOption,
    Format,
    FormatOption,
    OutOption,
    SandboxOption,
    parse_pair,
    require_subcommand,
)
from mngen.cli._quick import QuickCommand, QuickGroup
from mngen.cli._session import cluster_of, opened_terraform

if TYPE_CHECKING:
    from mngen.cluster import DigestFile
    from mngen.container import RegistryImage
    from mngen.terraform import Terraform

container = typer.Typer(
    name="container", cls=QuickGroup, add_completion=False, rich_markup_mode=None
)

EngineOption = Annotated[
    str | None, typer.Option("--engine", help="docker, podman or buildah; default: the first found")
]
TagOption = Annotated[str | None, typer.Option("--tag", help="Image tag; default: the spec's")]
_MIB = 1024 * 1024


@container.callback(invoke_without_command=True)
def root(context: typer.Context) -> None:
    """Build, push and list container images."""
    require_subcommand(context)


@container.command(cls=QuickCommand)
def build(
    file: FileOption = DEFAULT_FILE,
    out: OutOption = DEFAULT_OUT,
    context: Annotated[
        Path | None,
        typer.Option(help="Folder with the Dockerfile; default: the rendered one"),
    ] = None,
    engine: EngineOption = None,
    tag: TagOption = None,
    build_arg: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Build argument; repeatable")
    ] = None,
    platform: Annotated[
        str | None, typer.Option(help="Such as linux/arm64; default: that of the instances")
    ] = None,
) -> None:
    """Build the container image.

    Builds for the processor architecture of the spec's instance types. If one of them uses an
    Elastic Fabric Adapter, the image contains its libraries.
    """
    from mngen.container import build_image, find_engine, plan_image

    arguments = dict(parse_pair(each, "--build-arg") for each in build_arg or [])
    planned = plan_image(cluster_of(file), tag=tag, target_platform=platform)
    reference = build_image(
        planned, context or out / "container", find_engine(engine), build_args=arguments
    )
    typer.echo(reference)
    report("next: mngen container push")


@container.command(cls=QuickCommand)
def push(
    file: FileOption = DEFAULT_FILE,
    out: OutOption = DEFAULT_OUT,
    engine: EngineOption = None,
    tag: TagOption = None,
    sandbox: SandboxOption = False,
) -> None:
    """Push the container image to ECR.

    Its digest is recorded in container.auto.tfvars.json; commit that file. After the next
    `mngen apply`, job definitions run exactly this image. In the sandbox the image is registered
    without its layers, and recorded for the sandbox only.
    """
    from mngen.container import find_engine, open_registry, plan_image, push_image

    cluster = cluster_of(file)
    # The platform does not matter here: what was built is pushed.
    planned = plan_image(cluster, tag=tag, target_platform="any")
    found = find_engine(engine)
    region = cluster.spec.region
    with opened_terraform(out, sandbox=sandbox, region=region) as terraform:
        registry = open_registry(terraform.outputs(), region)
        done = push_image(planned, registry, found, emulated=sandbox)
        if not done.new:
            report(f"{registry.url}:{done.tag} already exists")
        typer.echo(done.reference)
        record = _record(terraform, sandbox=sandbox)
        record.record(done.tag, done.digest)
        report(f"recorded in {record.path}")
    report(f"next: mngen apply --out {out}{' --sandbox' if sandbox else ''}")


@container.command(name="list", cls=QuickCommand)
def list_(
    file: FileOption = DEFAULT_FILE,
    out: OutOption = DEFAULT_OUT,
    sandbox: SandboxOption = False,
    output_format: FormatOption = Format.PRETTY,
) -> None:
    """List container images and their jobs."""
    from mngen import _aws
    from mngen.container import list_images, open_registry

    region = cluster_of(file).spec.region
    with opened_terraform(out, sandbox=sandbox, region=region) as terraform:
        outputs = terraform.outputs()
        named = outputs.get("job_definitions")
        images = list_images(
            open_registry(outputs, region),
            _aws.client("batch", region),
            job_definitions=named if isinstance(named, dict) else {},
            digests=_record(terraform, sandbox=sandbox).read(),
        )
    if output_format is Format.JSON:
        print_json(images)
    elif images:
        _show(images)
    else:
        report("No container images yet: run mngen container build, then mngen container push")


def _record(terraform: "Terraform", *, sandbox: bool) -> "DigestFile":
    from mngen.cluster import DIGESTS_FILE, DigestFile
    from mngen.terraform import SANDBOX_DIGESTS

    return DigestFile(terraform.folder / (SANDBOX_DIGESTS if sandbox else DIGESTS_FILE))


def _show(images: list["RegistryImage"]) -> None:
    shown = table("tags", "digest", "MiB", "pushed", "used by", right=("MiB",))
    for each in images:
        shown.add_row(
            ", ".join(each.tags) or "none",
            each.digest[:19],
            f"{each.size / _MIB:.0f}",
            f"{each.pushed:%Y-%m-%d %H:%M}" if each.pushed else "unknown",
            ", ".join(each.used_by) or "no job",
        )
    console().print(shown)
