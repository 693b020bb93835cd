"""`mngen rehearse`: a multi-node job on this machine, before it costs anything."""

import shutil
import sys
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mngen._text import counted
from mngen.cli._console import print_json, report, wants_colour
from mngen.cli._options import DEFAULT_FILE, FileOption, Format, parse_pair
from mngen.cli._quick import QuickCommand
from mngen.cli._session import cluster_of

if TYPE_CHECKING:
    from mngen.rehearsal import Engine, Fault, Line, Outcome, Rehearsal

_COMMAND = "mngen.rehearse.command"
# No red, which is for errors, and nothing that is unreadable on either background.
_COLOURS = ("36", "33", "32", "35", "34", "96", "93", "92", "95", "94")


class EngineName(StrEnum):
    """What runs the nodes."""

    NETNS = "netns"
    DOCKER = "docker"
    PODMAN = "podman"


class CommandClass(QuickCommand):
    """Keeps what follows `--` apart, which would otherwise be taken for the job's name."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Takes the job's command off the arguments."""
        if "--" in args:
            position = args.index("--")
            ctx.meta[_COMMAND] = tuple(args[position + 1 :])
            args = args[:position]
        return super().parse_args(ctx, args)


def rehearse(
    context: typer.Context,
    job: Annotated[
        str | None,
        typer.Argument(
            metavar="[JOB] [-- COMMAND ...]",
            help="Job of the spec (default: its only one) and a command to run instead; a "
            "command without a job needs no spec",
            show_default=False,
        ),
    ] = None,
    *,
    file: FileOption = DEFAULT_FILE,
    nodes: Annotated[
        int | None, typer.Option(min=1, max=1000, help="Number of nodes; default: the job's")
    ] = None,
    ranks_per_node: Annotated[
        int, typer.Option(min=1, max=1024, help="MPI ranks of each node")
    ] = 1,
    engine: Annotated[
        EngineName,
        typer.Option(help="Nodes as network namespaces (needs root) or as containers"),
    ] = EngineName.NETNS,
    image: Annotated[
        str | None, typer.Option(help="Container image for docker and podman; default: the job's")
    ] = None,
    shared: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder in place of EFS; default: in memory, with mpi_example.py",
        ),
    ] = None,
    fsx: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder in place of FSx for Lustre; default: in memory"),
    ] = None,
    mount: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST=DIR",
            help="Folder in place of a host path in `mounts`; default: an empty one",
        ),
    ] = None,
    env: Annotated[
        list[str] | None,
        typer.Option("--env", metavar="K=V", help="Environment variable; repeatable"),
    ] = None,
    env_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Lines of K=V, such as secrets; their values are not printed"
        ),
    ] = None,
    kill: Annotated[
        list[str] | None,
        typer.Option(metavar="N@TIME", help="Kill node N at that time: 2@5s or 2@running"),
    ] = None,
    cut: Annotated[
        list[str] | None, typer.Option(metavar="N@TIME", help="Disconnect node N from the network")
    ] = None,
    freeze: Annotated[
        list[str] | None, typer.Option(metavar="N@TIME", help="Suspend all processes of node N")
    ] = None,
    slow: Annotated[
        list[str] | None, typer.Option(metavar="N@TIME", help="Start node N later")
    ] = None,
    missing: Annotated[
        list[str] | None, typer.Option(metavar="N", help="Do not start node N")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(min=0.1, help="Timeout in seconds; default: the job's")
    ] = None,
    svg: Annotated[
        Path | None, typer.Option(metavar="FILE", help="SVG file for the timeline")
    ] = None,
    output_format: Annotated[
        Format, typer.Option("--format", help="Output format; with json, logs go to standard error")
    ] = Format.PRETTY,
) -> None:
    """Run a multi-node job on this machine.

    The nodes start with the real wire-up, the variables of AWS Batch and, if you ask, faults. Exits
    with 0 if the job succeeded and with 1 if it failed. Ctrl-C cancels the job as AWS Batch does,
    and exits with 130.
    """
    from mngen import rehearsal
    from mngen.cli._log import shown_by

    planned = _planned(job, context.meta.get(_COMMAND, ()), file)
    faults = _faults(
        {
            rehearsal.FaultKind.MISSING: missing,
            rehearsal.FaultKind.KILL: kill,
            rehearsal.FaultKind.CUT: cut,
            rehearsal.FaultKind.FREEZE: freeze,
            rehearsal.FaultKind.SLOW: slow,
        },
        nodes or planned.nodes,
    )
    given = {**(_from_file(env_file) if env_file else {}), **_variables(env or [])}
    planned = replace(
        planned,
        nodes=nodes or planned.nodes,
        ranks_per_node=ranks_per_node,
        environment={**planned.environment, **given},
        groups=tuple(
            replace(
                group,
                environment={**group.environment, **given},
                image=None if image else group.image,
            )
            for group in planned.groups
        ),
        image=image or planned.image,
        faults=faults,
        timeout=timeout or planned.timeout,
        folders=_folders(mount or [], planned),
    )
    if svg is not None:
        _require_folder(svg)
    started_by = _engine(engine, planned)
    report(_introduction(planned, engine))
    with shown_by(lambda text: report(f"mngen: {text}")):
        outcome = rehearsal.rehearse(
            planned,
            started_by,
            on_line=_Printer(err=output_format is Format.JSON).show,
            shared=shared,
            lustre=fsx,
        )
    _show(planned, outcome, output_format, svg)
    if outcome.stopped == "interrupt":
        raise typer.Exit(130)
    if not outcome.succeeded:
        raise typer.Exit(1)


def _planned(job: str | None, command: tuple[str, ...], file: Path) -> "Rehearsal":
    """Reads the job from the spec; a command alone takes from it only what there is."""
    from mngen.rehearsal import Rehearsal, rehearsal_of

    if job is None and command and not file.exists():
        return Rehearsal(name=command[0], command=command)
    cluster = cluster_of(file)
    if job is None and command:
        storage = cluster.spec.storage
        return Rehearsal(
            name=command[0],
            command=command,
            mount=storage.efs.mount,
            lustre_mount=storage.fsx_mount,
        )
    planned = rehearsal_of(cluster, job)
    if command and planned.groups:
        from mngen.errors import InputError

        raise InputError(
            f"a command would replace that of every node group of `{planned.name}`",
            hint="rehearse it without the job's name, or the job without it",
        )
    return replace(planned, command=command) if command else planned


def _faults(asked: dict[Any, list[str] | None], nodes: int) -> "tuple[Fault, ...]":
    from mngen.rehearsal import check_faults, parse_fault

    faults: list[Fault] = []
    for kind, texts in asked.items():
        for text in texts or ():
            try:
                fault = parse_fault(kind, text)
                check_faults((*faults, fault), nodes)
            except ValueError as error:
                raise typer.BadParameter(str(error), param_hint=f"--{kind}") from None
            faults.append(fault)
    return tuple(faults)


def _variables(texts: list[str]) -> dict[str, str]:
    variables = {}
    for text in texts:
        name, value = parse_pair(text, "--env")
        if not name.isidentifier() or not name.isascii():
            raise typer.BadParameter(f'"{name}" is not a valid variable name', param_hint="--env")
        variables[name] = value
    return variables


def _from_file(file: Path) -> dict[str, str]:
    """Reads variables as `docker run --env-file` does: empty lines and comments are left out."""
    from mngen.errors import InputError

    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise InputError(f"cannot read {file}: {said}") from None
    variables = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals or not name.isidentifier() or not name.isascii():
            # The line may be a part of a secret.
            raise InputError(
                f"{file}, line {number}: expected NAME=VALUE", hint="start a comment with #"
            )
        variables[name] = value
    return variables


def _folders(texts: list[str], planned: "Rehearsal") -> dict[str, Path]:
    known = [each.host for each in planned.mounts]
    folders = {}
    for text in texts:
        host, folder = parse_pair(text, "--mount")
        if host not in known:
            names = ", ".join(known) or "nothing"
            raise typer.BadParameter(
                f"the job does not mount {host}: it mounts {names}", param_hint="--mount"
            )
        if not Path(folder).exists():
            raise typer.BadParameter(f"no such file or folder: {folder}", param_hint="--mount")
        folders[host] = Path(folder)
    return folders


def _require_folder(svg: Path) -> None:
    """Refuses a file that could not be written after the job."""
    from mngen.errors import InputError

    if svg.is_dir():
        raise InputError(f"cannot write {svg}: it is a folder")
    if not svg.parent.is_dir():
        raise InputError(f"cannot write {svg}: folder {svg.parent} does not exist")


def _engine(name: EngineName, planned: "Rehearsal") -> "Engine":
    from mngen.rehearsal import ContainerEngine, NetworkNamespaces

    if name is EngineName.NETNS:
        return NetworkNamespaces()
    if planned.image is None:
        raise typer.BadParameter(
            f"required for a command without a job and --engine {name.value}", param_hint="--image"
        )
    return ContainerEngine(name.value, planned.image)


def _introduction(planned: "Rehearsal", engine: EngineName) -> str:
    kind = "network namespaces" if engine is EngineName.NETNS else f"containers of {planned.image}"
    size = _size(planned.nodes, planned.ranks_per_node or 1)
    text = f"mngen: rehearsing {planned.name} with {kind}: {size}"
    if planned.real_nodes is not None and planned.real_ranks_per_node is not None:
        real = _size(planned.real_nodes, planned.real_ranks_per_node)
        text += f" (on AWS: {real})" if real != size else ""
    return "\n".join([text, *(f"mngen: {fault}" for fault in planned.faults)])


def _size(nodes: int, ranks: int) -> str:
    return f"{counted(nodes, 'node')}, {counted(ranks, 'rank')} each"


class _Printer:
    """Shows each node's lines in its own colour."""

    def __init__(self, *, err: bool) -> None:
        self._stream = sys.stderr if err else sys.stdout
        self._colour = wants_colour(self._stream)

    def show(self, line: "Line") -> None:
        """Shows a line."""
        label = f"[{line.node}]"
        if self._colour:
            label = f"\x1b[{_COLOURS[line.node % len(_COLOURS)]}m{label}\x1b[0m"
        self._stream.write(f"{label} {line.text}\n")
        self._stream.flush()


def _show(
    planned: "Rehearsal", outcome: "Outcome", output_format: Format, svg: Path | None
) -> None:
    from mngen.timeline import to_svg, to_text

    if svg is not None:
        from mngen.errors import ToolError

        try:
            svg.write_text(to_svg(outcome.timeline), "utf-8")
        except OSError as error:
            raise ToolError(f"cannot write {svg}: {error.strerror}") from None
    if output_format is Format.JSON:
        print_json(_as_data(planned, outcome, svg))
        return
    encoding = (sys.stdout.encoding or "ascii").lower().replace("-", "")
    typer.echo("")
    typer.echo(
        to_text(
            outcome.timeline,
            shutil.get_terminal_size((100, 24)).columns,
            colour=wants_colour(sys.stdout),
            ascii_only=not encoding.startswith("utf"),
        )
    )
    if svg is not None:
        typer.echo(f"timeline: {svg}")
    typer.echo(_verdict(outcome))


def _verdict(outcome: "Outcome") -> str:
    code = "no exit code" if outcome.exit_code is None else f"exit code {outcome.exit_code}"
    if outcome.succeeded:
        spent = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in outcome.phases.items())
        return f"the job succeeded: {code}" + (f" ({spent})" if spent else "")
    words = {"interrupt": "the job was cancelled", "timeout": "the job timed out"}
    text = words.get(outcome.stopped or "", "the job failed")
    return f"{text}: {code}" + (f", {outcome.reason}" if outcome.reason else "")


def _as_data(planned: "Rehearsal", outcome: "Outcome", svg: Path | None) -> dict[str, Any]:
    return {
        "job": planned.name,
        "nodes": planned.nodes,
        "ranks_per_node": planned.ranks_per_node,
        "succeeded": outcome.succeeded,
        "exit_code": outcome.exit_code,
        "exit_codes": {str(index): code for index, code in outcome.exit_codes.items()},
        "stopped": outcome.stopped,
        "reason": outcome.reason or None,
        "seconds": round(outcome.timeline.seconds, 3),
        "phases": dict(outcome.phases),
        "svg": None if svg is None else str(svg),
    }
