"""What a job has written so far: the streams of its nodes as one, in the order of time.

FilterLogEvents reads a hundred streams a call and gives their events in the order of time, so the
log of a thousand nodes is ten readers, merged, and never as a whole in memory.
Source: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from msgspec.structs import replace

from mngen.errors import InputError, ToolError
from mngen.jobs._types import WAITING, JobStatus, LogLine

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mypy_boto3_logs.client import CloudWatchLogsClient

STREAMS_AT_ONCE = 100
"""Most streams of one FilterLogEvents call.

Source: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html
"""


def streams_of(status: JobStatus, node: int | None = None) -> dict[str, int]:
    """Returns the log streams of a job's nodes with their indexes, or that of one node.

    Raises:
        InputError: It has no such node.
    """
    if node is not None and not 0 <= node < len(status.nodes):
        what = "node" if status.size is None else "job"
        raise InputError(
            f"the {'job' if what == 'node' else 'array'} has no {what} {node}",
            hint=f"its {what}s are 0 to {len(status.nodes) - 1}",
        )
    return {
        each.log_stream: each.index
        for each in status.nodes
        if each.log_stream and node in (None, each.index)
    }


def read(
    logs: CloudWatchLogsClient,
    status: JobStatus,
    streams: Mapping[str, int],
    since: float | None,
    pattern: str = "",
) -> Iterator[LogLine]:
    """Yields the lines of streams in the order of time.

    Args:
        logs: The client.
        status: The job.
        streams: Names of log streams, with the index of the node that writes each.
        since: Leaves out what is older, in seconds since the epoch.
        pattern: What CloudWatch shall look for, in its own language; empty for all.

    Raises:
        ToolError: The log is gone.
        botocore.exceptions.ClientError: AWS refused.
    """
    names = sorted(streams, key=lambda name: streams[name])
    parts = [
        _events(logs, status, names[first : first + STREAMS_AT_ONCE], streams, since, pattern)
        for first in range(0, len(names), STREAMS_AT_ONCE)
    ]
    yield from _merged(parts)


def in_groups(lines: Iterable[LogLine], status: JobStatus) -> Iterator[LogLine]:
    """Yields lines with the names of their nodes' groups, if the job has groups."""
    groups = {each.index: each.group for each in status.nodes if each.group}
    for line in lines:
        yield replace(line, group=groups.get(line.node)) if groups else line


def not_there(status: JobStatus) -> str:
    """Returns why a job has no log."""
    if status.size is not None:
        return f"the array is {status.state}, and none of its jobs has run"
    if status.state in WAITING:
        return f"the job is {status.state}: its nodes write once they run"
    if status.state == "STARTING":
        return "the job is STARTING: its nodes write once they run"
    return "the job never ran, so it has written nothing"


def is_stream_missing(error: Exception) -> bool:
    """Returns whether what CloudWatch did not find is a stream; else it is the whole group."""
    return "stream" in str(error)


def gone(status: JobStatus) -> ToolError:
    """Returns the error for a missing log group."""
    return ToolError(
        f"log group `{status.log_group}` does not exist: the job's output is lost",
        hint="run mngen apply to recreate it; without it no job starts",
    )


def _events(
    logs: CloudWatchLogsClient,
    status: JobStatus,
    names: list[str],
    streams: Mapping[str, int],
    since: float | None,
    pattern: str,
) -> Iterator[LogLine]:
    pages = logs.get_paginator("filter_log_events").paginate(
        logGroupName=status.log_group,
        logStreamNames=names,
        startTime=0 if since is None else int(since * 1000),
        filterPattern=pattern,
    )
    try:
        for page in pages:
            for event in page["events"]:
                yield LogLine(
                    streams[event.get("logStreamName", "")],
                    event.get("timestamp", 0),
                    event.get("message", "").rstrip("\r\n"),
                )
    except logs.exceptions.ResourceNotFoundException as error:
        if not is_stream_missing(error):
            raise gone(status) from None
    else:
        return
    # One stream that is missing hides all others of the call.
    middle = len(names) // 2
    if middle:
        parts = (names[:middle], names[middle:])
        yield from _merged([_events(logs, status, part, streams, since, pattern) for part in parts])


def _merged(parts: Iterable[Iterator[LogLine]]) -> Iterator[LogLine]:
    return heapq.merge(*parts, key=lambda line: (line.time, line.node))
