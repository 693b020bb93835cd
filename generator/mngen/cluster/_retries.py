"""After which results of an attempt AWS Batch starts another one."""

from __future__ import annotations

FINAL_EXIT_CODES = (64, 65)
"""Exit codes of the wire-up that no retry changes: wrong settings, and CPUs that a node lacks."""

LOST_HOST = "Host EC2*"
"""How Batch's reason begins where the instance of the main node is gone.

Source: https://docs.aws.amazon.com/batch/latest/userguide/job_retries.html
"""


def retry_conditions() -> list[dict[str, str]]:
    """Returns the `evaluateOnExit` of every job, in the order in which Batch compares.

    What matches none is tried again, up to the attempts. Batch compares the main node's exit. A job
    with one attempt has the same conditions, which AWS accepts: with them, the AWS provider
    changes the attempts in place, and without, replaces the definition.
    Source: https://docs.aws.amazon.com/batch/latest/APIReference/API_EvaluateOnExit.html,
    https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/batch/job_definition_test.go
    """
    return [
        {"action": "RETRY", "onStatusReason": LOST_HOST},
        *({"action": "EXIT", "onExitCode": str(code)} for code in FINAL_EXIT_CODES),
    ]
