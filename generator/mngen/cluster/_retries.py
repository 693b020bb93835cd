"""After which results of an attempt AWS Batch starts another one.

Batch compares what the main node shows with conditions in their order, and the first one that holds
decides. What none of them holds for is tried again.
Source: https://docs.aws.amazon.com/batch/latest/APIReference/API_EvaluateOnExit.html,
https://docs.aws.amazon.com/batch/latest/userguide/job_retries.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.spec import RetryCondition

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mngen.spec import Retried

FINAL_EXIT_CODES = (64, 65)
"""Exit codes of the wire-up that no retry changes: wrong settings, and CPUs that a node lacks."""

FINAL_UPLOAD_EXIT_CODE = 71
"""Exit code of the wire-up if the command has succeeded, and its outputs could not be uploaded.

Another attempt would compute everything again.
"""

LOST_HOST = "Host EC2*"
"""How Batch's reason begins where the instance of the main node is gone.

Source: https://docs.aws.amazon.com/batch/latest/userguide/job_retries.html
"""

MOST_CONDITIONS = 5
"""Most conditions of a job definition.

Source: https://docs.aws.amazon.com/batch/latest/APIReference/API_RetryStrategy.html
"""

# A container without its image has an error of this name, which the agent of ECS gives it:
# CannotPullContainerError, CannotPullECRContainerError, CannotPullImageManifestError.
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html
_REASONS: Mapping[str, tuple[dict[str, str], ...]] = {
    "lost-host": ({"onStatusReason": LOST_HOST},),
    "lost-node": ({"onExitCode": "66"}, {"onExitCode": "67"}),
    "inputs": ({"onExitCode": "70"},),
    "image-pull": ({"onReason": "CannotPull*"},),
}
"""What Batch shows of each reason that has a name; the exit codes are those of the wire-up."""

_NAMES = {"exit_code": "onExitCode", "reason": "onReason", "status_reason": "onStatusReason"}


def retry_conditions(
    retry: Sequence[Retried] | None = None, *, uploads: bool = False
) -> list[dict[str, str]]:
    """Returns the `evaluateOnExit` of a job, in the order in which Batch compares.

    By default, everything is tried again but what the wire-up knows to be final: the program of a
    job may have failed by chance, and who sets `attempts` asks for another one. A job with one
    attempt has the same conditions, which AWS accepts: with them, the AWS provider changes the
    attempts in place, and without, replaces the definition.
    Source: https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/batch/job_definition_test.go

    Args:
        retry: What is tried again, and nothing else; None for the default.
        uploads: Whether the job has `outputs`.
    """
    if retry is None:
        final = (*FINAL_EXIT_CODES, *((FINAL_UPLOAD_EXIT_CODE,) if uploads else ()))
        return [
            {"action": "RETRY", "onStatusReason": LOST_HOST},
            *({"action": "EXIT", "onExitCode": str(code)} for code in final),
        ]
    found: list[dict[str, str]] = []
    for each in retry:
        found += [one for one in _conditions(each) if one not in found]
    return [
        *({"action": "RETRY", **each} for each in found),
        # AWS's own example of a last condition that holds for everything.
        {"action": "EXIT", "onReason": "*"},
    ]


def _conditions(retried: Retried) -> list[dict[str, str]]:
    if isinstance(retried, RetryCondition):
        given = {key: getattr(retried, key) for key in _NAMES}
        return [{_NAMES[key]: value for key, value in given.items() if value is not None}]
    if isinstance(retried, int):
        return [{"onExitCode": str(retried)}]
    return [dict(each) for each in _REASONS[retried]]
