"""The rows of a sweep that were submitted before, and whose jobs still count.

A row that was submitted alone is found by its token, as any job is (`mngen.jobs._twins`). One in an
array is found by the rows that the array carries (`mngen.jobs._rows`), and counts as long as its
own child waits, runs or has succeeded.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from mngen.account import index_of, size_of
from mngen.cluster import ROWS_VARIABLE, queue_name
from mngen.errors import ToolError
from mngen.jobs import _clock
from mngen.jobs._arrays import list_children
from mngen.jobs._batch import describe, list_filtered
from mngen.jobs._dependencies import was_cancelled
from mngen.jobs._rows import unpack
from mngen.jobs._submit import ARRAY_LISTED_AFTER, LOOK_SECONDS
from mngen.jobs._twins import age, as_submission, counting, token_in
from mngen.jobs._types import STATES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_batch.client import BatchClient
    from mypy_boto3_batch.type_defs import JobDetailTypeDef

    from mngen.jobs._journal import Entry
    from mngen.jobs._rows import Rows
    from mngen.jobs._sweep import Sweep
    from mngen.jobs._types import State, Submission

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """What was submitted of a sweep before.

    Attributes:
        rows: The rows that need not be sent, by their numbers, with the first job of each.
        arrays: IDs of all arrays that were looked at: what is not among the rows is in none.
    """

    rows: dict[int, Submission]
    arrays: frozenset[str]


def find_rows(batch: BatchClient, sweep: Sweep, entry: Entry) -> Found:
    """Returns the rows that need not be sent.

    Args:
        batch: A client for reading.
        sweep: The sweep.
        entry: The record of what this machine has sent of this sweep.

    Raises:
        ToolError: An array may have rows of the sweep, and cannot be read.
    """
    arrays, alone = _submitted(batch, sweep, entry)
    found: dict[int, Submission] = {}
    for array in sorted(arrays, key=age):
        for number, submission in _rows_of(batch, sweep, array):
            found.setdefault(number, submission)
    known = counting(batch, list(dict.fromkeys(alone)))
    for number in sweep.numbers if known else ():
        job = None if number in found else known.get(sweep.job(number).token)
        if job is not None:
            found[number] = as_submission(job, sweep.base.intent)
    return Found(found, frozenset(each["jobId"] for each in arrays))


def child_of(submission: Submission, index: int, name: str) -> Submission:
    """Returns a job of an array as a submission.

    Args:
        submission: The array.
        index: The job's index in it.
        name: Its name.
    """
    return msgspec.structs.replace(submission, id=f"{submission.id}:{index}", name=name)


def _submitted(
    batch: BatchClient, sweep: Sweep, entry: Entry
) -> tuple[list[JobDetailTypeDef], list[str]]:
    """Returns arrays that may be of a sweep, and IDs of single jobs that may.

    Those that this machine has sent are known by their IDs, whether Batch lists them yet or not. If
    no answer to the last request was read, what it made is waited for as long as Batch may take to
    list it.
    """
    cluster = sweep.base.target.account.cluster
    queue = queue_name(cluster.spec, sweep.base.intent.queue.name)
    is_told = False
    while True:
        listed = list(list_filtered(batch, queue, "JOB_NAME", f"{sweep.name}-*"))
        arrays = [each for each in listed if size_of(each) is not None]
        looked_at = listed if entry.is_lost else arrays
        ids = dict.fromkeys([*(each["jobId"] for each in looked_at), *entry.jobs])
        described = list(describe(batch, list(ids)))
        is_there = any(
            token_in(each) == entry.part and each["jobId"] not in entry.jobs for each in described
        )
        waits = entry.is_lost and _clock.now() - (entry.began or 0.0) <= ARRAY_LISTED_AFTER
        if is_there or not waits:
            alone = [
                each["jobId"]
                for each in (*listed, *described)
                if size_of(each) is None and each.get("status") != "FAILED"
            ]
            return [each for each in described if size_of(each) is not None], alone
        if not is_told:
            _LOG.info("the last submission of this sweep got no answer: looking for what it made")
            is_told = True
        _clock.sleep(LOOK_SECONDS)


def _rows_of(
    batch: BatchClient, sweep: Sweep, array: JobDetailTypeDef
) -> Iterator[tuple[int, Submission]]:
    """Yields the rows of an array whose jobs count; none if it is another sweep's."""
    rows = _rows_in(batch, sweep, array)
    if rows is None or rows.sweep != sweep.token:
        return
    submission = as_submission(array, sweep.base.intent)
    states = _states(batch, array, len(rows.numbers))
    for index, (number, values) in enumerate(zip(rows.numbers, rows.values, strict=True)):
        same = number in sweep.numbers and values == sweep.rows[number - 1]
        if same and index in states:
            child = child_of(submission, index, sweep.name_of(number))
            yield number, msgspec.structs.replace(child, state=states[index])


def _rows_in(batch: BatchClient, sweep: Sweep, array: JobDetailTypeDef) -> Rows | None:
    """Returns the rows that an array carries; None if it has none.

    DescribeJobs shows the container of an array: https://github.com/boto/boto3/issues/3719. Where
    its variables are not shown, those of its first child are read.

    Raises:
        ToolError: mngen has submitted it, its children may run, and neither shows rows.
    """
    packed = _packed_in(array)
    definition: Any = sweep.base.definition
    is_ours = token_in(array) and array["jobDefinition"] == definition["jobDefinitionArn"]
    if packed is None and is_ours:
        first = next(describe(batch, [f"{array['jobId']}:0"]), None)
        packed = None if first is None else _packed_in(first)
        # One that failed with its dependency may have no children.
        if packed is None and array["status"] != "FAILED":
            raise ToolError(
                f"AWS Batch does not show which rows the array job {array['jobId']} has",
                hint="repeat the command later; --again submits all rows once more",
            )
    return None if packed is None else unpack(packed)


def _packed_in(job: JobDetailTypeDef) -> str | None:
    container: Any = job.get("container", {})
    variables = {each["name"]: each.get("value", "") for each in container.get("environment", [])}
    packed: str | None = variables.get(ROWS_VARIABLE)
    return packed


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
