"""Watching a rehearsal: faults when they are due, and the end as with AWS Batch."""

from __future__ import annotations

import logging
import signal
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from mngen.rehearsal._faults import FaultKind
from mngen.timeline import Mark

if TYPE_CHECKING:
    from collections.abc import Callable

    from mngen._signals import Caught
    from mngen.rehearsal._faults import Fault
    from mngen.rehearsal._plan import Rehearsal
    from mngen.rehearsal._request import NodesRequest
    from mngen.timeline import Stage

_LOG = logging.getLogger(__name__)
_POLL_SECONDS = 0.1
# What ECS gives a container between SIGTERM and SIGKILL.
# Source: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_StopTask.html
_GRACE_SECONDS = 30.0
# Batch stops the other nodes once the main node has ended. Here they have the time to notice on
# their own, by three missed heartbeats, which shows whether they would.
# Source: https://docs.aws.amazon.com/batch/latest/userguide/multi-node-parallel-jobs.html
_STRAGGLER_SECONDS = 20.0
_MARKS = {FaultKind.KILL: "killed", FaultKind.CUT: "cut off", FaultKind.FREEZE: "frozen"}
_NEVER = float("inf")


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


@dataclass(slots=True)
class Watch:
    """Watches a rehearsal, and injects its faults into the nodes; each event is logged.

    Attributes:
        rehearsal: The rehearsal.
        request: Its nodes, as requested.
        nodes: Its nodes.
        caught: The signals that this process receives.
        has_reached: Whether a node's wire-up has logged a stage.
        marks: What was done to which node.
        stopped: `timeout` or `interrupt`, once that has stopped the job.
    """

    rehearsal: Rehearsal
    request: NodesRequest
    nodes: RunningNodes
    caught: Caught
    has_reached: Callable[[int, Stage], bool]
    marks: list[tuple[int, Mark]] = field(default_factory=list)
    stopped: str | None = None
    _frozen: set[int] = field(default_factory=set)
    _interrupts: int = 0
    _kill_at: float = _NEVER
    _ending: bool = False

    def until_the_end(self) -> None:
        """Waits until every node has ended; applies the faults when they are due."""
        coming = [each for each in self.rehearsal.faults if each.kind in _MARKS]
        while not self.nodes.wait(_POLL_SECONDS):
            now = time.monotonic() - self.nodes.started
            due = [fault for fault in coming if self._is_due(fault, now)]
            for fault in sorted(due, key=lambda each: each.seconds):
                self._harm(fault, now)
            coming = [fault for fault in coming if fault not in due]
            if self._ending:
                self._hasten(now)
            else:
                self._stop(now)
        for fault in coming:
            _LOG.info("skipped %s: the job had ended", fault)

    def _is_due(self, fault: Fault, now: float) -> bool:
        if fault.stage is None:
            return fault.seconds <= now
        return self.has_reached(fault.node, fault.stage)

    def _harm(self, fault: Fault, now: float) -> None:
        if fault.node in self.nodes.exit_codes:
            _LOG.info("skipped %s: the node had ended", fault)
            return
        if fault.kind is FaultKind.KILL:
            self.nodes.kill(fault.node)
        elif fault.kind is FaultKind.CUT:
            self.nodes.cut(fault.node)
        else:
            self.nodes.freeze(fault.node)
            self._frozen.add(fault.node)
        self.marks.append((fault.node, Mark(now, _MARKS[fault.kind])))
        _LOG.info("node %d %s at %.1f s", fault.node, _MARKS[fault.kind], now)

    def _stop(self, now: float) -> None:
        """Starts to stop the job if there is a reason to."""
        left = [index for index in self.request.indexes if index not in self.nodes.exit_codes]
        timeout = self.rehearsal.timeout
        main_ended = self.nodes.end_times.get(self.request.main, _NEVER)
        if self.caught.count:
            self.stopped = "interrupt"
            _LOG.info("cancelled, as by AWS Batch: SIGTERM to every node; again: SIGKILL")
        elif timeout is not None and now >= timeout:
            self.stopped = "timeout"
            _LOG.info("timeout after %g s: SIGTERM to every node", timeout)
        elif left and self._frozen.issuperset(left):
            _LOG.info("only frozen nodes are left (%s): SIGKILL", _listed(left))
            self._kill_at = now
        elif now >= main_ended + _STRAGGLER_SECONDS:
            _LOG.info(
                "the main node ended %.0f s ago, AWS Batch would have stopped the others: SIGTERM "
                "to %s",
                now - main_ended,
                _listed(left),
            )
        else:
            return
        self._ending = True
        self._interrupts = self.caught.count
        if self._kill_at == _NEVER:
            self._kill_at = now + _GRACE_SECONDS
            self._signal_all(signal.SIGTERM)

    def _hasten(self, now: float) -> None:
        """Kills what has not ended in time, or at another interrupt."""
        if now < self._kill_at and self.caught.count == self._interrupts:
            return
        self._interrupts, self._kill_at = self.caught.count, _NEVER
        _LOG.info("SIGKILL to the remaining nodes")
        self._signal_all(signal.SIGKILL)

    def _signal_all(self, number: int) -> None:
        for index in self.request.indexes:
            self.nodes.kill(index, number)


def _listed(indexes: list[int]) -> str:
    return ("node " if len(indexes) == 1 else "nodes ") + ", ".join(map(str, indexes))
