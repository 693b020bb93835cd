"""Array jobs of the emulated Batch: a parent that runs nowhere, and the children that run.

Sources:

- https://docs.aws.amazon.com/batch/latest/userguide/array_jobs.html: the IDs of children, their
  order, the two kinds of dependencies, the states of a parent, that it fails if a child fails, and
  that its children are cancelled or terminated with it;
- botocore's model of AWS Batch: `createdAt` and `dependsOn` of children, `arrayProperties`,
  CancelJob of a parent (children that have started go on), `jobStatus` of ListJobs (a parent is
  PENDING while its children run), TagResource (none of children);
- https://docs.aws.amazon.com/batch/latest/userguide/job_env_vars.html: children alone have
  `AWS_BATCH_JOB_ARRAY_INDEX`. DescribeJobs shows none of the variables that Batch sets;
- https://docs.aws.amazon.com/batch/latest/userguide/using-tags.html: children have no tags of the
  parent;
- https://github.com/AdRoll/batchiepatchie/pull/75: the counts of a parent, zeros among them;
- https://github.com/aws/containers-roadmap/issues/2183: after a child that fails, those that
  follow it in sequence fail.

Answers of AWS that users have published agree: a child has `"tags": {}`, `"dependsOn": []` where
the array depends on nothing, `"arrayProperties": {"statusSummary": {}, "index": 1}` and its own
log stream; a queue's list has one entry for an array; a parent fails with `Array Child Job
failed`.

AWS states that a parent spawns its children after it was submitted (`createdAt` in
https://docs.aws.amazon.com/batch/latest/APIReference/API_JobSummary.html), and not when. Here they
exist, PENDING, as soon as their parent does, unless it is held as SUBMITTED.

Inferred: the words of all other refusals; that a child shows what it waits for itself; that a
parent ends when its last child does, has no start, and has the reason of its cancellation; that a
job can depend on a child.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from moto.batch.exceptions import ClientException

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mngen.sandbox.batch._job import Job

FAILED = "Array Child Job failed"
DEPENDENCY_FAILED = "Dependent Job failed"
"""Why a job fails that depends on one that has failed.

Source: https://github.com/insitro/redun (redun/executors/aws_batch.py)
"""

_SEQUENTIAL, _N_TO_N = "SEQUENTIAL", "N_TO_N"
_LEAST, _MOST = 2, 10_000


def check_array(request: Mapping[str, Any], jobs: Mapping[str, Job], *, multi_node: bool) -> None:
    """Refuses an array, or dependencies of arrays, that Batch refuses.

    Args:
        request: The SubmitJob request.
        jobs: The jobs so far, by ID.
        multi_node: Whether the job definition is of a multi-node parallel job. That Batch refuses
            an array of those is inferred: the API has node indices or array indices for a job.

    Raises:
        ClientException: Batch would refuse the request.
    """
    size = (request.get("arrayProperties") or {}).get("size")
    if size is not None and not _LEAST <= size <= _MOST:
        raise ClientException(f"Array size must be between {_LEAST} and {_MOST}")
    if size is not None and multi_node:
        raise ClientException("arrayProperties cannot be set for a multi-node parallel job")
    for each in request.get("dependsOn") or []:
        kind, identifier = each.get("type"), each.get("jobId")
        if kind not in (None, _SEQUENTIAL, _N_TO_N):
            raise ClientException(
                f"Job dependency type {kind} is not one of {_N_TO_N} | {_SEQUENTIAL}"
            )
        if kind is not None and size is None:
            raise ClientException(f"Only array jobs can have a dependency of type {kind}")
        if kind == _SEQUENTIAL and identifier is None:
            continue
        if identifier not in jobs:
            raise ClientException(f"Job {identifier} does not exist")
        if kind == _N_TO_N and len(jobs[identifier].children) != size:
            raise ClientException(f"Job {identifier} is not an array job of size {size}")


def add_children(parent: Job, size: int) -> None:
    """Gives an array its children, which wait.

    Args:
        parent: The array.
        size: How many there are.
    """
    # What a parent does not leave as it is submitted, its children do not leave either.
    held = parent.script.hold
    script = replace(parent.script, hold="PENDING" if held == "SUBMITTED" else held)
    parent.children = [
        replace(
            parent,
            id=f"{parent.id}:{index}",
            arn=f"{parent.arn}:{index}",
            script=replace(script),
            status="PENDING",
            attempts=[],
            depends_on=_waits_for(parent, index),
            parent=parent,
            index=index,
            children=[],
        )
        for index in range(size)
    ]


def _waits_for(parent: Job, index: int) -> list[dict[str, str]]:
    """Returns what a child waits for: each dependency of its array, as it concerns this child."""
    found = []
    for each in parent.depends_on:
        if each.get("type") == _N_TO_N:
            found.append({"jobId": f"{each['jobId']}:{index}"})
        elif "jobId" in each:
            found.append({"jobId": each["jobId"]})
        if each.get("type") == _SEQUENTIAL and index:
            found.append({"jobId": f"{parent.id}:{index - 1}"})
    return found


def follow_children(parent: Job) -> None:
    """Takes an array to the state that follows from those of its children."""
    found = parent.child_states
    if found["SUCCEEDED"] + found["FAILED"] == len(parent.children):
        parent.status = "FAILED" if found["FAILED"] else "SUCCEEDED"
        if parent.status == "FAILED":
            parent.status_reason = parent.end_reason or _failure(parent)
    elif parent.depends_on or found["PENDING"] < len(parent.children):
        parent.status = "PENDING"


def _failure(parent: Job) -> str:
    reasons = {child.status_reason for child in parent.children}
    return DEPENDENCY_FAILED if reasons == {DEPENDENCY_FAILED} else FAILED
