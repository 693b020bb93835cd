"""Rules about the attempts of a job (`retry`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.cluster import MOST_CONDITIONS, retry_conditions
from mngen.errors import Severity
from mngen.rules._rule import Match
from mngen.rules.spec._rule import SpecRule
from mngen.spec import RetryCondition

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.rules.spec._subject import Subject

_RETRIES = "https://docs.aws.amazon.com/batch/latest/userguide/job_retries.html"
_SHOWN = "aws batch describe-job-definitions --query 'jobDefinitions[].retryStrategy'"


class ConditionsFit(SpecRule):
    id = "MN502"
    title = f"`retry` must need at most {MOST_CONDITIONS - 1} conditions"
    why = (
        f"AWS Batch takes {MOST_CONDITIONS} conditions. The last one makes every other reason "
        "final. `lost-node` needs two, the exit codes 66 and 67."
    )
    remedy = "remove a reason"
    source_url = "https://docs.aws.amazon.com/batch/latest/APIReference/API_RetryStrategy.html"
    manual_test = _SHOWN
    failing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  solve:
    queue: mpi
    command: [simpleFoam]
    attempts: 3
    retry: [lost-host, lost-node, inputs, image-pull]  #! [lost-host
"""
    passing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  solve:
    queue: mpi
    command: [simpleFoam]
    attempts: 3
    retry: [lost-host, lost-node, inputs]
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for name, job in subject.spec.jobs.items():
            needed = len(retry_conditions(job.retry)) - 1
            if job.retry is not None and needed > MOST_CONDITIONS - 1:
                yield Match(
                    ("jobs", name, "retry"),
                    f"`retry` needs {needed} conditions; AWS Batch has room for "
                    f"{MOST_CONDITIONS - 1} beside the last one",
                )


class RetriesHappen(SpecRule):
    id = "MN503"
    severity = Severity.WARNING
    title = "A job with `retry` should have more than one attempt"
    why = "A job has as many attempts as `attempts` allows, whatever the reason; the default is 1."
    remedy = "add `attempts: 3`, or remove `retry`"
    source_url = _RETRIES
    manual_test = _SHOWN
    failing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  solve:
    queue: mpi
    command: [simpleFoam]
    retry: [lost-host]  #! [lost-host
"""
    passing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  solve:
    queue: mpi
    command: [simpleFoam]
    attempts: 3
    retry: [lost-host]
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for name, job in subject.spec.jobs.items():
            if job.retry and job.attempts == 1:
                yield Match(("jobs", name, "retry"), "`retry` has no effect with one attempt")


class ConditionSaysWhat(SpecRule):
    id = "MN504"
    title = "A condition of `retry` must not be empty"
    why = (
        "AWS Batch holds a condition without an exit code or a reason for true, whatever happened."
    )
    remedy = "add `exit_code`, `reason` or `status_reason`"
    source_url = "https://docs.aws.amazon.com/batch/latest/APIReference/API_EvaluateOnExit.html"
    manual_test = _SHOWN
    failing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  solve:
    queue: mpi
    command: [simpleFoam]
    attempts: 3
    retry:
      - {}  #! {}
"""
    passing = """\
queues:
  mpi: {environments: [r5]}
jobs:
  solve:
    queue: mpi
    command: [simpleFoam]
    attempts: 3
    retry:
      - {reason: "DockerTimeoutError*"}
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for name, job in subject.spec.jobs.items():
            # What the loader refused is left out: a condition may only seem to be empty.
            for number, each in enumerate(job.retry or ()):
                if each == RetryCondition() and subject.sound("jobs", name):
                    yield Match(("jobs", name, "retry", number), "this condition is empty")
