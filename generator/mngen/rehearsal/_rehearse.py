"""Rehearsing a job: starting it, applying faults when they are due, and reporting its end."""

from __future__ import annotations

import logging
import re
import shutil
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from mngen import _resources
from mngen._signals import ENDINGS, Caught, take_signals
from mngen.errors import InputError
from mngen.rehearsal._faults import check_faults
from mngen.rehearsal._plan import EXAMPLE, absent_files, absent_on_lustre, nodes_request
from mngen.rehearsal._watch import RunningNodes, Watch
from mngen.timeline import NodeRecord, Stage, Timeline, build, clock_of, parse_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from mngen.rehearsal._nodes import Line
    from mngen.rehearsal._plan import Rehearsal
    from mngen.rehearsal._request import NodesRequest
    from mngen.timeline import WireUpLine

_LOG = logging.getLogger(__name__)
_PHASES = re.compile(r"(rendezvous|ssh|run|teardown) ([0-9]+\.[0-9]+)s")


class Engine(Protocol):
    """What can start nodes."""

    in_image: bool

    def check(self, request: NodesRequest) -> None:
        """Checks that it can start nodes that do their work; raises ToolError if not."""

    def start(
        self, request: NodesRequest, on_line: Callable[[Line], None]
    ) -> AbstractContextManager[RunningNodes]:
        """Starts nodes; stops what is left of them after the block."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a rehearsal ended.

    Attributes:
        exit_code: That of the main node, which AWS Batch judges the job by; None if it had none.
        exit_codes: Those of all nodes that came, by index; 128 + N where signal N killed a node.
        reason: The main node's reason for a failure, or what stopped the rehearsal.
        stopped: `timeout`, `interrupt`, or None if the job ended on its own.
        phases: Seconds of the main node's phases, by name.
        timeline: What each node did when.
    """

    exit_code: int | None
    exit_codes: Mapping[int, int]
    reason: str
    stopped: str | None
    phases: Mapping[str, float]
    timeline: Timeline

    @property
    def succeeded(self) -> bool:
        """Whether the job ended on its own, with exit code 0."""
        return self.exit_code == 0 and self.stopped is None


def rehearse(
    rehearsal: Rehearsal,
    engine: Engine,
    *,
    on_line: Callable[[Line], None],
    shared: Path | None = None,
    lustre: Path | None = None,
) -> Outcome:
    """Rehearses a job to its end.

    SIGINT, SIGTERM and SIGHUP cancel it as AWS Batch does: SIGTERM to every node, SIGKILL 30 s
    later. A second one kills the nodes at once. Outside the main thread no signal is caught. What
    happens to the nodes is logged.

    Args:
        rehearsal: The job.
        engine: What starts its nodes.
        on_line: Called with each line that a node writes, from another thread.
        shared: The folder that stands for the EFS. By default a new one that holds the example
            program, and is deleted afterwards.
        lustre: The folder that stands for FSx for Lustre. By default a new one.

    Raises:
        InputError: The faults are invalid, or a folder does not exist.
        ToolError: The nodes cannot be started, or were lost.
    """
    try:
        check_faults(rehearsal.faults, rehearsal.nodes)
    except ValueError as error:
        raise InputError(str(error)) from None
    log = _Log(on_line)
    with ExitStack() as stack:
        for given in (shared, lustre):
            if given is not None and not given.is_dir():
                raise InputError(f"no such folder: {given}")
        if lustre is not None and rehearsal.lustre_mount is None:
            raise InputError(
                "a folder in place of FSx for Lustre, but the spec has no `storage.fsx`"
            )
        for name in rehearsal.secrets:
            if name not in rehearsal.environment:
                _LOG.warning("warning: the secret %s is not set: see --env-file", name)
        for word in absent_files(rehearsal, shared):
            place = shared or "the shared folder, see --shared"
            _LOG.warning("warning: %s is not in %s", word, place)
        for word in absent_on_lustre(rehearsal, lustre):
            place = lustre or "the folder in place of FSx for Lustre, see --fsx"
            _LOG.warning("warning: %s is not in %s", word, place)
        # Containers share no memory.
        if shared is None and engine.in_image:
            shared = stack.enter_context(_folder(_resources.container() / EXAMPLE))
        if lustre is None and engine.in_image and rehearsal.lustre_mount is not None:
            lustre = stack.enter_context(_folder())
        request = nodes_request(
            rehearsal,
            None if shared is None else shared.absolute(),
            in_image=engine.in_image,
            lustre=None if lustre is None else lustre.absolute(),
        )
        engine.check(request)
        caught = Caught()
        stack.enter_context(take_signals(caught, ENDINGS))
        nodes = stack.enter_context(engine.start(request, log.take))
        watch = Watch(rehearsal, request, nodes, caught, log.has_reached)
        watch.until_the_end()
    return _outcome(rehearsal, request, nodes, log, watch)


@dataclass(slots=True)
class _Log:
    """Hands lines on, and keeps those of the wire-up."""

    on_line: Callable[[Line], None]
    lines: list[tuple[float, WireUpLine]] = field(default_factory=list)
    _stages: set[tuple[int, Stage]] = field(default_factory=set)

    def take(self, line: Line) -> None:
        found = parse_line(line.text)
        # Any program may write such a line, but only of itself.
        if found is not None and found.node == line.node:
            self.lines.append((line.seconds, found))
            self._stages.add((line.node, found.stage))
        self.on_line(line)

    def has_reached(self, node: int, stage: Stage) -> bool:
        """Whether a node has logged a stage."""
        return (node, stage) in self._stages


@contextmanager
def _folder(*files: Path) -> Iterator[Path]:
    """Makes a folder with copies of files, for as long as it is needed."""
    with tempfile.TemporaryDirectory(prefix="mngen-rehearsal-") as name:
        folder = Path(name)
        # The ranks may be another user.
        folder.chmod(0o1777)
        for file in files:
            shutil.copyfile(file, folder / file.name)
        yield folder


def _outcome(
    rehearsal: Rehearsal,
    request: NodesRequest,
    nodes: RunningNodes,
    log: _Log,
    watch: Watch,
) -> Outcome:
    records = []
    for index in range(rehearsal.nodes):
        lines = [(received, line) for received, line in log.lines if line.node == index]
        records.append(
            NodeRecord(
                index=index,
                start=None if index in request.missing else request.late.get(index, 0.0),
                clock=clock_of(lines),
                lines=[line for _, line in lines],
                end=nodes.end_times.get(index),
                exit_code=nodes.exit_codes.get(index),
                marks=[mark for node, mark in watch.marks if node == index],
            )
        )
    main = [line for _, line in log.lines if line.node == request.main]
    last = next((line.text for line in reversed(main) if line.stage is Stage.END), "")
    return Outcome(
        exit_code=nodes.exit_codes.get(request.main),
        exit_codes=dict(sorted(nodes.exit_codes.items())),
        reason=_reason(main),
        stopped=watch.stopped,
        phases={name: float(seconds) for name, seconds in _PHASES.findall(last)},
        timeline=build(rehearsal.name, records, main=request.main),
    )


def _reason(lines: list[WireUpLine]) -> str:
    """Returns the first trouble that a node's wire-up reports."""
    troubles = (line.text for line in lines if line.stage in (Stage.LOST, Stage.ERROR))
    return next(troubles, "")
