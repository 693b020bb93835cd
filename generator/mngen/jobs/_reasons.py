"""What AWS Batch reports about a job that blocks its queue, and what to do about each reason.

Batch puts the reason into the job's `statusReason`, as a code and a text. Between them stands a
hyphen for most reasons and an en dash for one, so the code is read by its own characters.
Source: https://docs.aws.amazon.com/batch/latest/userguide/job_stuck_in_runnable.html
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mngen.jobs._types import Cause

if TYPE_CHECKING:
    from collections.abc import Mapping

STUCK = "https://docs.aws.amazon.com/batch/latest/userguide/job_stuck_in_runnable.html"

_CODE = re.compile(r"[A-Z][A-Z0-9_]*(?::[A-Z0-9_]+)?(?![A-Za-z0-9_])")
_UNDETERMINED = "UNDETERMINED"
_CAPACITY = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"

_CAPACITY_OF_MANY = (
    "wait, or cancel the job and submit it to a queue of another zone or instance type: a "
    "multi-node job does not move on to the next environment of its queue while one before it is "
    "out of capacity, and it blocks the jobs behind it. `cancel_after: {capacity: SECONDS}` "
    "limits the wait"
)
REMEDIES: Mapping[str, str] = {
    _CAPACITY: "wait, or add an environment in another zone or of another type to the queue; "
    "`cancel_after: {capacity: SECONDS}` limits the wait",
    "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE": "submit with fewer `--nodes`, or raise "
    "`max_nodes` and run `mngen apply`",
    "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT": "submit with fewer `--vcpus` or less `--memory`, "
    "or leave both out to take all of the instance",
    "MISCONFIGURATION:SERVICE_ROLE_PERMISSIONS": "give Batch's service role its policy back "
    "(`mngen apply`, if the role is this deployment's), or leave `roles.service` out for the "
    "service-linked one",
    "MISCONFIGURATION:EC2_INSTANCE_CONFIGURATION_UNSUPPORTED": "check that the zone offers the "
    "instance type (`mngen check --aws`), and that the launch template fits it: EFA, volumes",
    "ACTION_REQUIRED": "all environments of the queue are INVALID: see their reasons with "
    "`mngen check --aws`, and run `mngen apply`",
    _UNDETERMINED: "see the other causes; the activity of the environment's Auto Scaling "
    "group in the EC2 console shows why no instance starts",
}
"""What to do, by the code of each reason that AWS documents."""


def code_of(reason: str) -> str:
    """Returns the code that a reason begins with, or an empty string."""
    match = _CODE.match(reason.strip())
    return match[0] if match else ""


def cause_of(reason: str, *, multi_node: bool) -> Cause:
    """Returns what a reason means, and what to do about it.

    Args:
        reason: The `statusReason` of a job that is RUNNABLE.
        multi_node: Whether the job is a multi-node parallel job.
    """
    code = code_of(reason)
    remedy = REMEDIES.get(code, "see the other causes")
    if code == _CAPACITY and multi_node:
        remedy = _CAPACITY_OF_MANY
    return Cause(
        what=f"AWS Batch reports: {reason}", remedy=remedy, certain=code != _UNDETERMINED, see=STUCK
    )
