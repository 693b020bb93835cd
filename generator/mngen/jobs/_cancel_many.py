"""Cancelling many jobs, fifty a call; what could not be cancelled is reported by job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen._aws import translate
from mngen.errors import Problem, ToolError
from mngen.jobs import _clock
from mngen.jobs._cancel import LONGEST_REASON
from mngen.jobs._types import WAITING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from mypy_boto3_batch.client import BatchClient
    from mypy_boto3_batch.type_defs import TerminateJobsErrorDetailTypeDef

    from mngen.jobs._types import JobSummary

_AT_ONCE = 50
"""Most IDs of one call.

Source: https://docs.aws.amazon.com/batch/latest/APIReference/API_TerminateJobs.html
"""
_OWN = ("ClientException", "ValidationException")
"""Codes of errors that are about a single job alone; the next one may be cancelled.

Source: as for `_PASSING`.
"""
_PASSING = ("ThrottlingException", "ServerException")
"""Codes of errors of a single job after which the same request may succeed.

Source: the description of TerminateJobsErrorDetail in botocore's model of AWS Batch.
"""
_ATTEMPTS = 5
_FIRST_PAUSE = 1.0  # seconds; doubled from one attempt to the next


class NotCancelledError(ToolError):
    """Some jobs could not be cancelled, the others are being cancelled.

    Attributes:
        refused: What AWS answered about each job that is left, by its ID.
    """

    def __init__(self, *problems: Problem, refused: Mapping[str, str]) -> None:
        super().__init__(*problems)
        self.refused = refused


def cancel_many(
    batch: BatchClient,
    jobs: Sequence[JobSummary],
    reason: str,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Cancels jobs in any state, those that wait first, so that none starts as others end.

    Batch answers with success even if single jobs were refused. It takes the permission for the
    single call, TerminateJob, for each job. One that is gone, or has ended, counts as cancelled.
    With a botocore that does not know the call for many, each job takes a call.

    Args:
        batch: The client.
        jobs: The jobs.
        reason: What Batch records.
        progress: Is called with how many jobs are done, and of how many.

    Raises:
        NotCancelledError: Some could not be cancelled; carries one problem for each that was
            refused, and one for all that are left if AWS does not answer.
    """
    ordered = sorted(jobs, key=lambda job: job.state not in WAITING)
    refused: dict[str, str] = {}
    done = 0
    at_once = _AT_ONCE if hasattr(batch, "terminate_jobs") else 1
    for first in range(0, len(ordered), at_once):
        part = ordered[first : first + at_once]
        try:
            refused |= _cancel(batch, [each.id for each in part], reason)
        # What was cancelled before stays so, and the user must know what was not.
        except Exception as error:
            raise _left(ordered, first, refused, translate(error)) from error
        done += len(part)
        if progress is not None:
            progress(done, len(ordered))
    if refused:
        raise NotCancelledError(
            Problem(
                f"{len(refused)} of {len(jobs)} jobs could not be cancelled",
                hint="the others are being cancelled; repeat the command for those that are left",
            ),
            *_named(jobs, refused),
            refused=refused,
        )


def _cancel(batch: BatchClient, ids: list[str], reason: str) -> dict[str, str]:
    """Returns the jobs of one call that could not be cancelled, with the reason."""
    refused: dict[str, str] = {}
    pause = _FIRST_PAUSE
    for attempt in range(_ATTEMPTS):
        errors = _terminate(batch, ids, reason[:LONGEST_REASON])
        last = attempt == _ATTEMPTS - 1
        refused |= {
            each["job"]: f"{each['code']}: {each['message']}"
            for each in errors
            if last or each["code"] not in _PASSING
        }
        ids = [each["job"] for each in errors if each["code"] in _PASSING]
        if not ids or last:
            break
        _clock.sleep(pause)
        pause *= 2
    return refused


def _terminate(
    batch: BatchClient, ids: list[str], reason: str
) -> Sequence[TerminateJobsErrorDetailTypeDef]:
    """Returns the errors of single jobs, in one call if botocore knows it (1.43.93 and later)."""
    if hasattr(batch, "terminate_jobs"):
        return batch.terminate_jobs(jobs=ids, reason=reason)["errors"]
    from botocore.exceptions import ClientError

    errors: list[TerminateJobsErrorDetailTypeDef] = []
    for job in ids:
        try:
            batch.terminate_job(jobId=job, reason=reason)
        except ClientError as error:
            said = error.response.get("Error", {})
            code = said.get("Code", "")
            if code not in _OWN:
                raise
            errors.append({"job": job, "code": code, "message": said.get("Message", "")})
    return errors


def _left(
    jobs: Sequence[JobSummary], first: int, refused: Mapping[str, str], error: ToolError
) -> NotCancelledError:
    """Returns the error of a call that failed: all from its first job on are left."""
    left = jobs[first:]
    before = f", and AWS Batch refused {len(refused)}" if refused else ""
    return NotCancelledError(
        *error.problems,
        Problem(
            f"{len(left)} of {len(jobs)} jobs are not cancelled, the first {left[0].id} "
            f"({left[0].name}){before}",
            hint="the others are being cancelled; repeat the command for those that are left",
        ),
        *_named(jobs, refused),
        refused={**refused, **dict.fromkeys((each.id for each in left), str(error))},
    )


def _named(jobs: Sequence[JobSummary], refused: Mapping[str, str]) -> Iterator[Problem]:
    names = {each.id: each.name for each in jobs}
    for each, said in refused.items():
        yield Problem(f"{each} ({names[each]}): {said}")
