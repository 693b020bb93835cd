"""Rounds over a deployment against answers as AWS documents them: pages, turns, few calls.

ListJobs answers with at most 1,000 jobs of one state and a token for the next page; a summary has
neither tags nor a timeout. The keys are those of
https://docs.aws.amazon.com/batch/latest/APIReference/API_JobSummary.html,
https://docs.aws.amazon.com/batch/latest/APIReference/API_ComputeEnvironmentDetail.html and
https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Cluster.html
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from mngen.catalog import load_catalog
from mngen.cluster import resolve
from mngen.errors import ToolError
from mngen.jobs import Overview, Watcher, is_temporary
from mngen.jobs._watch import CALLS_A_ROUND
from mngen.spec import load_text
from tests.support.batch import spec_text

if TYPE_CHECKING:
    from mngen.cluster import Cluster

PREFIX = "arn:aws:batch:us-east-1:123456789012"
CLUSTERS = "arn:aws:ecs:us-east-1:123456789012:cluster/AWSBatch-"
SUFFIX = "0123456789abcdef0123456789"


def cluster_of(text: str) -> Cluster:
    return resolve(load_text(text.encode()).require(), load_catalog())


CLUSTER = cluster_of(spec_text("lab"))


def many_queues(count: int) -> Cluster:
    text = spec_text("lab")
    assert text.count("  big: {environments: [r5]}\n") == 1
    more = "".join(f"  q{number}: {{environments: [r5]}}\n" for number in range(count))
    return cluster_of(
        text.replace("  big: {environments: [r5]}\n", more + "  big: {environments: [r5]}\n")
    )


class Aws:
    """Answers of AWS Batch and ECS, with a record of the calls.

    Attributes:
        jobs: The jobs, by id.
        calls: The operations that were called in this round.
        asked: The queues and states that were listed, ever.
        environments: What DescribeComputeEnvironments reports besides the names.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.queues = [f"lab-{each.name}" for each in cluster.queues]
        self.jobs: dict[str, dict[str, Any]] = {}
        self._lists: defaultdict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
        self.calls: Counter[str] = Counter()
        self.asked: Counter[tuple[str, str]] = Counter()
        self.described: list[str] = []
        self.refusals: dict[str, str] = {}
        self.environments: dict[str, dict[str, Any]] = {"r5": {}, "m4": {}}

    def add(self, *ids: str, status: str = "RUNNING", queue: str = "big", **keys: Any) -> None:
        for each in ids:
            self.jobs[each] = {
                "jobId": each,
                "jobName": "mpi",
                "createdAt": 1_000_000,
                "status": status,
                "queue": f"lab-{queue}",
                **keys,
            }
        self._lists.clear()
        for job in self.jobs.values():
            self._lists[job["queue"], job["status"]].append(job)

    def _answer(self, operation: str) -> None:
        self.calls[operation] += 1
        if code := self.refusals.get(operation):
            raise ClientError({"Error": {"Code": code, "Message": "no"}}, operation)

    def describe_job_queues(self, **asked: list[str]) -> Any:
        self._answer("DescribeJobQueues")
        wanted = asked["jobQueues"]
        assert 1 <= len(wanted) <= 100
        environment = f"{PREFIX}:compute-environment/lab-r5-{SUFFIX}"
        return {
            "jobQueues": [
                {
                    "jobQueueName": each,
                    "state": "ENABLED",
                    "status": "VALID",
                    "computeEnvironmentOrder": [
                        {
                            "order": 1,
                            "computeEnvironment": environment.replace("r5", "m4")
                            if each == "lab-small"
                            else environment,
                        }
                    ],
                }
                for each in self.queues
                if each in wanted
            ]
        }

    def describe_compute_environments(self, **asked: list[str]) -> Any:
        self._answer("DescribeComputeEnvironments")
        wanted = asked["computeEnvironments"]
        assert 1 <= len(wanted) <= 100
        assert len(set(wanted)) == len(wanted)
        types = {"r5": "r5.12xlarge", "m4": "m4.4xlarge"}
        found = []
        for arn in wanted:
            name = arn.rpartition("/")[2]
            short = name.split("-")[1]
            found.append(
                {
                    "computeEnvironmentName": name,
                    "computeEnvironmentArn": arn,
                    "ecsClusterArn": CLUSTERS + name,
                    "state": "ENABLED",
                    "status": "VALID",
                    "statusReason": "ComputeEnvironment Healthy",
                    "computeResources": {
                        "instanceTypes": [types[short]],
                        "desiredvCpus": 97,
                        "maxvCpus": 192,
                    },
                    **self.environments[short],
                }
            )
        return {"computeEnvironments": found}

    def describe_clusters(self, *, clusters: list[str]) -> Any:
        self._answer("DescribeClusters")
        assert 1 <= len(clusters) <= 100
        return {
            "clusters": [
                {"clusterArn": each, "registeredContainerInstancesCount": 3} for each in clusters
            ]
        }

    def list_jobs(self, **asked: Any) -> Any:
        self._answer("ListJobs")
        assert asked.keys() <= {"jobQueue", "jobStatus", "maxResults", "nextToken"}
        self.asked[asked["jobQueue"], asked["jobStatus"]] += 1
        found = self._lists[asked["jobQueue"], asked["jobStatus"]]
        first = int(asked.get("nextToken", 0))
        last = first + min(asked["maxResults"], 1000)
        more = {"nextToken": str(last)} if last < len(found) else {}
        hidden = {"queue", "tags", "timeout"}
        page = [
            {key: value for key, value in job.items() if key not in hidden}
            for job in found[first:last]
        ]
        return {"jobSummaryList": page, **more}

    def describe_jobs(self, *, jobs: list[str]) -> Any:
        self._answer("DescribeJobs")
        assert 1 <= len(jobs) <= 100
        self.described += jobs
        return {"jobs": [self.jobs[each] for each in jobs if each in self.jobs]}

    def round(self, watcher: Watcher) -> Overview:
        self.calls.clear()
        found = watcher.look()
        assert sum(self.calls.values()) <= CALLS_A_ROUND, self.calls
        return found


def watching(cluster: Cluster = CLUSTER) -> tuple[Aws, Watcher]:
    aws = Aws(cluster)
    return aws, Watcher(cluster, lambda _: aws)


def complete(aws: Aws, watcher: Watcher, rounds: int = 50) -> Overview:
    for _ in range(rounds):
        if (found := aws.round(watcher)).complete:
            return found
    raise AssertionError


def test_a_thousand_nodes_of_one_node_each_take_at_most_12_calls_a_round() -> None:
    aws, watcher = watching()
    ids = [f"n{number:04}" for number in range(1000)]
    aws.add(*ids, tags={"mngen:submitter": "ada"}, timeout={"attemptDurationSeconds": 60})
    found = complete(aws, watcher, rounds=2)
    assert CALLS_A_ROUND == 12
    assert [each.id for each in found.jobs] == ids
    assert found.queues[0].counts["RUNNING"] == 1000
    for _ in range(10):
        found = aws.round(watcher)
    assert all(each.described and each.user == "ada" for each in found.jobs)
    # Neither the tags nor the timeout of a job are read twice.
    assert sorted(aws.described) == ids
    assert aws.round(watcher).jobs
    assert aws.calls["DescribeJobs"] == 0


@pytest.mark.parametrize("count", [0, 2, 30])
def test_queues_that_do_not_fit_into_a_round_take_turns(count: int) -> None:
    cluster = many_queues(count)
    aws, watcher = watching(cluster)
    lists = 5 * len(cluster.queues)
    rounds = -(-lists // 8)
    assert complete(aws, watcher, rounds).complete
    for _ in range(3 * rounds):
        aws.round(watcher)
    assert len(aws.asked) == lists
    assert max(aws.asked.values()) - min(aws.asked.values()) <= 1


def test_pages_are_read_to_the_end_and_the_old_list_is_shown_until_then() -> None:
    aws, watcher = watching()
    aws.add(*(f"n{number:05}" for number in range(12_500)), status="RUNNABLE")
    found = complete(aws, watcher)
    assert found.queues[0].counts["RUNNABLE"] == 12_500
    aws.add(*(f"m{number:05}" for number in range(1000)), status="RUNNABLE")
    seen = {aws.round(watcher).queues[0].counts["RUNNABLE"] for _ in range(8)}
    assert seen == {12_500, 13_500}


def test_a_list_that_fails_begins_again() -> None:
    aws, watcher = watching()
    aws.add(*(f"n{number:05}" for number in range(30_000)), status="RUNNABLE")
    aws.round(watcher)
    aws.round(watcher)
    aws.refusals["ListJobs"] = "ThrottlingException"
    with pytest.raises(ToolError, match="throttling ListJobs") as caught:
        aws.round(watcher)
    assert is_temporary(caught.value)
    aws.refusals.clear()
    assert complete(aws, watcher).queues[0].counts["RUNNABLE"] == 30_000


def test_a_job_that_moves_on_between_two_lists_counts_once() -> None:
    aws, watcher = watching()
    aws.add("a", status="RUNNABLE")
    complete(aws, watcher)
    # 10 lists, 8 a round: the list of what runs is read before that of what waits, or after it.
    aws.add("a", status="RUNNING", startedAt=2_000_000)
    for _ in range(6):
        counts = aws.round(watcher).queues[0].counts
        assert counts["RUNNABLE"] + counts["RUNNING"] <= 1
    assert counts == {"SUBMITTED": 0, "PENDING": 0, "RUNNABLE": 0, "STARTING": 0, "RUNNING": 1}


def test_what_is_seen_of_a_deployment() -> None:
    aws, watcher = watching()
    aws.add(
        "run",
        nodeProperties={"numNodes": 4},
        startedAt=2_000_000,
        timeout={"attemptDurationSeconds": 3600},
        tags={"mngen:submitter": "ada"},
    )
    aws.add("late", status="RUNNABLE", createdAt=9_000_000)
    # It runs for the second time soon: when it started before counts no more.
    aws.add("early", status="RUNNABLE", createdAt=7_000_000, startedAt=7_500_000)
    aws.add("array", status="PENDING", queue="small", arrayProperties={"size": 20})
    aws.environments["m4"] = {"status": "INVALID", "statusReason": "CLIENT_ERROR - no role"}
    found = complete(aws, watcher)
    big, small = found.queues
    assert (big.name, big.counts["RUNNABLE"], big.oldest, big.fault) == ("big", 2, 7000.0, None)
    assert (small.name, small.counts["PENDING"], small.oldest) == ("small", 1, None)
    by_name = {each.name: each for each in found.environments}
    assert by_name["m4"].fault == "is INVALID: CLIENT_ERROR - no role"
    r5 = by_name["r5"]
    assert (r5.fault, r5.types, r5.vcpus) == (None, ("r5.12xlarge",), 48)
    assert (r5.running, r5.desired_vcpus, r5.max_vcpus) == (3, 97, 192)
    assert [each.id for each in found.jobs] == ["run", "early", "late", "array"]
    run, early, _, array = found.jobs
    assert (run.nodes, run.user, run.left(2000.0 + 600), run.left(9999.0)) == (4, "ada", 3000, 0)
    assert (early.started, early.left(8000.0)) == (None, None)
    assert (array.array, array.user) == (20, None)


def test_what_is_not_deployed_yet() -> None:
    aws, watcher = watching()
    aws.queues = []
    found = aws.round(watcher)
    assert found.complete
    assert [(each.exists, each.counts) for each in found.queues] == [(False, {})] * 2
    assert sum(aws.calls.values()) == 1
    aws.queues = ["lab-big"]
    found = complete(aws, watcher)
    assert [each.exists for each in found.queues] == [True, False]


def test_without_the_permission_for_clusters_the_rest_is_shown() -> None:
    aws, watcher = watching()
    aws.refusals["DescribeClusters"] = "AccessDeniedException"
    assert {each.running for each in aws.round(watcher).environments} == {None}
    aws.round(watcher)
    assert aws.calls["DescribeClusters"] == 0


@pytest.mark.parametrize(
    "operation", ["DescribeJobQueues", "ListJobs", "DescribeComputeEnvironments"]
)
def test_expired_credentials_do_not_pass(operation: str) -> None:
    aws, watcher = watching()
    aws.refusals[operation] = "ExpiredTokenException"
    with pytest.raises(ToolError, match="credentials have expired") as caught:
        watcher.look()
    assert not is_temporary(caught.value)
