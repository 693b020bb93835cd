"""What a planned change means for data and running jobs, in a phrase.

Only the resource types that mngen renders, and only what cannot be undone by the next apply.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mngen._text import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

# https://docs.aws.amazon.com/efs/latest/ug/delete-efs-fs.html
# https://docs.aws.amazon.com/fsx/latest/APIReference/API_DeleteFileSystem.html
# https://docs.aws.amazon.com/batch/latest/APIReference/API_DeleteJobQueue.html
# https://docs.aws.amazon.com/batch/latest/APIReference/API_DeleteComputeEnvironment.html
_WHEN_DESTROYED = {
    "aws_efs_file_system": "every file on it is lost, unless a backup holds it",
    "aws_efs_mount_target": "running jobs that use the file system hang until they are ended",
    "aws_fsx_lustre_file_system": (
        "every file on it is lost, unless it was exported to S3; its automatic backups go as well"
    ),
    "aws_ecr_repository": "every container image in it is deleted",
    "aws_cloudwatch_log_group": "the job logs kept in it are deleted",
    "aws_sns_topic": "its addresses get no more messages, and must confirm again if it comes back",
    "aws_batch_compute_environment": "jobs still running on its instances are ended with them",
    "aws_batch_job_queue": (
        "every job waiting or running in it is ended, and the costs of its jobs are no longer "
        "listed: run mngen cost --keep FILE first"
    ),
}

DATA_TYPES = frozenset(
    {
        "aws_cloudwatch_log_group",
        "aws_ecr_repository",
        "aws_efs_file_system",
        "aws_fsx_lustre_file_system",
    }
)

# A change to these alone leaves running instances alone; any other makes AWS Batch replace them.
# https://docs.aws.amazon.com/batch/latest/userguide/updating-compute-environments.html
_SCALING_ONLY = frozenset({"min_vcpus", "max_vcpus", "desired_vcpus"})
# https://docs.aws.amazon.com/batch/latest/APIReference/API_UpdatePolicy.html
_DEFAULT_TIMEOUT_MINUTES = 30


def when_destroyed(resource_type: str) -> str | None:
    """Returns what is lost or interrupted when such a resource goes, or None."""
    return _WHEN_DESTROYED.get(resource_type)


def when_updated(
    resource_type: str, before: Mapping[str, Any], after: Mapping[str, Any]
) -> str | None:
    """Returns what an update in place interrupts, or None.

    Args:
        resource_type: Such as `aws_batch_compute_environment`.
        before: The resource's attributes as they are.
        after: The resource's attributes as planned; those not known yet are missing.
    """
    if resource_type == "aws_cloudwatch_log_group":
        return _when_kept_otherwise(before, after)
    if resource_type != "aws_batch_compute_environment":
        return None
    old, new = _block(before, "compute_resources"), _block(after, "compute_resources")
    changed = {key for key in {*old, *new} if old.get(key) != new.get(key)}
    if changed <= _SCALING_ONLY:
        return None
    policy = _block(after, "update_policy")
    if policy.get("terminate_jobs_on_update"):
        return "its instances are replaced and the jobs running on them ended at once"
    minutes = policy.get("job_execution_timeout_minutes", _DEFAULT_TIMEOUT_MINUTES)
    return f"its instances are replaced; a job that runs on for {minutes} minutes more is ended"


def _when_kept_otherwise(before: Mapping[str, Any], after: Mapping[str, Any]) -> str | None:
    # 0 means that nothing is ever deleted.
    old, new = before.get("retention_in_days"), after.get("retention_in_days")
    if not new or (old and old <= new):
        return None
    return f"the job logs in it that are older than {counted(new, 'day')} are deleted"


def _block(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Returns the one block of that name: providers store it as a list of at most one."""
    blocks = values.get(name)
    if isinstance(blocks, list) and blocks and isinstance(blocks[0], dict):
        return blocks[0]
    return {}
