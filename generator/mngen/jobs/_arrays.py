"""Array jobs, which other tools submit as well: how many jobs one has, and how far they are.

AWS Batch shows the jobs of an array by the ID of the array, `:` and an index from 0. A queue's list
has the array alone, which is PENDING while its jobs run, with how many of them are in each state;
until 2026, DescribeJobs alone had these counts. They may be some moments old.
Source: https://docs.aws.amazon.com/batch/latest/userguide/array_jobs.html,
https://docs.aws.amazon.com/batch/latest/APIReference/API_ListJobs.html,
https://docs.aws.amazon.com/batch/latest/APIReference/API_ArrayPropertiesDetail.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mngen.account import array_of, index_of, is_to_come, size_of
from mngen.errors import InputError
from mngen.jobs._batch import describe
from mngen.jobs._types import STATES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mypy_boto3_batch.client import BatchClient
    from mypy_boto3_batch.type_defs import JobDetailTypeDef, JobSummaryTypeDef

    from mngen.jobs._types import State

_PAGE = 1000
_MOST_FOLLOWED = 1000
"""As many as a job can have nodes: each look at them describes all of them."""


def counts_of(job: Mapping[str, Any]) -> dict[str, int]:
    """Returns how many jobs of an array are in each state, in the order of states, without zeros.

    Empty where AWS Batch does not show it, and for a job that is not an array.
    """
    counts = job.get("arrayProperties", {}).get("statusSummary") or {}
    return {state: counts[state] for state in STATES if counts.get(state)}


def look_up(batch: BatchClient, identifier: str) -> JobDetailTypeDef | None:
    """Returns what Batch knows of a job; one of an array has the tags of the array.

    A job of an array that Batch has not made yet is as far as its array.
    Source: https://docs.aws.amazon.com/batch/latest/userguide/using-tags.html (jobs of an array
    have no tags)

    Args:
        batch: The client.
        identifier: ID of the job.
    """
    name = array_of(identifier)
    found = {each["jobId"]: each for each in describe(batch, [*filter(None, (identifier, name))])}
    job, array = found.get(identifier), found.get(name or "")
    if array is None:
        return job
    if job is not None:
        job["tags"] = {**array.get("tags", {}), **job.get("tags", {})}
        return job
    if not is_to_come(array, identifier):
        return None
    index = index_of(identifier)
    return {
        **array,
        "jobId": identifier,
        "jobArn": f"{array.get('jobArn', '')}:{index}",
        "arrayProperties": {"index": index},
    }


def ids_in(job: Mapping[str, Any]) -> list[str]:
    """Returns the IDs of the jobs of an array, by index; none for a job that is not an array."""
    return [f"{job['jobId']}:{index}" for index in range(size_of(job) or 0)]


def require_no_array(job: Mapping[str, Any], reason: str) -> None:
    """Refuses an array where only one of its jobs will do.

    Args:
        job: What Batch knows of the job.
        reason: Why, of its jobs: `which have outputs each`.

    Raises:
        InputError: It is an array.
    """
    size = size_of(job)
    if size is not None:
        raise InputError(
            f"job `{job['jobId']}` is an array of {size} jobs, {reason}",
            hint=f"name one of them, from {job['jobId']}:0 to {job['jobId']}:{size - 1}",
        )


def require_few(job: Mapping[str, Any]) -> None:
    """Refuses an array that is too large to follow what its jobs write.

    Raises:
        InputError: It is.
    """
    if (size_of(job) or 0) > _MOST_FOLLOWED:
        require_no_array(job, f"more than the {_MOST_FOLLOWED} that can be followed")


def in_words(counts: Mapping[str, int]) -> str:
    """Returns counts of jobs by state for a reader: `3 RUNNING, 7 SUCCEEDED`."""
    return ", ".join(f"{count} {state}" for state, count in counts.items())


def with_counts(
    batch: BatchClient, jobs: Iterable[JobSummaryTypeDef]
) -> Iterator[JobSummaryTypeDef]:
    """Yields jobs of a list, arrays with their counts; asks for those that the list lacks."""
    listed = list(jobs)
    lacking = [
        each["jobId"] for each in listed if size_of(each) is not None and not counts_of(each)
    ]
    found = {each["jobId"]: each for each in describe(batch, lacking)}
    for each in listed:
        shown: Any = each
        if each["jobId"] in found:
            shown = {**each, "arrayProperties": found[each["jobId"]].get("arrayProperties", {})}
        yield shown


def list_children(
    batch: BatchClient, array: str, states: Iterable[State], most: int | None = None
) -> Iterator[JobSummaryTypeDef]:
    """Yields the jobs of an array in some states, a call for each thousand of a state.

    Args:
        batch: The client.
        array: ID of the array.
        states: The states.
        most: How many of each state at most; None for all.
    """
    config = {"PageSize": min(_PAGE, most or _PAGE), "MaxItems": most}
    paginator: Any = batch.get_paginator("list_jobs")
    for state in states:
        pages = paginator.paginate(arrayJobId=array, jobStatus=state, PaginationConfig=config)
        for page in pages:
            yield from page["jobSummaryList"]
