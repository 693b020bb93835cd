"""A job's nodes against time, from its submission to its end: what Batch and the wire-up report."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from mngen.jobs import _clock
from mngen.timeline import NodeRecord, Phase, Segment, Timeline, build, clock_of, parse_line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mngen.jobs._types import JobStatus, LogLine, NodeStatus
    from mngen.timeline import WireUpLine

WIRE_UP_PATTERN = '"mngen["'
"""What CloudWatch looks for, so that of a long log only the wire-up's lines are sent.

Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
"""


def timeline_of(status: JobStatus, lines: Iterable[LogLine]) -> Timeline:
    """Returns the timeline of a job's last attempt; 0 is the moment of its submission.

    Args:
        status: The job with its nodes.
        lines: What its nodes wrote; lines of the application are passed over.
    """
    written: dict[int, list[tuple[float, WireUpLine]]] = defaultdict(list)
    for line in lines:
        parsed = parse_line(line.text)
        # A rank may print what its wire-up wrote elsewhere.
        if parsed is not None and parsed.node == line.node:
            written[line.node].append((line.time / 1000 - status.created, parsed))
    now = (status.stopped if status.ended and status.stopped else _clock.now()) - status.created
    main = next((each.index for each in status.nodes if each.main), 0)
    records = [_record(status, each, written[each.index], now) for each in status.nodes]
    return build(f"{status.name} {status.id}", records, main=main, now=now)


def _record(
    status: JobStatus, node: NodeStatus, lines: list[tuple[float, WireUpLine]], now: float
) -> NodeRecord:
    start = None if node.started is None else max(0.0, node.started - status.created)
    # Batch does not report when it began to start a container: the wait ends when it runs.
    queued = Segment(Phase.QUEUED, 0.0, now if start is None else start)
    return NodeRecord(
        index=node.index,
        start=start,
        clock=clock_of(lines) if lines else start or 0.0,
        lines=[line for _, line in lines],
        end=None if node.stopped is None or start is None else node.stopped - status.created,
        exit_code=node.exit_code,
        before=(queued,),
    )
