"""What a job writes while it runs, each line once, until it ends.

A round is a handful of calls, however many nodes a job has: the streams of few nodes are read one
by one, and of many the main node's, which is where mpirun writes, while the others are bundled, a
hundred a call, and take turns (see `_tail`). A thousand nodes have all been read after three
rounds.
"""

from __future__ import annotations

from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from mngen.jobs import _clock
from mngen.jobs._logs import STREAMS_AT_ONCE, gone, in_groups, is_stream_missing, streams_of
from mngen.jobs._status import attempt_of
from mngen.jobs._tail import Bundle, Stream, regrouped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_batch.type_defs import JobDetailTypeDef
    from mypy_boto3_logs.client import CloudWatchLogsClient

    from mngen.jobs._retry import RetryPolicy
    from mngen.jobs._types import JobStatus, LogLine

_ROUND_SECONDS = 1.0
_STREAMS_A_ROUND = 8
_BUNDLES_A_ROUND = 4
_LOOK_SECONDS = 5.0
_NODES_SECONDS = 15.0
"""How often the nodes of a large job are looked at for such as begin to write late."""
_QUIET_ROUNDS = 3
"""After how many rounds without a line reading a job stops that has ended: the log driver sends
what is left within seconds."""


class Follower:
    """Reads on where it stopped.

    Args:
        logs: The client.
        look: Asks Batch for the job, with one call.
        complete: Makes its state of that, with its nodes: a call for each hundred.
        retry: What to do when AWS does not answer.
        watch: Is called with the job each time that Batch was asked for it.
        node: The node to read; None for all.
        since: Leaves out what is older, in seconds since the epoch.

    Attributes:
        last: Time of the latest line so far, in milliseconds since the epoch; 0 for none.
    """

    def __init__(
        self,
        logs: CloudWatchLogsClient,
        look: Callable[[], JobDetailTypeDef],
        complete: Callable[[JobDetailTypeDef], JobStatus],
        retry: RetryPolicy,
        *,
        watch: Callable[[JobDetailTypeDef], None] = lambda _job: None,
        node: int | None = None,
        since: float | None = None,
    ) -> None:
        self.last = 0
        self._logs = logs
        self._look = look
        self._complete = complete
        self._retry = retry
        self._watch = watch
        self._node = node
        self._since = 0 if since is None else int(since * 1000)
        self._known: set[str] = set()
        self._streams: list[Stream] = []
        self._bundles: list[Bundle] = []
        self._silent: set[Stream | Bundle] = set()

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
        quiet, looked, described = 0, _clock.monotonic(), _clock.monotonic()
        self._add(status)
        while True:
            lines = self._round(status)
            yield from in_groups(lines, status)
            quiet = 0 if lines else quiet + 1
            if status.ended and quiet >= _QUIET_ROUNDS and self._all_silent():
                return
            _clock.sleep(_ROUND_SECONDS)
            now = _clock.monotonic()
            if not status.ended and (quiet or now - looked > _LOOK_SECONDS):
                looked, before = now, status.state
                job = self._retry.call(self._look)
                self._watch(job)
                is_news = (job["status"], attempt_of(job)) != (before, status.attempt)
                if is_news or now - described > self._pause(status):
                    described = now
                    status = self._retry.call(partial(self._complete, job))
                    self._add(status)
                if status.state != before:
                    seen(status)
                    quiet = 0
                    self._silent.clear()

    def _pause(self, status: JobStatus) -> float:
        """Returns for how many seconds the nodes are not looked at again without a reason.

        The jobs of an array are tried again one by one, which its own state does not show.
        """
        if status.size is None and all(each.log_stream for each in status.nodes):
            return float("inf")
        return 0.0 if len(status.nodes) <= STREAMS_AT_ONCE else _NODES_SECONDS

    def _add(self, status: JobStatus) -> None:
        """Begins to read the streams that were not there before."""
        found = streams_of(status, self._node)
        new = {name: index for name, index in found.items() if name not in self._known}
        self._known |= new.keys()
        few = self._node is not None or len(status.nodes) <= _STREAMS_A_ROUND
        main = {each.index for each in status.nodes if each.main}
        # The newest attempt first, and its main node first of all.
        alone = sorted(
            (index not in main, index, name) for name, index in new.items() if few or index in main
        )
        self._streams[:0] = [Stream(name, index, self._since) for _, index, name in alone]
        # No line is older than its job, and AWS need not look for one.
        since = max(self._since, int(status.created * 1000))
        others = iter([each for each in new.items() if not few and each[1] not in main])
        while part := dict(islice(others, STREAMS_AT_ONCE)):
            self._bundles.append(Bundle(part, since))

    def _round(self, status: JobStatus) -> list[LogLine]:
        get = partial(self._ask, status, self._logs.get_log_events)
        search = partial(self._ask, status, self._logs.filter_log_events)
        streams, bundles = self._due_streams(), self._bundles[:_BUNDLES_A_ROUND]
        lines = [line for each in streams for line in each.read(get)]
        lines += [line for each in bundles for line in each.read(search)]
        self._silent.update(each for each in streams if each.done)
        self._silent.update(each for each in bundles if each.done)
        self._bundles = [*self._bundles[_BUNDLES_A_ROUND:], *regrouped(bundles)]
        if lines:
            lines.sort(key=lambda line: (line.time, line.node))
            self.last = max(self.last, lines[-1].time)
            self._silent.clear()
        return lines

    def _all_silent(self) -> bool:
        """Returns whether all streams were read to their end since the last line."""
        return self._silent.issuperset([*self._streams, *self._bundles])

    def _due_streams(self) -> list[Stream]:
        """Returns the streams to read now: the first always, the others in turn."""
        first, others = self._streams[:1], self._streams[1:]
        now = others[: _STREAMS_A_ROUND - 1]
        self._streams = [*first, *others[_STREAMS_A_ROUND - 1 :], *now]
        return [*first, *now]

    def _ask(self, status: JobStatus, call: Callable[..., Any], arguments: dict[str, Any]) -> Any:
        """Returns a page of the log; None where a stream is not there yet."""

        def once() -> Any:
            try:
                return call(logGroupName=status.log_group, **arguments)
            except self._logs.exceptions.ResourceNotFoundException as error:
                if is_stream_missing(error):
                    return None
                raise gone(status) from None

        return self._retry.call(once)
