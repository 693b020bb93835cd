"""Why a job waits: what Batch reports, what the rules find in the account, and who is ahead.

Of a job that failed before it ran: which job that it depends on failed.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mngen._aws import translated
from mngen.account import Intent, Target, array_of, size_of
from mngen.cluster import definition_name, queue_name
from mngen.errors import ToolError
from mngen.jobs import _clock
from mngen.jobs._arrays import counts_of, list_children, with_counts
from mngen.jobs._batch import describe
from mngen.jobs._dependencies import failed_causes, unfinished_causes
from mngen.jobs._joining import unjoined
from mngen.jobs._old_image import old_image_causes
from mngen.jobs._reasons import STUCK, cause_of
from mngen.jobs._too_long import too_long_causes
from mngen.jobs._types import WAITING, Cause

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_batch.client import BatchClient
    from mypy_boto3_batch.type_defs import JobDetailTypeDef, JobSummaryTypeDef

    from mngen.account import Account
    from mngen.cluster import ResolvedQueue

_RESERVED = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/capacity-reservations-launch.html"
_RUNS = ("STARTING", "RUNNING")
_SOON = 180.0
"""Seconds in which Batch looks at a new job, and an instance comes up; AWS documents "minutes"."""


def causes_of(account: Account, job: JobDetailTypeDef) -> tuple[Cause, ...]:
    """Returns why a job waits, what is certain first, or why it failed before it ran, if it did.

    Args:
        account: The deployment and its account.
        job: What Batch knows of the job.

    Raises:
        botocore.exceptions.ClientError: AWS refused to list or describe jobs.
    """
    batch: BatchClient = account.client("batch")
    if job["status"] not in WAITING:
        return tuple(end_causes(batch, job))
    found = [*unfinished_causes(batch, job)]
    if size_of(job) is not None and not found:
        return _causes_of_children(account, job)
    if job["status"] == "RUNNABLE":
        target = _target(account, job)
        found += [
            *(_reserved(target) if target else []),
            *_said(job),
            *(_judged(target) if target else []),
            *_started(account, job),
            *_busy(account, job),
        ]
    if not found:
        found = [_unknown(job)]
    return tuple(sorted(found, key=lambda cause: not cause.certain))


def end_causes(batch: BatchClient, job: JobDetailTypeDef) -> Iterator[Cause]:
    """Yields why a job failed before its command began, if it did."""
    yield from failed_causes(batch, job)
    yield from old_image_causes(job)
    yield from too_long_causes(job)


def _causes_of_children(account: Account, array: JobDetailTypeDef) -> tuple[Cause, ...]:
    """Returns why the first job of an array waits that is RUNNABLE; they are alike."""
    batch: BatchClient = account.client("batch")
    for each in list_children(batch, array["jobId"], ("RUNNABLE",), most=1):
        for child in describe(batch, [each["jobId"]]):
            return causes_of(account, child)
    return ()


def _said(job: JobDetailTypeDef) -> Iterator[Cause]:
    """Yields Batch's own reason, which it gives to the job at the head of a blocked queue."""
    reason = job.get("statusReason")
    if reason:
        yield cause_of(reason, multi_node="nodeProperties" in job)


def _judged(target: Target) -> Iterator[Cause]:
    """Yields what the rules find, as if the job were about to be submitted."""
    from mngen.rules import check_waiting

    for each in check_waiting(target):
        yield Cause(
            what=each.problem.message,
            remedy=each.problem.hint or "",
            certain=each.certain,
            rule=each.problem.rule,
            see=each.problem.source_url,
        )


def _reserved(target: Target) -> list[Cause]:
    """Returns why reserved capacity has no room for a job; nothing without permission."""
    with suppress(ToolError), translated():
        return [
            Cause(what=wait.what, remedy=wait.remedy, certain=wait.certain, see=_RESERVED)
            for _, wait in target.waits_for_capacity(datetime.now(UTC))
        ]
    return []


def _target(account: Account, job: JobDetailTypeDef) -> Target | None:
    """Returns the job as a submission to judge; None where the spec does not know its queue."""
    cluster = account.cluster
    queue = _queue(account, job)
    own = [
        each
        for each in cluster.jobs
        if f"/{definition_name(cluster.spec, each.name)}:" in job["jobDefinition"]
    ]
    if queue is None or not own:
        return None
    described: Any = job
    # A job is described with what it really asks for, overrides and all.
    definition: Any = {
        "nodeProperties": described.get("nodeProperties"),
        "containerProperties": described.get("container"),
    }
    intent = Intent(
        job=own[0],
        queue=queue,
        nodes=described.get("nodeProperties", {}).get("numNodes"),
        # Those that the job is described with.
        vcpus=None,
        memory=None,
        gpus=None,
        command=(),
        environment={},
        overrides="",
        # The definition that the job was submitted with is no longer compared with the spec.
        registering=True,
    )
    return Target(intent, account, _present(definition))


def _started(account: Account, job: JobDetailTypeDef) -> list[Cause]:
    """Returns what became of the instances that Batch started; nothing without permission."""
    queue = _queue(account, job)
    if queue is None:
        return []
    with suppress(ToolError), translated():
        return list(unjoined(account, queue, job.get("createdAt", 0) / 1000))
    return []


def _busy(account: Account, job: JobDetailTypeDef) -> Iterator[Cause]:
    """Yields which jobs take the capacity, and which are ahead of this one."""
    queue = _queue(account, job)
    if queue is None:
        return
    batch: BatchClient = account.client("batch")
    nodes = _count(job)
    taken = [
        each
        for sharing in account.cluster.queues
        if set(sharing.environments) & set(queue.environments)
        for state in _RUNS
        for each in _list(batch, queue_name(account.cluster.spec, sharing.name), state)
    ]
    arrays = [
        each
        for sharing in account.cluster.queues
        if set(sharing.environments) & set(queue.environments)
        for each in _arrays(batch, queue_name(account.cluster.spec, sharing.name))
    ]
    running = {each["jobId"]: _running(each) for each in arrays}
    taken += [each for each in arrays if running[each["jobId"]]]
    used = sum(running.get(each["jobId"]) or _count(each) for each in taken)
    # Batch does not report which environment a job runs in; they are counted together.
    most = sum(each.spec.max_nodes for each in queue.environments)
    if taken and used + nodes > most:
        names = ", ".join(f"{each['jobName']} ({each['jobId']})" for each in taken[:3])
        more = f" and {len(taken) - 3} more" if len(taken) > 3 else ""
        yield Cause(
            what=f"{used} of the {most} nodes that the queue `{queue.name}` may have are taken by "
            f"{names}{more}, and this job needs {nodes}",
            remedy="wait until they end, or raise `max_nodes` (max_vcpus) and run `mngen apply`",
            certain=False,
        )
    waiting = _list(batch, queue_name(account.cluster.spec, queue.name), "RUNNABLE")
    waiting += [
        each
        for each in _arrays(batch, queue_name(account.cluster.spec, queue.name))
        if counts_of(each).get("RUNNABLE") and each["jobId"] != array_of(job["jobId"])
    ]
    ahead = [each for each in waiting if each.get("createdAt", 0) < job.get("createdAt", 0)]
    if ahead:
        count = sum(counts_of(each).get("RUNNABLE", 1) for each in ahead)
        jobs = "job is" if count == 1 else "jobs are"
        yield Cause(
            what=f"{count} {jobs} ahead in the queue `{queue.name}`, the first "
            f"{min(ahead, key=lambda each: each.get('createdAt', 0))['jobId']}",
            remedy="a queue is served in its order: see why that one waits",
            certain=False,
        )


def _unknown(job: JobDetailTypeDef) -> Cause:
    age = _clock.now() - job.get("createdAt", 0) / 1000
    if age < _SOON or job["status"] != "RUNNABLE":
        return Cause(
            what="nothing is wrong as far as can be seen: Batch looks at the job within a minute, "
            "and an instance takes a few to come up",
            remedy="wait a little, and ask again",
            certain=False,
        )
    return Cause(
        what="no cause can be seen from here, and Batch names none",
        remedy="if no instance has started, the activity of the environment's Auto Scaling group "
        "in the EC2 console shows why; with the permissions of `mngen policy submitter`, this "
        "command looks at those that have",
        certain=False,
        see=STUCK,
    )


def _queue(account: Account, job: JobDetailTypeDef) -> ResolvedQueue | None:
    name = job["jobQueue"].rpartition("/")[2]
    queues = {queue_name(account.cluster.spec, each.name): each for each in account.cluster.queues}
    return queues.get(name)


def _list(batch: BatchClient, queue: str, state: Any) -> list[JobSummaryTypeDef]:
    pages = batch.get_paginator("list_jobs").paginate(jobQueue=queue, jobStatus=state)
    return [each for page in pages for each in page["jobSummaryList"]]


def _running(array: JobSummaryTypeDef) -> int:
    counts = counts_of(array)
    return sum(counts.get(state, 0) for state in _RUNS)


def _arrays(batch: BatchClient, queue: str) -> list[JobSummaryTypeDef]:
    """Returns the arrays of a queue that have not finished, with their counts."""
    listed = _list(batch, queue, "PENDING")
    return [*with_counts(batch, (each for each in listed if size_of(each) is not None))]


def _count(job: Any) -> int:
    return int(job.get("nodeProperties", {}).get("numNodes", 1))


def _present(values: Any) -> Any:
    return {key: value for key, value in values.items() if value is not None}
