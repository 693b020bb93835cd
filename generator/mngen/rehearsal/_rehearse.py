"""Rehearsing a job: starting it, doing it harm at the given times, and seeing how it ends."""

from __future__ import annotations

import re
import shutil
import signal
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from mngen import _resources
from mngen.errors import InputError
from mngen.rehearsal._faults import FaultKind, check_faults
from mngen.rehearsal._plan import absent_files, nodes_request
from mngen.timeline import Mark, NodeRecord, Stage, Timeline, build, clock_of, parse_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from mngen.rehearsal._faults import Fault
    from mngen.rehearsal._nodes import Line
    from mngen.rehearsal._plan import Rehearsal
    from mngen.rehearsal._request import NodesRequest
    from mngen.timeline import WireUpLine

_POLL_SECONDS = 0.1
# What ECS gives a container between SIGTERM and SIGKILL.
# Source: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_StopTask.html
_GRACE_SECONDS = 30.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_EXAMPLE = "mpi_example.py"
_MARKS = {FaultKind.KILL: "killed", FaultKind.CUT: "cut off", FaultKind.FREEZE: "frozen"}
_PHASES = re.compile(r"(rendezvous|ssh|run|teardown) ([0-9]+\.[0-9]+)s")


class RunningNodes(Protocol):
    """Nodes of whatever kind; see `mngen.rehearsal.Nodes`."""

    started: float
    exit_codes: dict[int, int]
    end_times: dict[int, float]

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until every node has ended; returns whether they have."""

    def kill(self, index: int, number: int = signal.SIGKILL) -> None:
        """Sends a signal to a node's first process."""

    def cut(self, index: int) -> None:
        """Cuts a node off the network."""

    def freeze(self, index: int) -> None:
        """Stops all of a node's processes."""


class Engine(Protocol):
    """What can start nodes."""

    in_image: bool

    def start(
        self, request: NodesRequest, on_line: Callable[[Line], None]
    ) -> AbstractContextManager[RunningNodes]:
        """Starts nodes; ends what is left of them after the block."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a rehearsal ended.

    Attributes:
        exit_code: That of the main node, which AWS Batch judges the job by; None if it had none.
        exit_codes: Those of all nodes that came, by index; 128 + N where signal N killed a node.
        reason: What the main node's wire-up says about a failure, or what ended the rehearsal.
        stopped: `timeout`, `interrupt`, or None where the job ended by itself.
        phases: What the main node says about its phases, in seconds, by name.
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
        """Whether the job ended by itself, and well."""
        return self.exit_code == 0 and self.stopped is None


def rehearse(
    rehearsal: Rehearsal,
    engine: Engine,
    *,
    on_line: Callable[[Line], None],
    tell: Callable[[str], None],
    shared: Path | None = None,
) -> Outcome:
    """Rehearses a job to its end.

    SIGINT and SIGTERM cancel it as AWS Batch does: SIGTERM to every node, SIGKILL 30 s later. A
    second one ends the nodes at once. Outside the main thread no signal is caught.

    Args:
        rehearsal: The job.
        engine: What starts its nodes.
        on_line: Called with each line that a node writes, from a thread of its own.
        tell: Called with what else there is to say.
        shared: The folder that stands for the EFS. By default a new one that holds the example
            program, and is removed in the end.

    Raises:
        InputError: The faults make no sense, or there is no such folder.
        ToolError: The nodes cannot be started, or were lost.
    """
    try:
        check_faults(rehearsal.faults, rehearsal.nodes)
    except ValueError as error:
        raise InputError(str(error)) from None
    log = _Log(on_line)
    with ExitStack() as stack:
        folder = shared or stack.enter_context(_example_folder())
        if not folder.is_dir():
            raise InputError(f"{folder}: there is no such folder")
        for word in absent_files(rehearsal, folder):
            tell(f"warning: {word} is not in {folder}")
        request = nodes_request(rehearsal, folder.absolute(), in_image=engine.in_image)
        caught = stack.enter_context(_caught_signals())
        nodes = stack.enter_context(engine.start(request, log.take))
        marks, stopped = _watch(rehearsal, nodes, caught, tell)
    return _outcome(rehearsal, request, nodes, log, marks=marks, stopped=stopped)


@dataclass(slots=True)
class _Log:
    """Hands lines on, and keeps those of the wire-up."""

    on_line: Callable[[Line], None]
    lines: list[tuple[float, WireUpLine]] = field(default_factory=list)

    def take(self, line: Line) -> None:
        found = parse_line(line.text)
        # Any program may write such a line, but only of itself.
        if found is not None and found.node == line.node:
            self.lines.append((line.seconds, found))
        self.on_line(line)


@dataclass(slots=True)
class _Caught:
    count: int = 0


@contextmanager
def _caught_signals() -> Iterator[_Caught]:
    caught = _Caught()
    if threading.current_thread() is not threading.main_thread():
        yield caught
        return

    def count(_number: int, _frame: object) -> None:
        caught.count += 1

    previous = {number: signal.signal(number, count) for number in _SIGNALS}
    try:
        yield caught
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def _example_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mngen-rehearsal-") as name:
        folder = Path(name)
        # The ranks may be another user.
        folder.chmod(0o1777)
        example = _resources.container() / _EXAMPLE
        if example.is_file():
            shutil.copyfile(example, folder / _EXAMPLE)
        yield folder


def _watch(
    rehearsal: Rehearsal, nodes: RunningNodes, caught: _Caught, tell: Callable[[str], None]
) -> tuple[list[tuple[int, Mark]], str | None]:
    """Waits for the end; returns what was done to which node, and what stopped the job."""
    coming = sorted(
        (each for each in rehearsal.faults if each.kind in _MARKS), key=lambda each: each.seconds
    )
    marks: list[tuple[int, Mark]] = []
    stopped: str | None = None
    interrupts, kill_at = 0, float("inf")
    while not nodes.wait(_POLL_SECONDS):
        now = time.monotonic() - nodes.started
        while coming and coming[0].seconds <= now:
            marks += _harm(nodes, coming.pop(0), tell)
        if stopped is None:
            if caught.count:
                stopped = "interrupt"
                tell("cancelled, as AWS Batch does it: SIGTERM to every node; again: SIGKILL")
            elif rehearsal.timeout is not None and now >= rehearsal.timeout:
                stopped = "timeout"
                tell(f"timeout after {rehearsal.timeout:g} s: SIGTERM to every node")
            if stopped is not None:
                interrupts, kill_at = caught.count, now + _GRACE_SECONDS
                _signal_all(nodes, rehearsal.nodes, signal.SIGTERM)
        elif caught.count > interrupts or now >= kill_at:
            interrupts, kill_at = caught.count, float("inf")
            tell("SIGKILL to every node that is left")
            _signal_all(nodes, rehearsal.nodes, signal.SIGKILL)
    for fault in coming:
        tell(f"{fault}: not done, the job had ended")
    return marks, stopped


def _signal_all(nodes: RunningNodes, count: int, number: int) -> None:
    for index in range(count):
        nodes.kill(index, number)


def _harm(nodes: RunningNodes, fault: Fault, tell: Callable[[str], None]) -> list[tuple[int, Mark]]:
    if fault.node in nodes.exit_codes:
        tell(f"{fault}: not done, it had ended")
        return []
    {
        FaultKind.KILL: nodes.kill,
        FaultKind.CUT: nodes.cut,
        FaultKind.FREEZE: nodes.freeze,
    }[fault.kind](fault.node)
    seconds = time.monotonic() - nodes.started
    tell(f"node {fault.node} {_MARKS[fault.kind]} at {seconds:.1f} s")
    return [(fault.node, Mark(seconds, _MARKS[fault.kind]))]


def _outcome(
    rehearsal: Rehearsal,
    request: NodesRequest,
    nodes: RunningNodes,
    log: _Log,
    *,
    marks: list[tuple[int, Mark]],
    stopped: str | None,
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
                marks=[mark for node, mark in marks if node == index],
            )
        )
    main = [line for _, line in log.lines if line.node == request.main]
    last = next((line.text for line in reversed(main) if line.stage is Stage.END), "")
    return Outcome(
        exit_code=nodes.exit_codes.get(request.main),
        exit_codes=dict(sorted(nodes.exit_codes.items())),
        reason=_reason(main),
        stopped=stopped,
        phases={name: float(seconds) for name, seconds in _PHASES.findall(last)},
        timeline=build(rehearsal.name, records, main=request.main),
    )


def _reason(lines: list[WireUpLine]) -> str:
    """Returns the first trouble that a node's wire-up speaks of."""
    troubles = (line.text for line in lines if line.stage in (Stage.LOST, Stage.ERROR))
    return next(troubles, "")
