"""Cancelling a job, with all its nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen._aws import was_denied
from mngen.account import array_of
from mngen.cluster import DEPLOYMENT_TAG
from mngen.errors import InputError, ToolError
from mngen.jobs._types import ENDED

if TYPE_CHECKING:
    from mypy_boto3_batch.client import BatchClient
    from mypy_boto3_batch.type_defs import JobDetailTypeDef

    from mngen.cluster import Cluster

LONGEST_REASON = 256


def cancel(batch: BatchClient, cluster: Cluster, job: JobDetailTypeDef, reason: str) -> bool:
    """Cancels a job in any state; False if it had ended already.

    TerminateJob cancels a job that waits and stops one that runs, so nothing is missed when the
    job is placed in this very moment, as it would be by CancelJob, which then does nothing and
    does not report it. The ID of the job as a whole cancels all nodes.
    Source: https://docs.aws.amazon.com/batch/latest/APIReference/API_TerminateJob.html

    Args:
        batch: The client.
        cluster: The deployment.
        job: The job.
        reason: What Batch records.

    Raises:
        InputError: It is a job of another deployment.
        ToolError: It is one job of an array, and AWS refuses.
        botocore.exceptions.ClientError: AWS refuses otherwise.
    """
    from botocore.exceptions import ClientError

    require_own(cluster, job)
    if job["status"] in ENDED:
        return False
    try:
        batch.terminate_job(jobId=job["jobId"], reason=reason[:LONGEST_REASON])
    except ClientError as error:
        array = array_of(job["jobId"])
        if array is None or not was_denied(error):
            raise
        raise ToolError(
            f"AWS does not let you cancel `{job['jobId']}` alone: {error}",
            hint="one job of an array has no tags, which policies such as that of `mngen policy "
            f"submitter` ask for: cancel the array (mngen cancel {array}), or let someone cancel "
            "the job whose policy has no such condition",
        ) from None
    return True


def require_own(cluster: Cluster, job: JobDetailTypeDef) -> None:
    """Refuses a job of another deployment, as far as its tags show.

    Raises:
        InputError: It is one.
    """
    owner = job.get("tags", {}).get(DEPLOYMENT_TAG)
    if owner is not None and owner != cluster.spec.name:
        raise InputError(
            f"`{job['jobId']}` is a job of the deployment `{owner}`, not of `{cluster.spec.name}`",
            hint="pass its spec with --file",
        )
