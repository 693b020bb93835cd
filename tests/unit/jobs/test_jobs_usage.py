"""How long jobs used instances, from what DescribeJobs reports of them.

The keys are those of JobDetail and AttemptDetail:
https://docs.aws.amazon.com/batch/latest/APIReference/API_JobDetail.html
"""

from __future__ import annotations

from typing import Any

import pytest

from mngen.catalog import load_catalog
from mngen.cluster import resolve
from mngen.jobs._usage import usage_of
from mngen.spec import load_text
from tests.support.batch import spec_text

CLUSTER = resolve(load_text(spec_text("lab").encode()).require(), load_catalog())
NOW = 10_000.0


class Batch:
    """Answers DescribeJobs with what it is given, by id."""

    def __init__(self, **jobs: dict[str, Any]) -> None:
        self.jobs = {key.replace("_", "#"): value for key, value in jobs.items()}

    def describe_jobs(self, jobs: list[str]) -> dict[str, Any]:
        return {"jobs": [{"jobId": each, **self.jobs[each]} for each in jobs if each in self.jobs]}


def job(**keys: Any) -> dict[str, Any]:
    wanted: dict[str, Any] = {
        "jobId": "a",
        "jobName": "a",
        "jobQueue": "arn:aws:batch:us-east-1:123456789012:job-queue/lab-small",
        "jobDefinition": "arn:aws:batch:us-east-1:123456789012:job-definition/lab-one:7",
        "status": "SUCCEEDED",
        "createdAt": 1_000,
        "tags": {"mngen:submitter": "ada"},
        "attempts": [],
        "container": {},
    }
    return {**wanted, **keys}


def attempt(start: int, stop: int) -> dict[str, Any]:
    return {"startedAt": start * 1000, "stoppedAt": stop * 1000, "container": {}}


def seconds(described: dict[str, Any], **nodes: dict[str, Any]) -> float:
    batch: Any = Batch(**nodes)
    return usage_of(batch, CLUSTER, described, NOW).seconds


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"attempts": [attempt(1, 61), attempt(100, 105)]}, 65.0),
        # It runs for the second time.
        ({"attempts": [attempt(1, 61)], "status": "RUNNING", "startedAt": 9_990_000}, 70.0),
        # It waits to be tried again, and what it did counts.
        ({"attempts": [attempt(1, 61)], "status": "RUNNABLE"}, 60.0),
        # An attempt whose containers never started.
        ({"attempts": [{"container": {}, "stoppedAt": 5_000}], "status": "FAILED"}, 0.0),
        # The attempts are missing.
        ({"startedAt": 1_000, "stoppedAt": 31_000}, 30.0),
        ({"status": "FAILED", "stoppedAt": 31_000}, 0.0),
        # The clock here is behind.
        ({"status": "RUNNING", "startedAt": 99_990_000}, 0.0),
    ],
)
def test_the_time_is_that_of_all_attempts(keys: dict[str, Any], expected: float) -> None:
    assert seconds(job(**keys)) == expected


def test_nodes_count_with_their_own_attempts_and_type() -> None:
    whole = job(
        jobDefinition="arn:aws:batch:us-east-1:123456789012:job-definition/lab-mpi:7",
        jobQueue="arn:aws:batch:us-east-1:123456789012:job-queue/lab-big",
        nodeProperties={"numNodes": 3, "mainNode": 0},
        attempts=[attempt(1, 101)],
    )
    main = {"status": "SUCCEEDED", "attempts": [attempt(1, 101)]}
    child = {
        "status": "SUCCEEDED",
        "attempts": [attempt(1, 41)],
        "container": {"instanceType": "r5.12xlarge"},
    }
    batch: Any = Batch(a_0=main, a_1=child)
    found = usage_of(batch, CLUSTER, whole, NOW)
    # Batch knows nothing of node 2.
    assert [(each.index, each.seconds, each.instance) for each in found.by_node] == [
        (0, 100.0, None),
        (1, 40.0, "r5.12xlarge"),
    ]
    assert (found.seconds, found.nodes, found.attempts) == (140.0, 3, 1)
    assert (found.job, found.queue, found.user) == ("mpi", "big", "ada")
    assert found.shares == {"r5.12xlarge": 1.0}


@pytest.mark.parametrize(
    ("container", "share"),
    [
        # The AMI leaves 8 CPUs of an m4.4xlarge.
        ({"resourceRequirements": [{"type": "VCPU", "value": "2"}]}, 0.25),
        (
            {
                "resourceRequirements": [
                    {"type": "VCPU", "value": "1"},
                    {"type": "MEMORY", "value": "999999"},
                ]
            },
            1.0,
        ),
        # As definitions have it that were registered before resourceRequirements.
        ({"vcpus": 4, "memory": 128}, 0.5),
        ({}, 1.0),
    ],
)
def test_a_job_of_one_node_takes_the_part_that_it_asked_for(
    container: dict[str, Any], share: float
) -> None:
    batch: Any = Batch()
    found = usage_of(batch, CLUSTER, job(container=container), NOW)
    assert found.shares == {"m4.4xlarge": share}
    assert not found.is_existing


def test_a_job_of_another_queue_ran_on_what_the_spec_does_not_have() -> None:
    batch: Any = Batch()
    elsewhere = job(jobQueue="arn:aws:batch:us-east-1:123456789012:job-queue/other", tags={})
    found = usage_of(batch, CLUSTER, elsewhere, NOW)
    assert (found.queue, found.user, found.is_existing, found.shares) == ("other", None, True, {})
