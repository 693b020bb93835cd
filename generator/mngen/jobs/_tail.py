"""Reading on where one stopped: one log stream, or up to a hundred in a call.

GetLogEvents reads one stream and has a token for how far it is, so no line is missed or shown
twice, however late it arrives. FilterLogEvents reads a hundred streams and has none: it is asked
for the last minute again each time, and the lines that were there before are known by their ids. A
line that CloudWatch gets more than a minute after it was written is then missed.

An account has 10 to 30 calls a second of the first and 5 to 25 of the second, as the region has it,
and gets no higher limit: reading a thousand nodes one by one takes all of it, and minutes.
Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html
Source: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html
Source: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html
"""

from __future__ import annotations

from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from mngen.jobs._logs import STREAMS_AT_ONCE
from mngen.jobs._types import LogLine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    # Asks for a page; None where a stream is not there yet.
    Ask = Callable[[dict[str, Any]], Any]

_PAGES = 5
"""Of one stream at a time, 1 MB each: a backlog does not fill the memory."""
_OVERLAP = 60_000
"""Milliseconds that are asked for again: Docker's log driver sends what it has every five seconds.

Source: https://github.com/moby/moby/blob/master/daemon/logger/awslogs/cloudwatchlogs.go
"""


@dataclass(slots=True, eq=False)
class Stream:
    """The stream of one node.

    Attributes:
        name: Its name.
        node: Index of the node that writes it.
        since: Leaves out what is older, in milliseconds since the epoch.
        token: How far it was read.
        done: Whether that was all there was.
    """

    name: str
    node: int
    since: int
    token: str | None = None
    done: bool = False

    def read(self, ask: Ask) -> list[LogLine]:
        """Returns the lines since the last time, with at most five calls.

        Args:
            ask: Calls GetLogEvents.
        """
        found: list[LogLine] = []
        wanted = {"logStreamName": self.name, "startFromHead": True, "startTime": self.since}
        self.done = False
        for _ in range(_PAGES):
            before = self.token
            page = ask(wanted if before is None else {**wanted, "nextToken": before})
            if page is not None:
                found += [_line(self.node, each) for each in page["events"]]
                self.token = page["nextForwardToken"]
            self.done = page is None or self.token == before or not page["events"]
            if self.done:
                break
        return found


@dataclass(slots=True, eq=False)
class Bundle:
    """The streams of up to a hundred nodes.

    Attributes:
        nodes: Indexes of the nodes, by the names of the streams that they write.
        since: Leaves out what is older, in milliseconds since the epoch; moves on.
        seen: When the lines since then were written, by their ids.
        token: Where the next page begins, if there is one.
        following: What `since` will be after the last page.
        done: Whether all that there was has been read.
        absent: Whether a stream is not there yet.
    """

    nodes: dict[str, int]
    since: int
    seen: dict[str, int] = field(default_factory=dict)
    token: str | None = None
    following: int = 0
    done: bool = False
    absent: bool = False

    def read(self, ask: Ask) -> list[LogLine]:
        """Returns new lines, with one call; see `regrouped` for where a stream is missing.

        Args:
            ask: Calls FilterLogEvents.
        """
        wanted = {"logStreamNames": list(self.nodes), "startTime": self.since}
        page = ask(wanted if self.token is None else {**wanted, "nextToken": self.token})
        self.absent = page is None
        if page is None:
            self.done = len(self.nodes) == 1
            return []
        if self.token is None:
            self.following = max(self.since, _answered(page) - _OVERLAP)
        found = []
        for each in page["events"]:
            if each["eventId"] not in self.seen:
                found.append(_line(self.nodes[each["logStreamName"]], each))
                # What is older comes on no other page.
                if each["timestamp"] >= self.following:
                    self.seen[each["eventId"]] = each["timestamp"]
        self.token = page.get("nextToken")
        self.done = self.token is None
        if self.done:
            self.since = self.following
            self.seen = {key: when for key, when in self.seen.items() if when >= self.since}
        return found


def regrouped(bundles: Iterable[Bundle]) -> list[Bundle]:
    """Returns bundles that read on in the place of others, as few as may be.

    One stream that is missing hides the others of a call, so its bundle is halved until it is
    alone. Those that have been read to their end are joined where there is room: the streams of a
    job's nodes come a few at a time.

    Args:
        bundles: What was read just now, all of it within a few seconds.
    """
    found: list[Bundle] = []
    for each in bundles:
        if each.absent and len(each.nodes) > 1:
            found += _halves(each)
        elif each.absent or not each.done:
            found.append(each)
        else:
            for place, one in enumerate(found):
                room = len(one.nodes) + len(each.nodes) <= STREAMS_AT_ONCE
                if room and one.done and not one.absent:
                    found[place] = _joined(one, each)
                    break
            else:
                found.append(each)
    return found


def _joined(one: Bundle, other: Bundle) -> Bundle:
    since = max(one.since, other.since)
    return Bundle({**one.nodes, **other.nodes}, since, {**one.seen, **other.seen}, done=True)


def _halves(bundle: Bundle) -> list[Bundle]:
    names = list(bundle.nodes)
    middle = len(names) // 2
    return [
        Bundle({name: bundle.nodes[name] for name in part}, bundle.since, dict(bundle.seen))
        for part in (names[:middle], names[middle:])
    ]


def _answered(page: Any) -> int:
    """Returns when AWS answered, by its own clock, in milliseconds; 0 if it does not report it."""
    date = page["ResponseMetadata"]["HTTPHeaders"].get("date")
    return int(parsedate_to_datetime(date).timestamp() * 1000) if date else 0


def _line(node: int, event: Any) -> LogLine:
    return LogLine(node, event["timestamp"], event["message"].rstrip("\r\n"))
