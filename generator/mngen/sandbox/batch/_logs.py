"""What the jobs of the emulated Batch write to the emulated CloudWatch Logs.

A stream for each node and attempt, made as the containers start, as the awslogs driver does. The
lines are those of the container's wire-up, so that whatever reads them can be tried without AWS.
Source: https://docs.aws.amazon.com/batch/latest/userguide/batch-awslogs.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mngen.sandbox.batch._schedule import WAITING, state_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mngen.sandbox.batch._job import Attempt, Job

_RENDEZVOUS = 0.02  # seconds
_SSH = 0.01
BEGINNING_SECONDS = _RENDEZVOUS + _SSH
"""How long a job's first lines would take; they are in the log at once, with these times."""


def write_output(backend: Any) -> None:
    """Writes the output of the jobs since the last time."""
    for job in state_of(backend).jobs.unsettled():
        if job.status in WAITING and not job.attempts:
            continue
        for number, attempt in enumerate(job.attempts):
            if attempt.started and attempt.written == 0:
                for node in range(len(job.containers)):
                    put(backend, job, node, number, _beginning(job, node, attempt))
                attempt.written = 1
            if attempt.written == 1 and attempt.stopped:
                for node in range(len(job.containers)):
                    put(backend, job, node, number, _end(job, node, attempt))
                attempt.written = 2
        job.settled = job.ended


def put(
    backend: Any, job: Job, node: int, attempt: int, lines: Iterable[tuple[float, str]]
) -> None:
    """Writes lines to a node's stream.

    Args:
        backend: The Batch of an account and region.
        job: The job.
        node: Index of the node.
        attempt: The attempt, counted from 0.
        lines: Times in seconds since the epoch, and texts.
    """
    logs, group, stream = backend.logs_backend, job.log_group(node), job.stream(node, attempt)
    if group not in logs.groups:
        return
    logs.ensure_log_stream(group, stream)
    events = [{"timestamp": round(when * 1000), "message": text} for when, text in lines]
    if events:
        logs.put_log_events(group, stream, events)


def _beginning(job: Job, node: int, attempt: Attempt) -> list[tuple[float, str]]:
    nodes = len(job.containers)
    command = " ".join(job.containers[node].get("command") or [])
    if not job.multi_node:
        return [(attempt.started, f"the sandbox does not run: {command}")]
    running = BEGINNING_SECONDS
    lines = [(0.0, "start", f"node {node} of {nodes}, main node {job.main}")]
    if node == job.main:
        lines += [
            (_RENDEZVOUS, "rendezvous", f"{nodes} of {nodes} nodes"),
            (running, "launch", command),
            (running, "running", f"the sandbox does not run: {command}"),
        ]
    else:
        lines += [(_RENDEZVOUS, "ready", "sshd listens")]
    return [_line(node, attempt, *each) for each in lines]


def _end(job: Job, node: int, attempt: Attempt) -> list[tuple[float, str]]:
    if not job.multi_node or job.end:
        return []
    since = max(attempt.stopped - attempt.started, BEGINNING_SECONDS)
    if node != job.main:
        return [_line(node, attempt, since, "end", "the main node has ended")]
    run = since - BEGINNING_SECONDS
    text = (
        f"exit {attempt.exit_code}; rendezvous {_RENDEZVOUS:.2f}s, ssh {_SSH:.2f}s, "
        f"run {run:.2f}s, teardown 0.00s"
    )
    return [_line(node, attempt, since, "end", text)]


def _line(node: int, attempt: Attempt, since: float, stage: str, text: str) -> tuple[float, str]:
    return attempt.started + since, f"mngen[{node}] +{since:.2f}s {stage}: {text}"
