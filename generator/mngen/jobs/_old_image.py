"""Why a job of a sweep failed before its command: its container image knows no rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mngen.cluster import ROWS_GUARD
from mngen.jobs._types import Cause

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_batch.type_defs import JobDetailTypeDef

_NOT_FOUND = 127
"""What the shell that starts a rank exits with where there is no such program."""


def old_image_causes(job: JobDetailTypeDef) -> Iterator[Cause]:
    """Yields that the image of a child of an array is older than rows in arrays, or may be."""
    container: Any = job.get("container", {})
    if job["status"] != "FAILED" or ROWS_GUARD not in container.get("command", [])[:1]:
        return
    named = any(
        ROWS_GUARD in each for each in (container.get("reason", ""), job.get("statusReason", ""))
    )
    if not named and container.get("exitCode") != _NOT_FOUND:
        return
    what = "its container image has no wire-up, or one that knows no rows of sweeps"
    yield Cause(
        what=what
        if named
        else f"its command is not in the container image; or {what}, if its log has `{ROWS_GUARD}`",
        remedy="build and push the image again, or submit the sweep with --no-array",
        certain=named,
    )
