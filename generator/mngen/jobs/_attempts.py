"""Why AWS Batch has tried a job again after its last attempt, or has not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mngen.jobs._dependencies import was_cancelled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_batch.type_defs import JobDetailTypeDef

_TIMED_OUT = "Job attempt duration exceeded timeout"
"""Batch's reason where a job ran into its timeout, after which it is not tried again.

Source: https://docs.aws.amazon.com/batch/latest/userguide/job_timeouts.html
"""
_WORDS = {
    "onExitCode": "exit code",
    "onReason": "reason",
    "onStatusReason": "status reason",
}


def explain_attempts(job: JobDetailTypeDef) -> str | None:
    """Returns why another attempt followed the last one that ended, or why none did.

    The first condition that holds decides; without one, Batch tries again.
    Source: https://docs.aws.amazon.com/batch/latest/userguide/job_retries.html

    Args:
        job: What Batch knows of the job.

    Returns:
        A sentence, or None where there is nothing to decide: before an attempt has ended, with one
        attempt, or after a success.
    """
    described: Any = job
    strategy = described.get("retryStrategy") or {}
    attempts, most = described.get("attempts") or [], strategy.get("attempts") or 1
    if not attempts or most == 1 or job["status"] == "SUCCEEDED":
        return None
    number = len(attempts)
    last = _shown(attempts[-1])
    failed = f"attempt {number} of {most} failed{_in_words(last)}"
    if job["status"] != "FAILED":
        return f"{failed}, and was tried again{_cause(strategy, last, 'RETRY')}"
    if was_cancelled(job):
        return f"attempt {number} of {most} was the last: a cancelled job is not tried again"
    if (job.get("statusReason") or "").startswith(_TIMED_OUT):
        return f"attempt {number} of {most} was the last: after a timeout a job is not tried again"
    if number >= most:
        return f"{failed}, the last one"
    return f"{failed}, and was not tried again{_cause(strategy, last, 'EXIT')}"


def _shown(attempt: Mapping[str, Any]) -> dict[str, str]:
    """Returns what the conditions compare, as texts; empty where an attempt does not show it."""
    container = attempt.get("container") or {}
    code = container.get("exitCode")
    return {
        "onExitCode": "" if code is None else str(code),
        "onReason": container.get("reason") or "",
        "onStatusReason": attempt.get("statusReason") or "",
    }


def _in_words(shown: Mapping[str, str]) -> str:
    code, reason = shown["onExitCode"], shown["onReason"] or shown["onStatusReason"]
    if code:
        return f" with exit code {code}"
    return f" ({reason.rstrip('.')})" if reason else ""


def _cause(strategy: Mapping[str, Any], shown: Mapping[str, str], done: str) -> str:
    """Returns which condition of a retry strategy holds for an attempt, after a colon.

    Empty where it would have led to something else than what was done: Batch has seen more then
    than it shows, or somebody has ended the job in another way.
    """
    action, text = "RETRY", "no condition of its retry strategy holds"
    for condition in strategy.get("evaluateOnExit") or []:
        wanted = {key: condition[key] for key in _WORDS if condition.get(key)}
        if all(_matches(shown[key], pattern) for key, pattern in wanted.items()):
            named = " and ".join(f'{_WORDS[key]} "{value}"' for key, value in wanted.items())
            action = condition["action"].upper()
            text = f"{action} on {named or 'anything'}"
            break
    return f": {text}" if action == done else ""


def _matches(text: str, pattern: str) -> bool:
    return text.startswith(pattern[:-1]) if pattern.endswith("*") else text == pattern
