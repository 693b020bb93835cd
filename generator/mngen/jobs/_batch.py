"""The calls to Batch that the package shares: pages and hundreds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mypy_boto3_batch.client import BatchClient
    from mypy_boto3_batch.type_defs import (
        JobDetailTypeDef,
        JobSummaryTypeDef,
        KeyValuesPairTypeDef,
    )

DESCRIBED_AT_ONCE = 100
"""Most ids of one DescribeJobs call.

Source: https://docs.aws.amazon.com/batch/latest/APIReference/API_DescribeJobs.html
"""

KEPT_DAYS = 7
"""How long Batch remembers a job that has ended.

Source: https://docs.aws.amazon.com/batch/latest/userguide/job_states.html
"""


def job_id(text: str) -> str:
    """Returns the id of a job as a whole from its id, its ARN, or the id of one of its nodes."""
    return text.strip().rpartition(":job/")[2].partition("#")[0]


def describe(batch: BatchClient, ids: Sequence[str]) -> Iterator[JobDetailTypeDef]:
    """Yields what Batch knows of jobs and nodes, a hundred a call; unknown ones are left out."""
    for first in range(0, len(ids), DESCRIBED_AT_ONCE):
        yield from batch.describe_jobs(jobs=ids[first : first + DESCRIBED_AT_ONCE])["jobs"]


def list_filtered(
    batch: BatchClient, queue: str, name: str, value: str
) -> Iterator[JobSummaryTypeDef]:
    """Yields the jobs of a queue, in any state, that pass a filter, the newest first."""
    wanted: Iterable[KeyValuesPairTypeDef] = [{"name": name, "values": [value]}]
    pages: Any = batch.get_paginator("list_jobs").paginate(jobQueue=queue, filters=list(wanted))
    for page in pages:
        yield from page["jobSummaryList"]
