"""What EventBridge does with an event: whether a pattern fits it, and what text a target gets.

Sources, for the operators that mngen writes, any other is refused:
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html and, for
templates, https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html
("For Strings, quotes are required"; a variable whose path the event lacks "isn't created and won't
appear in the output"). The events are the examples of AWS's pages, with other values:
https://docs.aws.amazon.com/batch/latest/userguide/batch_job_events.html and
batch-job-queue-blocked-events.html there.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Any

QUEUE = "arn:aws:batch:us-east-1:123456789012:job-queue/"
_JOB = "4c7599ae-0a82-49aa-ba5a-4727fcce14a8"


def job_event(queue: str, status: str, *, index: str = "", reason: str | None = None) -> Any:
    """Return the event of a job that changes its state.

    Args:
        queue: Name of the queue.
        status: The new state.
        index: What follows the id of a node or of a job of an array, such as `#1` or `:1`.
        reason: The reason, if there is one.
    """
    return _event("Batch Job State Change", queue, status, index, reason)


def blocked_event(queue: str, reason: str) -> Any:
    """Return the event of a job that blocks its queue."""
    return _event("Batch Job Queue Blocked", queue, "RUNNABLE", "", reason)


def _event(kind: str, queue: str, status: str, index: str, reason: str | None) -> Any:
    arn = f"arn:aws:batch:us-east-1:123456789012:job/{_JOB}{index}"
    return {
        "version": "0",
        "id": "c8f9c4b5-76e5-d76a-f980-7011e206042b",
        "detail-type": kind,
        "source": "aws.batch",
        "account": "123456789012",
        "time": "2022-01-11T23:36:40Z",
        "region": "us-east-1",
        "resources": [arn],
        "detail": {
            "jobArn": arn,
            "jobName": "event-test",
            "jobId": f"{_JOB}{index}",
            "jobQueue": f"{QUEUE}{queue}",
            "status": status,
            **({} if reason is None else {"statusReason": reason}),
            "attempts": [],
            "createdAt": 1641944200058,
            "retryStrategy": {"attempts": 2, "evaluateOnExit": []},
            "dependsOn": [],
            "parameters": {},
        },
    }


def fits(pattern: Any, event: Any) -> bool:
    """Return whether a pattern fits an event."""
    return all(
        fits(wanted, event.get(key, {}))
        if isinstance(wanted, dict)
        else any(_is(each, event.get(key)) for each in wanted)
        for key, wanted in pattern.items()
    )


def _is(wanted: Any, value: Any) -> bool:
    if not isinstance(wanted, dict):
        return bool(wanted == value)
    [(operator, operand)] = wanted.items()
    assert operator == "anything-but", operator
    [(kind, patterns)] = operand.items()
    assert kind == "wildcard", kind
    # A `*` is its only wildcard: https://docs.aws.amazon.com/eventbridge/latest/userguide/
    # eb-create-pattern-operators.html#eb-filtering-wildcard-matching
    assert not any(set("?[") & set(each) for each in patterns)
    return value is not None and not any(fnmatchcase(value, each) for each in patterns)


def transformed(transformer: Any, event: Any) -> str:
    """Return the text that a target gets of an event."""
    paths = transformer["InputPathsMap"]
    template = transformer["InputTemplate"]
    for line in template.strip().splitlines():
        assert re.fullmatch(r'"[^"]*"', line), line

    def value(match: re.Match[str]) -> str:
        found = event
        assert paths[match[1]].startswith("$.")
        for part in paths[match[1]].removeprefix("$.").split("."):
            found = found.get(part, "")
        return str(found)

    return re.sub(r"<([a-z]+)>", value, template)
