"""What a job writes while it runs, each line once, until it ends.

GetLogEvents has a token that says how far a stream was read, so no line is missed or shown twice,
however late it arrives; FilterLogEvents has none, and would have to read the last moments again
and again. A call reads one stream, and an account has some ten calls a second: of a job with more
nodes than that the main node is read every round, and the others in turn.
Source: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html
"""

from __future__ import annotations

import time
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from mngen.jobs._logs import gone, streams_of
from mngen.jobs._types import JobStatus, LogLine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_logs.client import CloudWatchLogsClient

    from mngen.jobs._patience import Patience

_ROUND_SECONDS = 1.0
_STREAMS_A_ROUND = 8
_PAGES_A_ROUND = 5
"""Of one stream, 1 MB each: a backlog does not fill the memory."""
_LOOK_SECONDS = 5.0
_QUIET_ROUNDS = 3
"""How many rounds without a line end the reading of a job that has ended: the log driver sends
what is left within seconds."""


class Follower:
    """Reads on where it stopped.

    Args:
        logs: The client.
        look: Asks for the job, with its nodes.
        patience: What to do when AWS does not answer.
        node: The node to read; None for all.
        since: Leaves out what is older, in seconds since the epoch.

    Attributes:
        last: Time of the latest line so far, in milliseconds since the epoch; 0 for none.
    """

    def __init__(
        self,
        logs: CloudWatchLogsClient,
        look: Callable[[], JobStatus],
        patience: Patience,
        *,
        node: int | None = None,
        since: float | None = None,
    ) -> None:
        self.last = 0
        self._logs = logs
        self._look = look
        self._patience = patience
        self._node = node
        self._since = 0 if since is None else int(since * 1000)
        self._tokens: dict[str, str | None] = {}
        self._nodes: dict[str, int] = {}
        self._turn = 0

    def follow(self, status: JobStatus, seen: Callable[[JobStatus], None]) -> Iterator[LogLine]:
        """Yields each line of the job's current attempt and of all later ones.

        The lines of one round come in the order of time; one that arrives late comes late.

        Args:
            status: The job as it was last seen.
            seen: Is called with the job each time that its state has changed, and at first.

        Raises:
            ToolError: The log is gone, the job is gone, or AWS does not answer.
        """
        seen(status)
        quiet, looked = 0, time.monotonic()
        while True:
            self._nodes |= streams_of(status, self._node)
            lines = self._round(status)
            yield from lines
            quiet = 0 if lines or self._unread() else quiet + 1
            if status.ended and quiet >= _QUIET_ROUNDS:
                return
            time.sleep(_ROUND_SECONDS)
            if not status.ended and (quiet or time.monotonic() - looked > _LOOK_SECONDS):
                before, looked = status.state, time.monotonic()
                status = self._patience.call(self._look)
                if status.state != before:
                    seen(status)
                    quiet = 0

    def _round(self, status: JobStatus) -> list[LogLine]:
        lines = [line for stream in self._due() for line in self._read(status, stream)]
        lines.sort(key=lambda line: (line.time, line.node))
        if lines:
            self.last = max(self.last, lines[-1].time)
        return lines

    def _due(self) -> list[str]:
        """Returns the streams to read now: the first always, the others in turn."""
        names = sorted(self._nodes, key=lambda name: self._nodes[name])
        if len(names) <= _STREAMS_A_ROUND:
            return names
        others = names[1:]
        first = self._turn % len(others)
        self._turn += _STREAMS_A_ROUND - 1
        return [names[0], *islice(others[first:] + others[:first], _STREAMS_A_ROUND - 1)]

    def _unread(self) -> bool:
        """Tells whether some stream was not read once yet."""
        return len(self._tokens) < len(self._nodes)

    def _read(self, status: JobStatus, stream: str) -> list[LogLine]:
        """Reads a stream to its end, or five pages of it."""
        found: list[LogLine] = []
        for _ in range(_PAGES_A_ROUND):
            token = self._tokens.get(stream)
            page = self._patience.call(partial(self._page, status, stream, token))
            if page is None:
                break
            found += [
                LogLine(self._nodes[stream], each["timestamp"], each["message"].rstrip("\r\n"))
                for each in page["events"]
            ]
            self._tokens[stream] = page["nextForwardToken"]
            if page["nextForwardToken"] == token or not page["events"]:
                break
        self._tokens.setdefault(stream, None)
        return found

    def _page(self, status: JobStatus, stream: str, token: str | None) -> Any:
        """Returns a page of a stream; None where the stream is not there yet."""
        arguments: dict[str, Any] = {
            "logGroupName": status.log_group,
            "logStreamName": stream,
            "startFromHead": True,
            "startTime": self._since,
        }
        if token is not None:
            arguments["nextToken"] = token
        try:
            return self._logs.get_log_events(**arguments)
        except self._logs.exceptions.ResourceNotFoundException as error:
            if "stream" in str(error):
                return None
            raise gone(status) from None
