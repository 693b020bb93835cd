"""The state of jobs: one with all its nodes, or many in short."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from mngen.account import index_of, size_of
from mngen.cluster import (
    BATCH_LOG_GROUP,
    DEPLOYMENT_TAG,
    GROUP_VARIABLE,
    definition_name,
    log_group_name,
    queue_name,
)
from mngen.errors import InputError
from mngen.jobs._arrays import counts_of, ids_in, list_children, look_up, with_counts
from mngen.jobs._attempts import explain_attempts
from mngen.jobs._batch import DESCRIBED_AT_ONCE, KEPT_DAYS, describe, job_id, list_filtered
from mngen.jobs._dependencies import awaited_of, dependencies_of
from mngen.jobs._types import STATES, WAITING, JobStatus, JobSummary, NodeStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from mypy_boto3_batch.client import BatchClient
    from mypy_boto3_batch.type_defs import JobDetailTypeDef, JobSummaryTypeDef

    from mngen.cluster import Cluster
    from mngen.jobs._types import State


def describe_one(batch: BatchClient, identifier: str) -> JobDetailTypeDef:
    """Returns what Batch knows of a job; see `look_up`.

    Raises:
        InputError: It knows no such job.
    """
    found = look_up(batch, job_id(identifier))
    if found is None:
        raise InputError(
            f"job `{identifier}` not found",
            hint=f"run mngen jobs for a list; AWS Batch keeps jobs for {KEPT_DAYS} days",
        )
    return found


def status_of(
    batch: BatchClient,
    cluster: Cluster,
    job: JobDetailTypeDef,
    progress: Callable[[int, int], None] | None = None,
    *,
    children: bool = False,
) -> JobStatus:
    """Returns the state of a job with its nodes: one call for each hundred of them.

    Args:
        batch: The client.
        cluster: The deployment.
        job: What Batch knows of the job.
        progress: Is called with how many nodes were described, and of how many.
        children: Whether the jobs of an array stand for nodes, since it has none itself.
    """
    groups = groups_of(job)
    nodes = tuple(
        replace(each, group=groups.get(each.index))
        for each in (
            _nodes(batch, job, progress)
            if size_of(job) is None
            else _children(batch, job, progress)
            if children
            else ()
        )
    )
    main = next((each for each in nodes if each.main), None)
    return JobStatus(
        id=job["jobId"],
        name=job["jobName"],
        queue=_short(cluster, job["jobQueue"]),
        definition=job["jobDefinition"].rpartition("/")[2],
        state=job["status"],
        reason=job.get("statusReason"),
        created=_seconds(job.get("createdAt")) or 0.0,
        started=_seconds(job.get("startedAt")),
        stopped=_seconds(job.get("stoppedAt")),
        attempt=attempt_of(job),
        attempts=job.get("retryStrategy", {}).get("attempts", 1),
        exit_code=main.exit_code if main else None,
        log_group=_log_group(cluster, job),
        nodes=nodes,
        after=dependencies_of(job),
        retried=explain_attempts(job),
        size=size_of(job),
        children=counts_of(job),
    )


def groups_of(job: JobDetailTypeDef) -> dict[int, str]:
    """Returns the names of node groups by the nodes' indexes, as far as the job has groups.

    DescribeJobs shows the ranges with their ends filled in.
    """
    found: dict[int, str] = {}
    described: Any = job
    for each in described.get("nodeProperties", {}).get("nodeRangeProperties", []):
        variables = each.get("container", {}).get("environment", [])
        names = [every["value"] for every in variables if every["name"] == GROUP_VARIABLE]
        first, _, last = each["targetNodes"].partition(":")
        end = int(last) if last else described["nodeProperties"]["numNodes"] - 1
        for name in names:
            found |= dict.fromkeys(range(int(first or 0), end + 1), name)
    return found


def attempt_of(job: JobDetailTypeDef) -> int:
    """Returns which attempt of a job runs or ran last, from 1; 0 before the first."""
    return len(job.get("attempts", [])) + (job["status"] in ("STARTING", "RUNNING"))


def list_jobs(
    batch: BatchClient,
    cluster: Cluster,
    *,
    since: float,
    queue: str | None = None,
    states: Collection[str] = (),
    name: str | None = None,
    tags: Mapping[str, str] = {},
) -> list[JobSummary]:
    """Returns the jobs of the deployment's queues, the newest first.

    Args:
        batch: The client.
        cluster: The deployment.
        since: Leaves out what was submitted before, in seconds since the epoch.
        queue: Name of a queue in the spec; None for all.
        states: States to show, of an array also those of its jobs; empty for all.
        name: Pattern that a job's name matches, with `*` and `?`; None for all.
        tags: Tags that a job has, which takes a call for each hundred jobs that pass otherwise.
    """
    wanted = [queue_name(cluster.spec, each.name) for each in cluster.queues]
    if queue is not None:
        wanted = [queue_name(cluster.spec, queue)]
    # A queue is there only once its images are baked.
    there = batch.describe_job_queues(jobQueues=wanted)["jobQueues"]
    found = [
        _summary(cluster, each["jobQueueName"], job)
        for each in there
        for job in with_counts(
            batch,
            list_filtered(batch, each["jobQueueName"], "AFTER_CREATED_AT", str(int(since * 1000))),
        )
        if (not states or {job.get("status"), *counts_of(job)} & {*states})
        and (name is None or fnmatchcase(job["jobName"], name))
    ]
    if tags:
        own = {
            job["jobId"]: job.get("tags", {})
            for job in describe(batch, [each.id for each in found])
        }
        found = [each for each in found if tags.items() <= own.get(each.id, {}).items()]
    # An array that has begun is PENDING, and waits for nothing.
    waiting = [
        each.id
        for each in found
        if each.state == "PENDING" and each.children.keys() <= {"SUBMITTED", "PENDING"}
    ]
    awaited = awaited_of(batch, waiting)
    shown = [replace(each, awaits=awaited.get(each.id, ())) for each in found]
    return sorted(shown, key=lambda job: (-job.created, job.id))


def _summary(cluster: Cluster, queue: str, job: JobSummaryTypeDef) -> JobSummary:
    container = job.get("container", {})
    return JobSummary(
        id=job["jobId"],
        name=job["jobName"],
        queue=_short(cluster, queue),
        state=job.get("status", "SUBMITTED"),
        nodes=job.get("nodeProperties", {}).get("numNodes", 1),
        created=_seconds(job.get("createdAt")) or 0.0,
        started=_seconds(job.get("startedAt")),
        stopped=_seconds(job.get("stoppedAt")),
        exit_code=container.get("exitCode"),
        reason=container.get("reason") or job.get("statusReason"),
        share=job.get("shareIdentifier"),
        size=size_of(job),
        children=counts_of(job),
    )


def list_array(
    batch: BatchClient, cluster: Cluster, job: JobDetailTypeDef, states: Collection[State] = ()
) -> list[JobSummary]:
    """Returns the jobs of an array, by index: a call for each thousand of a state.

    Args:
        batch: The client.
        cluster: The deployment.
        job: What Batch knows of the array.
        states: States to show; empty for all.

    Raises:
        InputError: It is not an array.
    """
    if size_of(job) is None:
        raise InputError(
            f"job `{job['jobId']}` is not an array", hint=f"run mngen status {job['jobId']}"
        )
    # The counts may be some moments old, so that they do not show where to look.
    found = {
        each["jobId"]: _summary(cluster, job["jobQueue"], each)
        for each in list_children(batch, job["jobId"], states or STATES)
    }
    return sorted(found.values(), key=lambda each: index_of(each.id))


def _children(
    batch: BatchClient, job: JobDetailTypeDef, progress: Callable[[int, int], None] | None
) -> Iterator[NodeStatus]:
    """Yields the jobs of an array as if they were nodes; one that Batch forgot has its state."""
    ids = ids_in(job)
    known: dict[str, JobDetailTypeDef] = {}
    for first in range(0, len(ids), DESCRIBED_AT_ONCE):
        part = ids[first : first + DESCRIBED_AT_ONCE]
        known |= {each["jobId"]: each for each in describe(batch, part)}
        if progress is not None:
            progress(first + len(part), len(ids))
    for index, each in enumerate(ids):
        yield _node(job, index, known.get(each), main=False)


def _nodes(
    batch: BatchClient, job: JobDetailTypeDef, progress: Callable[[int, int], None] | None
) -> Iterator[NodeStatus]:
    """Yields the nodes; one that Batch does not report yet has the job's state."""
    properties = job.get("nodeProperties")
    if properties is None:
        yield _node(job, 0, job, main=True)
        return
    count, main = properties["numNodes"], properties["mainNode"]
    known: dict[int, JobDetailTypeDef] = {}
    # Of a job that was never placed there are no nodes to ask for.
    if job["status"] not in WAITING or job.get("attempts"):
        ids = [f"{job['jobId']}#{index}" for index in range(count)]
        for first in range(0, count, DESCRIBED_AT_ONCE):
            for each in describe(batch, ids[first : first + DESCRIBED_AT_ONCE]):
                known[int(each["jobId"].rpartition("#")[2])] = each
            if progress is not None:
                progress(min(first + DESCRIBED_AT_ONCE, count), count)
    for index in range(count):
        yield _node(job, index, known.get(index), main=index == main)


def _node(
    job: JobDetailTypeDef, index: int, found: JobDetailTypeDef | None, *, main: bool
) -> NodeStatus:
    if found is None:
        return NodeStatus(
            index=index,
            main=main,
            state=job["status"],
            since=_since(job, job),
            reason=job.get("statusReason"),
        )
    container: Any = found.get("container", {})
    interfaces = container.get("networkInterfaces") or [{}]
    return NodeStatus(
        index=index,
        main=main,
        state=found["status"],
        since=_since(found, job),
        started=_seconds(found.get("startedAt")),
        stopped=_seconds(found.get("stoppedAt")),
        container_instance=container.get("containerInstanceArn") or None,
        instance_type=container.get("instanceType") or None,
        address=interfaces[0].get("privateIpv4Address"),
        exit_code=container.get("exitCode"),
        reason=container.get("reason") or found.get("statusReason"),
        log_stream=container.get("logStreamName"),
    )


def _since(found: JobDetailTypeDef, job: JobDetailTypeDef) -> float | None:
    """Returns since when a node is in its state; Batch does not report when it began to start."""
    state = found["status"]
    if state in WAITING:
        return _seconds(job.get("createdAt"))
    if state == "RUNNING":
        return _seconds(found.get("startedAt"))
    return None if state == "STARTING" else _seconds(found.get("stoppedAt"))


def _log_group(cluster: Cluster, job: JobDetailTypeDef) -> str:
    """Returns the log group that the job's definition names, or Batch's own."""
    described: Any = job
    ranges = described.get("nodeProperties", {}).get("nodeRangeProperties", [])
    container = ranges[0].get("container", {}) if ranges else described.get("container", {})
    configuration = container.get("logConfiguration")
    if configuration is None:
        own = job.get("tags", {}).get(DEPLOYMENT_TAG) == cluster.spec.name
        own = own and not any(
            each.spec.definition
            and f"/{definition_name(cluster.spec, each.name)}:" in job["jobDefinition"]
            for each in cluster.jobs
        )
        return log_group_name(cluster.spec) if own else BATCH_LOG_GROUP
    return str(configuration.get("options", {}).get("awslogs-group") or BATCH_LOG_GROUP)


def _short(cluster: Cluster, queue: str) -> str:
    """Returns the name that a queue has in the spec, or in AWS where it is none of the spec's."""
    name = queue.rpartition("/")[2]
    known = {queue_name(cluster.spec, each.name): each.name for each in cluster.queues}
    return known.get(name, name)


def _seconds(milliseconds: int | None) -> float | None:
    return milliseconds / 1000 if milliseconds else None
