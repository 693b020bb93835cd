"""The overrides of a task, which the emulated Batch passes to ECS: at most 8,192 characters.

Batch puts its own variables beside those of the submission, so a text that fits at first may not do
so any more. SubmitJob takes it; the job fails when it is about to start, with the words of ECS.
Sources:

- https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html: the characters of the
  structure `overrides` count, those of JSON included;
- https://docs.aws.amazon.com/batch/latest/userguide/job_env_vars.html: the variables;
- https://github.com/ASFHyP3/hyp3/issues/3041, https://github.com/Netflix/metaflow/issues/977: a job
  that was accepted, its state and its reason.

Inferred: that all variables of Batch are in the overrides; that characters outside of ASCII count
as their escape sequences; that such a job has no attempt and is not tried again.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moto.batch.models import ComputeEnvironment

    from mngen.sandbox.batch._job import Job

_MOST = 8192
TOO_LONG = f"Container Overrides length must be at most {_MOST}"
_ADDRESS = "10.255.255.255"
_CPU, _MEMORY = 196_608, 786_432
"""CPU shares and MiB of a large instance: only their digits count."""


def submitted_length(request: Mapping[str, Any]) -> int:
    """Returns how many characters a submission overrides; of several node ranges, the most.

    Args:
        request: The SubmitJob request.
    """
    ranges = (request.get("nodeOverrides") or {}).get("nodePropertyOverrides") or []
    overrides = [each.get("containerOverrides") or {} for each in ranges]
    return max(map(_length, [request.get("containerOverrides") or {}, *overrides]))


def is_too_long(job: Job, environment: ComputeEnvironment) -> bool:
    """Whether ECS would not take the overrides of a job in an environment."""
    variables = [
        {"name": f"AWS_BATCH_{name}", "value": value}
        for name, value in _variables(job, environment).items()
    ]
    # Batch also sets what the task is given of the instance.
    task = {"name": "default", "environment": variables, "cpu": _CPU, "memory": _MEMORY}
    return job.overridden + _length({"containerOverrides": [task]}) > _MOST


def _variables(job: Job, environment: ComputeEnvironment) -> dict[str, str]:
    found = {
        "CE_NAME": environment.name,
        "JOB_ATTEMPT": str(len(job.attempts) + 1),
        "JOB_ID": job.id,
        "JQ_NAME": job.queue.name,
    }
    if job.parent is not None:
        found |= {
            "JOB_ARRAY_INDEX": str(job.index),
            "JOB_ARRAY_SIZE": str(len(job.parent.children)),
        }
    if job.multi_node:
        last = len(job.containers) - 1
        found |= {
            "JOB_ID": f"{job.id}#{last}",
            "JOB_NODE_INDEX": str(last),
            "JOB_NUM_NODES": str(last + 1),
            "JOB_MAIN_NODE_INDEX": str(job.main),
            "JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS": _ADDRESS,
        }
    return found


def _length(value: Any) -> int:
    return len(json.dumps(value, separators=(",", ":")))
