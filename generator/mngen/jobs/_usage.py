"""How long jobs used instances, from what AWS Batch remembers of them, in few calls.

ListJobs gives 1,000 jobs a page by state, but 100 by time, and DescribeJobs describes 100: so
10,000 jobs take 10 pages and 100 descriptions, and the time of submission is compared here. The
jobs of an array are described by their IDs, which follow from that of the array.
Sources: https://docs.aws.amazon.com/batch/latest/APIReference/API_ListJobs.html,
https://docs.aws.amazon.com/batch/latest/APIReference/API_DescribeJobs.html

AWS documents the attempts of a job, but does not state that those of a multi-node job as a whole
are reported as well as those of its nodes. Where they are missing, the job's own start and end
count as one attempt.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from mngen.account import array_of, index_of, size_of
from mngen.cluster import SUBMITTER_TAG, definition_name, queue_name, registered_memory
from mngen.jobs._arrays import counts_of, ids_in
from mngen.jobs._batch import describe
from mngen.jobs._types import ENDED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mypy_boto3_batch.client import BatchClient
    from mypy_boto3_batch.type_defs import JobDetailTypeDef

    from mngen.cluster import Cluster, ResolvedEnvironment

_LOG = logging.getLogger(__name__)

_STATES = ("PENDING", "RUNNABLE", "RUNNING", "FAILED", "SUCCEEDED")
"""In the order in which a job moves on, so that one that does meanwhile is not missed.

An array is PENDING while its jobs run. STARTING is left out to stay within 120 calls for 10,000
jobs in two queues: a first attempt that starts has used nothing, and earlier ones count again once
it runs.
"""
_WAITING = ("PENDING", "RUNNABLE")
_NOT_BEGUN = ("SUBMITTED", "PENDING")
_PAGE = 1000


class NodeUsage(Struct, frozen=True, kw_only=True):
    """How long one node of a job, or one job of an array, used its instance.

    Attributes:
        index: Its index, from 0.
        seconds: The time of all its attempts.
        attempts: How many there were.
        instance: The instance type, as AWS Batch reports it; None where it does not.
        is_open: Whether it has ended, but AWS Batch does not report when: the time is too short.
    """

    index: int
    seconds: float
    attempts: int
    instance: str | None = None
    is_open: bool = False


class Usage(Struct, frozen=True, kw_only=True):
    """How long a job used instances.

    Attributes:
        id: Its id.
        name: Its name.
        job: The job of the spec, or the name of its definition where it is none of the spec's.
        queue: The queue of the spec.
        user: Who submitted it, as far as its tags show; None if they do not.
        state: Its state.
        created: When it was submitted, in seconds since the epoch.
        nodes: How many nodes it has.
        attempts: How many attempts there were, the one that runs included.
        seconds: The time of all attempts, from the start of the containers to their end or until
            now, of all nodes together.
        shares: The part of an instance that a node takes, from 0 to 1, by the instance types that
            it can be on. A node of a multi-node job takes all of it.
        in_block: Whether it may have run in a capacity block.
        is_existing: Whether it may have run in an environment that the spec does not describe.
        size: How many jobs an array has; None for a job that is not an array.
        is_forgotten: Whether AWS Batch no longer has a record of some jobs of the array that it is.
        is_open: Whether it has ended, but AWS Batch does not report when: the time is too short.
        by_node: Each node, or each job of an array of which AWS Batch has a record, on its own;
            empty where only the job as a whole was asked for.
    """

    id: str
    name: str
    job: str
    queue: str
    user: str | None
    state: str
    created: float
    nodes: int
    attempts: int
    seconds: float
    shares: dict[str, float]
    in_block: bool = False
    is_existing: bool = False
    size: int | None = None
    is_forgotten: bool = False
    is_open: bool = False
    by_node: tuple[NodeUsage, ...] = ()


def list_usage(batch: BatchClient, cluster: Cluster, since: float, now: float) -> list[Usage]:
    """Returns how long the jobs of the deployment's queues used instances, the newest first.

    All nodes of a multi-node job count for as long as the job: AWS Batch stops them with the main
    node. The jobs of an array count each, with the tags of the array. A job that waits is left out,
    unless it has run before; an array that has jobs of which AWS Batch no longer has a record is
    there as well, for those. Logs each queue of the spec that AWS Batch does not have.

    Args:
        batch: The client.
        cluster: The deployment.
        since: Leaves out what was submitted before, in seconds since the epoch.
        now: Until when a job that runs counts, likewise.
    """
    queues = [queue_name(cluster.spec, each.name) for each in cluster.queues]
    # A queue is there only once its images are baked.
    there = batch.describe_job_queues(jobQueues=queues)["jobQueues"]
    names = {each["jobQueueName"] for each in there}
    for queue in cluster.queues:
        if queue_name(cluster.spec, queue.name) not in names:
            _LOG.warning("queue %s is not in AWS Batch: jobs it had cannot be read", queue.name)
    wanted = {
        identifier: None
        for each in there
        for identifier in _ids(batch, each["jobQueueName"], since)
    }
    found = []
    for job in _with_children(batch, describe(batch, list(wanted))):
        usage = _usage(cluster, job, now)
        if usage.size is not None:
            found.append(replace(usage, is_forgotten=True))
        elif usage.seconds or usage.state not in _WAITING:
            found.append(usage)
    return sorted(found, key=lambda each: (-each.created, each.id))


def usage_of(batch: BatchClient, cluster: Cluster, job: Mapping[str, Any], now: float) -> Usage:
    """Returns how long each node of a job, or each job of an array, used its instance.

    A node that AWS Batch does not describe counts as long as the job.

    Args:
        batch: The client.
        cluster: The deployment.
        job: What Batch knows of the job.
        now: Until when a node that runs counts, in seconds since the epoch.
    """
    whole = _usage(cluster, job, now)
    if size_of(job) is not None:
        return _usage_of_array(batch, whole, job, now)
    if "nodeProperties" not in job:
        return whole
    ids = [f"{job['jobId']}#{index}" for index in range(whole.nodes)]
    times = _attempts(job, now)
    by_node = {
        index: NodeUsage(
            index=index, seconds=sum(times), attempts=len(times), is_open=whole.is_open
        )
        for index in range(whole.nodes)
    }
    for each in describe(batch, ids):
        index, times = int(each["jobId"].rpartition("#")[2]), _attempts(each, now)
        by_node[index] = NodeUsage(
            index=index,
            seconds=sum(times),
            attempts=len(times),
            instance=each.get("container", {}).get("instanceType"),
            is_open=_is_open(each),
        )
    return replace(
        whole,
        seconds=sum(each.seconds for each in by_node.values()),
        is_open=any(each.is_open for each in by_node.values()),
        by_node=tuple(by_node.values()),
    )


def _usage_of_array(batch: BatchClient, whole: Usage, job: Mapping[str, Any], now: float) -> Usage:
    by_index: list[NodeUsage] = []
    states = Counter[str]()
    for each in describe(batch, ids_in(job)):
        states[each["status"]] += 1
        times = _attempts(each, now)
        by_index.append(
            NodeUsage(
                index=index_of(each["jobId"]),
                seconds=sum(times),
                attempts=len(times),
                is_open=_is_open(each),
            )
        )
    return replace(
        whole,
        is_forgotten=_is_forgotten(job, states),
        attempts=sum(each.attempts for each in by_index),
        seconds=sum(each.seconds for each in by_index),
        is_open=any(each.is_open for each in by_index),
        by_node=tuple(sorted(by_index, key=lambda each: each.index)),
    )


def _with_children(
    batch: BatchClient, jobs: Iterable[JobDetailTypeDef]
) -> Iterator[Mapping[str, Any]]:
    """Yields jobs, of arrays their jobs with the tags of the array, which those lack.

    An array that has jobs of which AWS Batch no longer has a record comes after them.
    Source: https://docs.aws.amazon.com/batch/latest/userguide/using-tags.html
    """
    arrays: dict[str, JobDetailTypeDef] = {}
    for job in jobs:
        if size_of(job) is None:
            yield job
        else:
            arrays[job["jobId"]] = job
    states = {name: Counter[str]() for name in arrays}
    for child in describe(batch, [each for job in arrays.values() for each in ids_in(job)]):
        array = arrays[array_of(child["jobId"]) or ""]
        states[array["jobId"]][child["status"]] += 1
        yield {**child, "tags": array.get("tags", {})}
    for name, job in arrays.items():
        if _is_forgotten(job, states[name]):
            yield job


def _is_forgotten(array: Mapping[str, Any], states: Mapping[str, int]) -> bool:
    """Returns whether AWS Batch no longer has a record of some jobs of an array that have begun.

    One that waits for other jobs may have none yet, and one that failed with these none at all.

    Args:
        array: What Batch knows of the array.
        states: How many of its jobs Batch describes, by state.
    """
    if sum(states.values()) >= (size_of(array) or 0):
        return False
    counted = sum(count for state, count in counts_of(array).items() if state not in _NOT_BEGUN)
    known = sum(count for state, count in states.items() if state not in _NOT_BEGUN)
    return known < counted or array["status"] == "SUCCEEDED"


def _ids(batch: BatchClient, queue: str, since: float) -> Iterator[str]:
    """Yields the ids of the jobs of a queue that have run or may have."""
    paginator: Any = batch.get_paginator("list_jobs")
    for state in _STATES:
        pages = paginator.paginate(
            jobQueue=queue, jobStatus=state, PaginationConfig={"PageSize": _PAGE}
        )
        for page in pages:
            for job in page["jobSummaryList"]:
                # What a summary lacks proves nothing: AWS Batch leaves out startedAt and others of
                # jobs that wait. Source: https://github.com/aws/aws-sdk-js/issues/4193
                if job.get("createdAt", 0) >= since * 1000:
                    yield job["jobId"]


def _usage(cluster: Cluster, job: Mapping[str, Any], now: float) -> Usage:
    queue = job["jobQueue"].rpartition("/")[2]
    known = {queue_name(cluster.spec, each.name): each for each in cluster.queues}
    resolved = known.get(queue)
    environments = resolved.environments if resolved else ()
    nodes = job.get("nodeProperties", {}).get("numNodes", 1)
    times = _attempts(job, now)
    return Usage(
        id=job["jobId"],
        name=job["jobName"],
        job=_job(cluster, job["jobDefinition"]),
        queue=resolved.name if resolved else queue,
        user=job.get("tags", {}).get(SUBMITTER_TAG),
        state=job["status"],
        created=job.get("createdAt", 0) / 1000,
        nodes=nodes,
        attempts=len(times),
        seconds=sum(times) * nodes,
        shares=_shares(job, environments),
        size=size_of(job),
        in_block=any(each.block for each in environments),
        is_existing=resolved is None or bool(resolved.spec.legacy),
        is_open=_is_open(job),
    )


def _attempts(job: Mapping[str, Any], now: float) -> list[float]:
    """Returns how long each attempt of a job or a node ran, in seconds."""
    ended = [
        max(0.0, (each["stoppedAt"] - each["startedAt"]) / 1000)
        for each in job.get("attempts", [])
        if each.get("startedAt") and each.get("stoppedAt")
    ]
    start, stop = job.get("startedAt"), job.get("stoppedAt")
    if start and job["status"] == "RUNNING":
        return [*ended, max(0.0, now - start / 1000)]
    if start and stop and not job.get("attempts"):
        return [max(0.0, (stop - start) / 1000)]
    return ended


def _is_open(job: Mapping[str, Any]) -> bool:
    """Returns whether a job or a node has ended with an attempt that only has a start.

    Neither time of an attempt is required.
    Source: https://docs.aws.amazon.com/batch/latest/APIReference/API_AttemptDetail.html
    """
    attempts = job.get("attempts") or [job]
    return job["status"] in ENDED and any(
        each.get("startedAt") and not each.get("stoppedAt") for each in attempts
    )


def _job(cluster: Cluster, definition: str) -> str:
    name = definition.rpartition("/")[2].partition(":")[0]
    known = {definition_name(cluster.spec, each.name): each.name for each in cluster.jobs}
    return known.get(name, name)


def _shares(
    job: Mapping[str, Any], environments: tuple[ResolvedEnvironment, ...]
) -> dict[str, float]:
    """Returns which part of an instance a node takes: that of what it takes most of.

    A job whose needs AWS Batch does not report counts as a whole instance.
    """
    if "nodeProperties" in job:
        return dict.fromkeys((kind.name for each in environments for kind in each.types), 1.0)
    container = job.get("container", {})
    needs = {"VCPU": container.get("vcpus", 0), "MEMORY": container.get("memory", 0)}
    needs |= {
        each["type"]: float(each["value"]) for each in container.get("resourceRequirements", [])
    }
    shares: dict[str, float] = {}
    for each in environments:
        for kind in each.types:
            parts = [
                needs["VCPU"] / each.schedulable_vcpus,
                needs["MEMORY"] / registered_memory(kind),
                needs.get("GPU", 0.0) / each.gpus if each.gpus else 0.0,
            ]
            shares[kind.name] = max(shares.get(kind.name, 0.0), min(1.0, max(parts)) or 1.0)
    return shares
