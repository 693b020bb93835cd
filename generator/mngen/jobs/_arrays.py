"""Array jobs, which other tools submit as well: how many jobs one has, and their IDs.

AWS Batch shows the jobs of an array by the ID of the array, `:` and an index from 0. A queue's list
has the array alone.
Source: https://docs.aws.amazon.com/batch/latest/userguide/array_jobs.html,
https://docs.aws.amazon.com/batch/latest/APIReference/API_ArrayPropertiesDetail.html
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_CHILD = re.compile(r"(.+):([0-9]{1,5})")


def size_of(job: Mapping[str, Any]) -> int | None:
    """Returns how many jobs an array has; None for a job that is not an array."""
    size: int | None = job.get("arrayProperties", {}).get("size")
    return size


def array_of(identifier: str) -> str | None:
    """Returns the ID of the array that a job belongs to, by the job's ID; None for no array."""
    match = _CHILD.fullmatch(identifier)
    return match[1] if match else None


def index_of(identifier: str) -> int:
    """Returns the index of a job in its array, by its ID."""
    return int(identifier.rpartition(":")[2])


def ids_in(job: Mapping[str, Any]) -> list[str]:
    """Returns the IDs of the jobs of an array, by index; none for a job that is not an array."""
    return [f"{job['jobId']}:{index}" for index in range(size_of(job) or 0)]
