"""How long jobs used instances, from what DescribeJobs reports of them.

The keys are those of JobDetail and AttemptDetail:
https://docs.aws.amazon.com/batch/latest/APIReference/API_JobDetail.html
"""

from __future__ import annotations

from typing import Any

import pytest

from mngen.catalog import load_catalog, load_prices
from mngen.cluster import resolve
from mngen.cost import By, job_report, report
from mngen.jobs._usage import list_usage, usage_of
from mngen.spec import load_text
from tests.support.batch import spec_text

CLUSTER = resolve(load_text(spec_text("lab").encode()).require(), load_catalog())
NOW = 10_000.0


class Batch:
    """Answers ListJobs and DescribeJobs with what it is given, by id.

    A summary has no more than AWS answered in https://github.com/aws/aws-sdk-js/issues/4193.
    """

    missing = ""
    children: frozenset[str] | set[str] = frozenset()

    def __init__(self, **jobs: dict[str, Any]) -> None:
        self.jobs = {key.replace("_", "#"): value for key, value in jobs.items()}

    def describe_job_queues(self, **asked: Any) -> dict[str, Any]:
        there = [each for each in asked["jobQueues"] if each != self.missing]
        return {"jobQueues": [{"jobQueueName": each} for each in there]}

    def get_paginator(self, name: str) -> Batch:
        assert name == "list_jobs"
        return self

    def paginate(self, **asked: Any) -> list[dict[str, Any]]:
        kept = ("jobName", "createdAt", "status")
        found = [
            {"jobId": key, **{name: each[name] for name in kept}}
            for key, each in self.jobs.items()
            if key not in self.children
            and each["status"] == asked["jobStatus"]
            and each["jobQueue"].endswith(f"/{asked['jobQueue']}")
        ]
        return [{"jobSummaryList": found}]

    def describe_jobs(self, jobs: list[str]) -> dict[str, Any]:
        return {"jobs": [{**self.jobs[each], "jobId": each} for each in jobs if each in self.jobs]}


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
        # The clocks of two nodes differ.
        ({"attempts": [attempt(61, 60)]}, 0.0),
        ({"startedAt": 61_000, "stoppedAt": 60_000}, 0.0),
        # The clock here is behind.
        ({"status": "RUNNING", "startedAt": 99_990_000}, 0.0),
    ],
)
def test_the_time_is_that_of_all_attempts(keys: dict[str, Any], expected: float) -> None:
    assert seconds(job(**keys)) == expected


@pytest.mark.parametrize(
    "keys",
    [
        {"attempts": [attempt(1, 61), {"startedAt": 100_000, "container": {}}]},
        {"attempts": [{"startedAt": 100_000, "container": {}}], "stoppedAt": 160_000},
        {"startedAt": 100_000, "status": "FAILED"},
    ],
)
def test_an_end_that_is_not_reported_is_not_a_time_of_zero(keys: dict[str, Any]) -> None:
    batch: Any = Batch(a=job(**keys))
    (found,) = list_usage(batch, CLUSTER, 0.0, NOW)
    total = report([found], load_prices(), "us-east-1", By.JOB).total
    assert (total.amount, total.unpriced) == (None, 1)
    one = job_report(usage_of(batch, CLUSTER, job(**keys), NOW), load_prices(), "us-east-1").total
    assert (one.amount, one.reason) == (None, "has ended, but AWS Batch does not report when")


def test_a_node_whose_end_is_not_reported_leaves_the_amount_open() -> None:
    whole = job(nodeProperties={"numNodes": 2, "mainNode": 0}, attempts=[attempt(1, 101)])
    main = {"status": "SUCCEEDED", "attempts": [attempt(1, 101)]}
    child = {"status": "FAILED", "attempts": [{"startedAt": 1_000, "container": {}}]}
    batch: Any = Batch(a_0=main, a_1=child)
    found = job_report(usage_of(batch, CLUSTER, whole, NOW), load_prices(), "us-east-1")
    assert [each.amount is None for each in found.nodes] == [False, True]
    assert found.total.amount is None


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
    # Batch does not describe node 2: it counts as long as the job, as in the sum of all jobs.
    assert [(each.index, each.seconds, each.instance) for each in found.by_node] == [
        (0, 100.0, None),
        (1, 40.0, "r5.12xlarge"),
        (2, 100.0, None),
    ]
    assert (found.seconds, found.nodes, found.attempts) == (240.0, 3, 1)
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


def test_a_job_of_one_node_may_have_run_on_each_alternative() -> None:
    # An r5.4xlarge has twice the memory of an m5.4xlarge; the AMI leaves 8 CPUs of each.
    text = spec_text("lab")
    several = "instance: m5.4xlarge, alternatives: [r5.4xlarge]"
    assert text.count("instance: m4.4xlarge") == 1
    text = text.replace("instance: m4.4xlarge", several)
    cluster = resolve(load_text(text.encode()).require(), load_catalog())
    needs = [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "30000"}]
    batch: Any = Batch()
    found = usage_of(batch, cluster, job(container={"resourceRequirements": needs}), NOW)
    assert list(found.shares) == ["m5.4xlarge", "r5.4xlarge"]
    # About 30,000 of the 65,536 and 131,072 MiB that EC2 sells, of which Linux takes a little.
    assert 30_000 / 65_536 < found.shares["m5.4xlarge"] < 0.52
    assert 30_000 / 131_072 < found.shares["r5.4xlarge"] < 0.26


def test_a_job_of_another_queue_ran_on_what_the_spec_does_not_have() -> None:
    batch: Any = Batch()
    elsewhere = job(jobQueue="arn:aws:batch:us-east-1:123456789012:job-queue/other", tags={})
    found = usage_of(batch, CLUSTER, elsewhere, NOW)
    assert (found.queue, found.user, found.is_existing, found.shares) == ("other", None, True, {})


def array(**keys: Any) -> dict[str, Any]:
    """Returns an array of 3 jobs as a whole.

    It has the states SUBMITTED, PENDING, SUCCEEDED and FAILED alone, and stays PENDING while its
    jobs run. Sources: https://docs.aws.amazon.com/batch/latest/userguide/array_jobs.html and
    `jobStatus` of https://docs.aws.amazon.com/batch/latest/APIReference/API_ListJobs.html
    """
    return job(arrayProperties={"size": 3, "statusSummary": {"RUNNING": 3}}, **keys)


STATES: list[dict[str, Any]] = [
    {"status": "PENDING"},
    {"status": "SUCCEEDED"},
    {"status": "FAILED", "startedAt": 1_000, "stoppedAt": 31_000},
]


@pytest.mark.parametrize("keys", STATES)
def test_the_jobs_of_an_array_count_each_with_its_tags(keys: dict[str, Any]) -> None:
    parent = array(**keys)
    # A tag of a job is one of the array: https://docs.aws.amazon.com/batch/latest/userguide/using-tags.html
    child = {"tags": {}, "jobQueue": parent["jobQueue"]}
    batch: Any = Batch(
        a=parent,
        **{
            "a:0": job(**child, attempts=[attempt(1, 61), attempt(100, 160)], status="FAILED"),
            "a:1": job(**child, status="RUNNING", startedAt=(NOW - 60) * 1000),
            "a:2": job(**child, status="RUNNABLE"),
        },
    )
    batch.children = {"a:0", "a:1", "a:2"}
    usages = list_usage(batch, CLUSTER, 0.0, NOW)
    assert [(each.id, each.seconds, each.user) for each in usages] == [
        ("a:0", 120.0, "ada"),
        ("a:1", 60.0, "ada"),
    ]
    found = report(usages, load_prices(), "us-east-1", By.USER)
    # An m4.4xlarge costs 0.80 USD an hour.
    assert found.total.amount == pytest.approx(3 * 0.80 / 60)
    one = usage_of(batch, CLUSTER, parent, NOW)
    assert [(each.index, each.seconds, each.attempts) for each in one.by_node] == [
        (0, 120.0, 2),
        (1, 60.0, 1),
        (2, 0.0, 0),
    ]
    shown = job_report(one, load_prices(), "us-east-1")
    assert (shown.total.amount, shown.total.reason) == (found.total.amount, "")


@pytest.mark.parametrize("keys", STATES)
def test_an_array_whose_jobs_are_forgotten_never_costs_zero(keys: dict[str, Any]) -> None:
    batch: Any = Batch(a=array(**keys), **{"a:1": job(attempts=[attempt(1, 61)])})
    batch.children = {"a:1"}
    usages = list_usage(batch, CLUSTER, 0.0, NOW)
    found = report(usages, load_prices(), "us-east-1", By.JOB)
    assert (found.total.jobs, found.total.unpriced) == (2, 1)
    assert found.total.amount == pytest.approx(0.80 / 60)
    ((reason, count),) = found.reasons.items()
    assert count == 1
    assert "no longer has a record of some of its jobs" in reason
    one = job_report(usage_of(batch, CLUSTER, array(**keys), NOW), load_prices(), "us-east-1")
    assert (one.total.amount, one.total.reason) == (None, reason)


@pytest.mark.parametrize("status", ["PENDING", "FAILED"])
def test_an_array_that_has_no_jobs_yet_or_never_had_any_costs_nothing(status: str) -> None:
    """It waits for other jobs, or has failed with them.

    Source: https://docs.aws.amazon.com/batch/latest/APIReference/API_JobSummary.html (`createdAt`
    of a child is when its parent spawned it)
    """
    waiting = job(arrayProperties={"size": 3, "statusSummary": {"PENDING": 3}}, status=status)
    batch: Any = Batch(a=waiting)
    batch.children = set()
    assert list_usage(batch, CLUSTER, 0.0, NOW) == []
    one = job_report(usage_of(batch, CLUSTER, waiting, NOW), load_prices(), "us-east-1")
    assert (one.total.amount, one.total.reason) == (0.0, "")


def test_a_job_of_an_array_costs_its_own_attempts() -> None:
    batch: Any = Batch()
    child = job(jobId="a:1", arrayProperties={"index": 1}, attempts=[attempt(1, 61)])
    found = job_report(usage_of(batch, CLUSTER, child, NOW), load_prices(), "us-east-1")
    # An m4.4xlarge costs 0.80 USD an hour.
    assert found.total.amount == pytest.approx(0.80 / 60)


def test_what_waits_counts_if_it_has_run_before() -> None:
    batch: Any = Batch(
        first=job(status="RUNNABLE"),
        again=job(status="RUNNABLE", attempts=[attempt(1, 61)]),
        depends=job(status="PENDING"),
    )
    assert [(each.id, each.seconds) for each in list_usage(batch, CLUSTER, 0.0, NOW)] == [
        ("again", 60.0)
    ]


def test_a_queue_that_is_gone_is_told(caplog: pytest.LogCaptureFixture) -> None:
    # AWS Batch answers with the queues that it has, and names no other.
    batch: Any = Batch(a=job(attempts=[attempt(1, 61)]))
    batch.missing = "lab-big"
    assert [each.id for each in list_usage(batch, CLUSTER, 0.0, NOW)] == ["a"]
    assert caplog.messages == ["queue big is not in AWS Batch: jobs it had cannot be read"]
    caplog.clear()
    batch.missing = ""
    list_usage(batch, CLUSTER, 0.0, NOW)
    assert not caplog.messages
