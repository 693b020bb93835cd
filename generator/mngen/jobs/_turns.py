"""Whose turn it is in a queue: Batch's own snapshot of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mngen.cluster import queue_name
from mngen.jobs._batch import job_id
from mngen.jobs._types import ShareUse, Turns

if TYPE_CHECKING:
    from mypy_boto3_batch.client import BatchClient

    from mngen.cluster import Cluster


def turns_of(batch: BatchClient, cluster: Cluster, queue: str) -> Turns:
    """Asks Batch in which order the first jobs of a queue start, and who uses how much.

    Source: https://docs.aws.amazon.com/batch/latest/APIReference/API_GetJobQueueSnapshot.html

    Args:
        batch: The client.
        cluster: The deployment.
        queue: Name of a queue in the spec.
    """
    # The types of some versions lack the utilization.
    found: Any = batch.get_job_queue_snapshot(jobQueue=queue_name(cluster.spec, queue))
    used = found.get("queueUtilization", {})
    shares = used.get("fairshareUtilization", {}).get("topCapacityUtilization", [])
    return Turns(
        queue=queue,
        jobs=tuple(
            job_id(each["jobArn"]) for each in found.get("frontOfQueue", {}).get("jobs", [])
        ),
        vcpus=_vcpus(used.get("totalCapacityUsage", [])),
        shares=tuple(
            ShareUse(share=each["shareIdentifier"], vcpus=_vcpus(each.get("capacityUsage", [])))
            for each in shares
        ),
    )


def _vcpus(usage: list[dict[str, Any]]) -> float:
    """Returns the vCPUs of a usage, whose parts are all optional.

    The unit is `VCPU` in the API reference (API_QueueSnapshotCapacityUsage), and `vCPU` in answers:
    https://docs.aws.amazon.com/batch/latest/userguide/track-capacity-utilization-compute-jobs.html
    """
    counted = [each for each in usage if each.get("capacityUnit", "VCPU").upper() == "VCPU"]
    return float(sum(each.get("quantity", 0) for each in counted))
