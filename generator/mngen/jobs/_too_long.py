"""Why a job failed before it started: ECS does not take all that its submission overrides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.jobs._types import Cause

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_batch.type_defs import JobDetailTypeDef

_REASON = "Container Overrides length must be at most"
"""Source: https://github.com/ASFHyP3/hyp3/issues/3041"""


def too_long_causes(job: JobDetailTypeDef) -> Iterator[Cause]:
    """Yields that the overrides of a job are too long, if that is why it failed."""
    reason = job.get("statusReason", "")
    if job["status"] != "FAILED" or _REASON not in reason:
        return
    yield Cause(
        what="its command and variables, and those that AWS Batch adds, are longer than ECS takes: "
        f"{reason}",
        remedy="put long arguments into a file on the shared file system, or into the spec, and "
        "submit again: mngen submit checks the length",
        certain=True,
        rule="MN308",
        see="https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html",
    )
