"""The rows of a sweep that were submitted before, and whose jobs still count.

A row that was submitted alone is found by its token, as any job is (`mngen.jobs._twins`). One in an
array is found by the rows that the array carries (`mngen.jobs._rows`), and counts as long as its
own child waits, runs or has succeeded.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec

from mngen.cluster import ROWS_VARIABLE, queue_name
from mngen.jobs._arrays import index_of, list_children, size_of
from mngen.jobs._batch import describe, list_filtered
from mngen.jobs._dependencies import was_cancelled
from mngen.jobs._rows import unpack
from mngen.jobs._submit import LISTED_AFTER, LOOK_SECONDS
from mngen.jobs._twins import age, as_submission, counting
from mngen.jobs._types import STATES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_batch.client import BatchClient
    from mypy_boto3_batch.type_defs import JobDetailTypeDef, JobSummaryTypeDef

    from mngen.jobs._journal import Entry
    from mngen.jobs._sweep import Sweep
    from mngen.jobs._types import State, Submission


def find_rows(batch: BatchClient, sweep: Sweep, entry: Entry) -> dict[int, Submission]:
    """Returns the rows that need not be sent, by their numbers, with the first job of each.

    Args:
        batch: A client for reading.
        sweep: The sweep.
        entry: The record of the arrays of this sweep that this machine has sent.
    """
    listed = _listed(batch, sweep, entry)
    arrays = [each["jobId"] for each in listed if size_of(each)]
    found: dict[int, Submission] = {}
    for array in sorted(describe(batch, arrays), key=age):
        for number, submission in _rows_of(batch, sweep, array):
            found.setdefault(number, submission)
    alone = [
        each["jobId"] for each in listed if not size_of(each) and each.get("status") != "FAILED"
    ]
    known = counting(batch, alone)
    for number in sweep.numbers if known else ():
        job = None if number in found else known.get(sweep.job(number).token)
        if job is not None:
            found[number] = as_submission(job, sweep.base.intent)
    return found


def child_of(submission: Submission, index: int, name: str) -> Submission:
    """Returns a job of an array as a submission.

    Args:
        submission: The array.
        index: The job's index in it.
        name: Its name.
    """
    return msgspec.structs.replace(submission, id=f"{submission.id}:{index}", name=name)


def _listed(batch: BatchClient, sweep: Sweep, entry: Entry) -> list[JobSummaryTypeDef]:
    """Returns the jobs that may be of a sweep, once the array that was sent last is listed.

    Where no answer to the last request was read, that is as long as Batch may take to list a job.
    """
    cluster = sweep.base.target.account.cluster
    queue = queue_name(cluster.spec, sweep.base.intent.queue.name)
    while True:
        found = list(list_filtered(batch, queue, "JOB_NAME", f"{sweep.name}-*"))
        is_there = any(each["jobId"] == entry.job for each in found)
        if is_there or time.time() - (entry.began or 0.0) > LISTED_AFTER:
            return found
        time.sleep(LOOK_SECONDS)


def _rows_of(
    batch: BatchClient, sweep: Sweep, array: JobDetailTypeDef
) -> Iterator[tuple[int, Submission]]:
    """Yields the rows of an array whose jobs count; none if it is another sweep's."""
    container: Any = array.get("container", {})
    environment = {each["name"]: each.get("value", "") for each in container.get("environment", [])}
    rows = unpack(environment.get(ROWS_VARIABLE, ""))
    if rows is None or rows.sweep != sweep.token:
        return
    submission = as_submission(array, sweep.base.intent)
    states = _states(batch, array, len(rows.numbers))
    for index, (number, values) in enumerate(zip(rows.numbers, rows.values, strict=True)):
        same = number in sweep.numbers and values == sweep.rows[number - 1]
        if same and index in states:
            child = child_of(submission, index, sweep.name_of(number))
            yield number, msgspec.structs.replace(child, state=states[index])


def _states(batch: BatchClient, array: JobDetailTypeDef, size: int) -> dict[int, State]:
    """Returns the states of the children of an array that count, by their indexes.

    The array itself is PENDING while a child runs, and FAILED in the end if one has failed.
    Source: https://docs.aws.amazon.com/batch/latest/userguide/array_jobs.html
    """
    job, status = array["jobId"], array["status"]
    if status == "SUCCEEDED":
        return dict.fromkeys(range(size), status)
    if status == "FAILED" or was_cancelled(array):
        # If a job that it depends on has failed, it may have no children at all. CancelJob spares
        # children that run, and TerminateJob does not:
        # https://docs.aws.amazon.com/batch/latest/APIReference/API_CancelJob.html
        spared = status != "FAILED" and not array.get("isTerminated")
        kept: tuple[State, ...] = ("STARTING", "RUNNING") if spared else ()
        return {
            index: state for state in (*kept, "SUCCEEDED") for index in _children(batch, job, state)
        }
    # Listed first: a child that changes its state between two lists still counts.
    failed = set(_children(batch, job, "FAILED"))
    counted = array.get("arrayProperties", {}).get("statusSummary", {})
    states: dict[int, State] = dict.fromkeys(range(size), status)
    for state in STATES:
        if state != "FAILED" and counted.get(state):
            states.update(dict.fromkeys(_children(batch, job, state), state))
    return {index: state for index, state in states.items() if index not in failed}


def _children(batch: BatchClient, array: str, state: State) -> Iterator[int]:
    """Yields the indexes of the children of an array that are in a state."""
    for each in list_children(batch, array, (state,)):
        yield index_of(each["jobId"])
