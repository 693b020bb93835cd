"""Why a job is stuck in RUNNABLE, in AWS's own words.

All reasons of the guide, and no other. The one of the service role has an en dash there where the
others have a hyphen.
Source: https://docs.aws.amazon.com/batch/latest/userguide/job_stuck_in_runnable.html
"""

from __future__ import annotations

NO_CAPACITY = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"
MAX_RESOURCE = "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE"
JOB_RESOURCE = "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"
SERVICE_ROLE = "MISCONFIGURATION:SERVICE_ROLE_PERMISSIONS"
UNSUPPORTED = "MISCONFIGURATION:EC2_INSTANCE_CONFIGURATION_UNSUPPORTED"
INVALID = "ACTION_REQUIRED"
UNDETERMINED = "UNDETERMINED"

_TEXTS = {
    NO_CAPACITY: " - Service cannot fulfill the capacity requested for instance type [{}]",
    MAX_RESOURCE: " - CE(s) associated with the job queue cannot meet the CPU requirement of the "
    "job.",
    JOB_RESOURCE: " - The job resource requirement (vCPU/memory/GPU) is higher than that can be "
    "met by the CE(s) attached to the job queue.",
    SERVICE_ROLE: " \N{EN DASH} Batch service role has a permission issue.",
    UNSUPPORTED: " - Your compute environment associated with this job queue has an unsupported "
    "instance type configuration.",
    INVALID: " - CE(s) associated with the job queue are invalid.",
    UNDETERMINED: " - Batch job is blocked, root cause is undetermined.",
}

REASONS = tuple(_TEXTS)
"""The codes of all reasons."""


def reason(code: str, instance_type: str = "") -> str:
    """Returns a reason as DescribeJobs shows it.

    Args:
        code: Such as `UNDETERMINED`.
        instance_type: The type that has no capacity, for the one reason that names it.

    Raises:
        KeyError: There is no such reason.
    """
    return code + _TEXTS[code].format(instance_type)
