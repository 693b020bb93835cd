"""A timeline as data: a row a node, cut into phases."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from mngen._text import replaced
from mngen.timeline._lines import Stage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mngen.timeline._lines import WireUpLine


class Phase(StrEnum):
    """What a node is busy with; the order of definition is that of a job."""

    QUEUED = "queued"
    """The job waits for instances."""
    STARTING = "starting"
    """AWS Batch starts the container: instance, image, network."""
    SETUP = "set-up"
    """The container runs; the wire-up looks at its host."""
    RENDEZVOUS = "rendezvous"
    """It waits for the other nodes."""
    LAUNCH = "launch"
    """All nodes are there; the launcher starts the ranks over ssh."""
    RUN = "run"
    """The application runs."""
    TEARDOWN = "teardown"
    """It is over, or lost; processes end, and outputs are uploaded."""


_BEGINS = {
    Stage.START: Phase.SETUP,
    Stage.RENDEZVOUS: Phase.RENDEZVOUS,
    Stage.READY: Phase.LAUNCH,
    Stage.LAUNCH: Phase.LAUNCH,
    Stage.RUNNING: Phase.RUN,
    Stage.OUTPUTS: Phase.TEARDOWN,
    Stage.END: Phase.TEARDOWN,
    Stage.LOST: Phase.TEARDOWN,
    Stage.ERROR: Phase.TEARDOWN,
}
_ORDER = {phase: position for position, phase in enumerate(Phase)}


@dataclass(frozen=True, slots=True)
class Segment:
    """A phase of a node, from `start` to `end` in seconds of the timeline."""

    phase: Phase
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened to a node.

    Attributes:
        seconds: When, in seconds of the timeline.
        text: What, in a few words, such as `killed`.
    """

    seconds: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRecord:
    """What is known of a node.

    Attributes:
        index: Its index.
        start: When its container started, in seconds of the timeline; None if it never did.
        clock: When the clock of its lines started: a moment after the container did.
        lines: What its wire-up wrote.
        end: When its container ended, or None if it has not, or never started.
        exit_code: The container's exit code, if it has ended.
        before: Phases before the container started.
        marks: What happened to it besides.
    """

    index: int
    start: float | None
    clock: float = 0.0
    lines: Sequence[WireUpLine] = ()
    end: float | None = None
    exit_code: int | None = None
    before: Sequence[Segment] = ()
    marks: Sequence[Mark] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """A node of a timeline.

    Attributes:
        index: The node.
        segments: Its phases in order, without gaps once the container has started.
        marks: What happened to it besides, in order.
        ending: How it ended, in a few words.
        failed: Whether it ended otherwise than with exit code 0.
    """

    index: int
    segments: tuple[Segment, ...]
    marks: tuple[Mark, ...]
    ending: str
    failed: bool


@dataclass(frozen=True, slots=True)
class Timeline:
    """The nodes of a job against time.

    Attributes:
        title: What job it is.
        main: Index of the main node.
        rows: The nodes, by index.
        seconds: The length of all.
    """

    title: str
    main: int
    rows: tuple[Row, ...]
    seconds: float = field(default=0.0)

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The phases that occur, in the order of a job."""
        found = {segment.phase for row in self.rows for segment in row.segments}
        return tuple(sorted(found, key=_ORDER.__getitem__))


def build(title: str, records: Iterable[NodeRecord], *, main: int = 0, now: float = 0) -> Timeline:
    """Makes a timeline.

    Args:
        title: What job it is.
        records: What is known of each node.
        main: Index of the main node.
        now: Until when nodes that have not ended are drawn, in seconds of the timeline.
    """
    known = sorted(records, key=lambda record: record.index)
    rows = tuple(_row(record, now) for record in known)
    ends = [segment.end for row in rows for segment in row.segments]
    marks = [mark.seconds for row in rows for mark in row.marks]
    # A title may come from a command line, and must not drive the terminal that it is shown on.
    shown = replaced(title)
    return Timeline(shown, main, rows, max([*ends, *marks, 0.0]))


def clock_of(lines: Iterable[tuple[float, WireUpLine]]) -> float:
    """Returns when the clock of a node's lines started, in seconds of the timeline.

    Args:
        lines: When each line was received, in seconds of the timeline, and the line. The one that
            took the shortest way shows.
    """
    return min((received - line.seconds for received, line in lines), default=0.0)


def _row(record: NodeRecord, now: float) -> Row:
    segments = list(record.before)
    if record.start is not None:
        end = record.end if record.end is not None else max(now, record.start)
        segments += _segments(record, record.start, end)
    return Row(
        record.index,
        tuple(segments),
        tuple(sorted(record.marks, key=lambda mark: mark.seconds)),
        _ending(record),
        failed=record.exit_code not in (None, 0) or record.start is None,
    )


def _segments(record: NodeRecord, start: float, end: float) -> list[Segment]:
    begun = [(start, Phase.SETUP)]
    for line in record.lines:
        phase = _BEGINS.get(line.stage)
        # A node may speak of an earlier phase later, as of a connection that it refused.
        if phase is not None and _ORDER[phase] > _ORDER[begun[-1][1]]:
            # Clocks that were measured differ a little: no phase begins before the one before it.
            begun.append((min(max(record.clock + line.seconds, begun[-1][0]), end), phase))
    ends = [*(begin for begin, _ in begun[1:]), end]
    return [
        Segment(phase, begin, until)
        for (begin, phase), until in zip(begun, ends, strict=True)
        if until > begin
    ]


def _ending(record: NodeRecord) -> str:
    if record.start is None:
        return "never came"
    if record.exit_code is None:
        return "running" if record.end is None else "ended"
    return f"exit {record.exit_code}"
