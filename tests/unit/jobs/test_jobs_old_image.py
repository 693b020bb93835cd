"""Jobs of a sweep whose container image knows no rows: `mngen status` shows what to do.

Sources of the words of a container that cannot start:
https://github.com/broadinstitute/cromwell/issues/4604, https://github.com/docker/cli/issues/2025
"""

from __future__ import annotations

from typing import Any

import pytest

from mngen.cluster import ROWS_GUARD
from mngen.jobs._old_image import old_image_causes

NO_START = (
    "CannotStartContainerError: Error response from daemon: failed to create task for container: "
    'failed to create shim task: OCI runtime create failed: exec: "{}": executable file not found '
    "in $PATH: unknown"
)


def failed(*command: str, **container: Any) -> Any:
    return {"status": "FAILED", "container": {"command": list(command), **container}}


def test_an_image_without_the_wire_up_is_named() -> None:
    job = failed(ROWS_GUARD, "./app", reason=NO_START.format(ROWS_GUARD))
    [cause] = old_image_causes(job)
    assert cause.certain
    assert cause.what == "its container image has no wire-up, or one that knows no rows of sweeps"
    assert "--no-array" in cause.remedy


def test_an_older_wire_up_may_be_the_reason_where_the_command_was_not_found() -> None:
    """Its launcher exits as it does where the command itself is missing; the log shows which."""
    [cause] = old_image_causes(failed(ROWS_GUARD, "./app", exitCode=127))
    assert not cause.certain
    assert "its command is not in the container image; or" in cause.what
    assert ROWS_GUARD in cause.what


@pytest.mark.parametrize(
    "job",
    [
        failed("./app", exitCode=127),
        failed(ROWS_GUARD, "./app", exitCode=1),
        failed(ROWS_GUARD, "./app", reason="OutOfMemoryError"),
        failed(),
        {"status": "FAILED", "nodeProperties": {}},
        {**failed(ROWS_GUARD, exitCode=127), "status": "RUNNING"},
    ],
)
def test_other_jobs_are_not_explained_by_it(job: Any) -> None:
    assert list(old_image_causes(job)) == []
