"""Finding the job that the same request made before.

Batch has no client token, so each job carries one of ours as a tag: the hash of all that was asked
for. The same request is one job as long as that job waits, runs or has succeeded; one that failed
or was cancelled does not count, since the user then wants the request repeated. Batch forgets
a job a week after its end, and with it the token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.cluster import SUBMISSION_TAG, SUBMITTER_TAG
from mngen.jobs._batch import describe, list_filtered
from mngen.jobs._dependencies import dependencies_of, was_cancelled
from mngen.jobs._types import ENDED, Submission

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from mypy_boto3_batch.client import BatchClient
    from mypy_boto3_batch.type_defs import JobDetailTypeDef

    from mngen.account import Intent


def find(
    batch: BatchClient,
    queue: str,
    name: str,
    definitions: Iterable[str] | None = None,
    *,
    rejected: Collection[str] = (),
) -> dict[str, JobDetailTypeDef]:
    """Returns the jobs of a queue that count, by their tokens, of equal ones the first.

    Args:
        batch: The client.
        queue: The queue's name in AWS.
        name: Name of the jobs, in any case of letters; with `*` at the end, how it begins.
        definitions: ARNs of the revisions that matter; None for all.
        rejected: IDs of jobs that are known not to count.
    """
    wanted = None if definitions is None else set(definitions)
    ids = [
        each["jobId"]
        for each in list_filtered(batch, queue, "JOB_NAME", name)
        if each.get("status") != "FAILED"
        and each["jobId"] not in rejected
        and (wanted is None or each["jobDefinition"] in wanted)
    ]
    return counting(batch, ids)


def counting(batch: BatchClient, ids: Sequence[str]) -> dict[str, JobDetailTypeDef]:
    """Returns those of some jobs that count, by their tokens, of equal ones the first."""
    found: dict[str, JobDetailTypeDef] = {}
    for job in sorted(describe(batch, ids), key=age):
        token = token_in(job)
        if token and counts(job):
            found.setdefault(token, job)
    return found


def counts(job: JobDetailTypeDef) -> bool:
    """Returns whether a job stands for its request: whether it waits, runs or has succeeded.

    A job that was cancelled while others had to finish first is PENDING until they have.
    """
    if job["status"] in ENDED:
        return job["status"] == "SUCCEEDED"
    return not was_cancelled(job)


def token_in(job: JobDetailTypeDef) -> str | None:
    """Returns the token that a job carries."""
    return job.get("tags", {}).get(SUBMISSION_TAG)


def as_submission(job: JobDetailTypeDef, intent: Intent) -> Submission:
    """Returns a job that was found as the submission that it is."""
    return Submission(
        id=job["jobId"],
        name=job["jobName"],
        queue=intent.queue.name,
        definition=job["jobDefinition"].rpartition("/")[2],
        nodes=job.get("nodeProperties", {}).get("numNodes", 1),
        token=token_in(job) or "",
        existed=True,
        by=job.get("tags", {}).get(SUBMITTER_TAG),
        state=job["status"],
        after=dependencies_of(job),
    )


def age(job: JobDetailTypeDef) -> tuple[int, str]:
    """Returns what jobs are sorted by: the first one comes first."""
    return job.get("createdAt", 0), job["jobId"]
