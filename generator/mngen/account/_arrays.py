"""Array jobs by their IDs: a job of one has the ID of the array, `:` and an index from 0.

Source: https://docs.aws.amazon.com/batch/latest/userguide/array_jobs.html
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_CHILD = re.compile(r"(.+):([0-9]{1,5})")
_ENDED = ("SUCCEEDED", "FAILED")


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


def is_to_come(array: Mapping[str, Any], identifier: str) -> bool:
    """Returns whether Batch may yet make a job of an array, by the job's ID.

    When it does for an array that waits for other jobs, AWS does not state.
    Source: https://docs.aws.amazon.com/batch/latest/APIReference/API_JobSummary.html (`createdAt`
    of a job is when its array spawned it)

    Args:
        array: What Batch knows of the array.
        identifier: ID of the job.
    """
    return array["status"] not in _ENDED and index_of(identifier) < (size_of(array) or 0)
