"""Queues with shares: whose job is submitted in which share, whose turn it is, who uses how much.

The order is that of AWS's guide: the share with the lowest use times its weight, in a share the
highest priority (https://docs.aws.amazon.com/batch/latest/userguide/share-identifiers.html).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from mngen.errors import InputError
from mngen.jobs import Jobs, Order, ShareUse, Turns
from mngen.jobs._turns import turns_of
from mngen.policy import Part, policy
from mngen.sandbox import ACCOUNT_ID
from tests.support.batch import Deployed, hold
from tests.support.cli import mngen_here
from tests.support.iam import Request, allows
from tests.support.sandbox import error_code

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mngen.sandbox import Sandbox

MARK = uuid4().hex[:10]
SPEC = f"""\
name: s{MARK}
region: us-east-1
environments:
  mpi: {{instance: r5.12xlarge, max_nodes: 2, zones: [us-east-1a]}}
  other: {{instance: r5.12xlarge, max_nodes: 1, zones: [us-east-1a]}}
queues:
  fair: {{environments: [mpi], shares: {{weights: {{bob: 4, students*: 0.5}}}}}}
  plain: {{environments: [other]}}
  reserved: {{environments: [mpi], shares: {{reserve: 10}}}}
jobs:
  solve: {{queue: fair, nodes: 1, command: [hostname]}}
  simple: {{queue: plain, nodes: 1, command: [hostname]}}
  plot: {{queue: plain, nodes: 1, command: [hostname], after: solve}}
  post: {{queue: fair, nodes: 1, command: [hostname], after: [solve, plot]}}
  named: {{queue: fair, nodes: 1, command: [hostname], share: wing, after: [solve]}}
  tight: {{queue: reserved, nodes: 1, command: [hostname]}}
"""
QUEUE = f"s{MARK}-fair"


@pytest.fixture(scope="module")
def shared(sandbox: Sandbox) -> Deployed:
    return Deployed(sandbox, SPEC)


@pytest.fixture
def jobs(
    shared: Deployed, state_home: object, inside: None, connect: Callable[[str, str], Any]
) -> Iterator[Jobs]:
    """What one test leaves waiting would have a turn, or the room, in the next one."""
    yield Jobs(shared.cluster, connect)
    shared.drain()


@pytest.fixture
def user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "jane.doe-2")


@pytest.mark.usefixtures("user")
def test_a_job_is_in_the_share_of_its_submitter(shared: Deployed, jobs: Jobs) -> None:
    job = shared.job(jobs.submit("solve", name="mine").id)
    assert (job["shareIdentifier"], job["schedulingPriority"]) == ("janedoe2", 0)
    job = shared.job(jobs.submit("solve", name="urgent", share="wing", priority=9999).id)
    assert (job["shareIdentifier"], job["schedulingPriority"]) == ("wing", 9999)
    assert "shareIdentifier" not in shared.job(jobs.submit("simple").id)
    rows = [{"case": "a"}, {"case": "b"}]
    order = Order(job="solve", name="swept", priority=2, environment={"MNGEN_SANDBOX_EXIT": "0"})
    swept = [shared.job(each.id) for each in jobs.sweep(order, rows)]
    assert {(each["shareIdentifier"], each["schedulingPriority"]) for each in swept} == {
        ("janedoe2", 2)
    }


@pytest.mark.usefixtures("user")
def test_the_share_of_a_flow_is_that_of_all_its_jobs_in_fair_queues(
    shared: Deployed, jobs: Jobs
) -> None:
    for named, expected in (("wing", "wing"), (None, "janedoe2")):
        order = Order(job="post", name=f"flow-{expected}", share=named)
        sent = [shared.job(each.id) for each in jobs.send_flow(jobs.prepare_flow(order))]
        assert [each.get("shareIdentifier") for each in sent] == [expected, None, expected]


@pytest.mark.usefixtures("user")
def test_a_job_is_in_its_share_of_the_spec_unless_another_is_named(
    shared: Deployed, jobs: Jobs
) -> None:
    cases: tuple[tuple[dict[str, Any], str | None], ...] = (
        ({}, "wing"),
        ({"share": "tail"}, "tail"),
        ({"queue": "plain"}, None),
    )
    for wanted, share in cases:
        job = jobs.submit("named", name=f"of-{share}", **wanted).id
        assert shared.job(job).get("shareIdentifier") == share
    order = Order(job="named", name="both")
    sent = [shared.job(each.id) for each in jobs.send_flow(jobs.prepare_flow(order))]
    assert [each["shareIdentifier"] for each in sent] == ["janedoe2", "wing"]


def test_more_nodes_than_the_reserve_leaves_to_one_share_are_warned_of(jobs: Jobs) -> None:
    """Of 96 vCPUs, 10 % are reserved; a node of r5.12xlarge has 48 of them."""
    for nodes, expected in ((1, []), (2, ["MN341"])):
        prepared = jobs.prepare(Order(job="tight", nodes=nodes))
        assert [each.rule for each in prepared.problems] == expected
    [problem] = prepared.problems
    assert "requests 2 nodes, and `reserve: 10` of the queue `reserved` leaves 1" in problem.message
    elsewhere = jobs.prepare(Order(job="tight", nodes=2, queue="fair"))
    assert elsewhere.problems == ()
    hold(jobs, "RUNNABLE", "tight", nodes=2)
    [waiting] = jobs.list(states=["RUNNABLE"])
    assert "MN341" in {each.rule for each in jobs.status(waiting.id).causes}


def test_a_user_without_letters_has_to_name_a_share(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "...")
    with pytest.raises(InputError, match=r"the queue `fair` has a scheduling policy"):
        jobs.submit("solve")


def test_what_batch_would_refuse_is_not_sent(jobs: Jobs) -> None:
    for wanted, message in (
        ({"priority": 10_000}, "`--priority` must be between 0 and 9999, not 10000"),
        ({"priority": -1}, "`--priority` must be between 0 and 9999, not -1"),
        ({"share": "wing*"}, 'invalid share identifier "wing\\*"'),
        ({"queue": "plain", "priority": 1}, "the queue `plain` has no scheduling policy"),
    ):
        with pytest.raises(InputError, match=message):
            jobs.submit("solve", **wanted)


def test_who_used_less_comes_first(
    shared: Deployed, jobs: Jobs, tmp_path: Path, user: None
) -> None:
    """Two nodes: alice and bob have one each, which counts four times for bob."""
    running = [hold(jobs, "RUNNING", "solve", share=share) for share in ("alice", "bob")]
    waiting = {
        name: hold(jobs, "RUNNABLE", "solve", share=share, priority=priority)
        for name, share, priority in (
            ("bob", "bob", 9),
            ("alice", "alice", 0),
            ("alice, urgent", "alice", 5),
            ("student", "students7", 0),
        )
    }
    order = ["student", "alice, urgent", "alice", "bob"]
    turns = jobs.turns("fair")
    assert turns == Turns(
        queue="fair",
        jobs=tuple(waiting[name] for name in order),
        vcpus=48,
        shares=(ShareUse(share="alice", vcpus=24), ShareUse(share="bob", vcpus=24)),
    )
    (tmp_path / "mngen.yaml").write_text(SPEC, encoding="utf-8")
    shown = mngen_here("jobs", "--queue", "fair", "--format", "json", cwd=tmp_path)
    listed = {each["id"]: each for each in json.loads(shown.stdout)}
    assert [listed[waiting[name]]["turn"] for name in order] == [1, 2, 3, 4]
    assert listed[waiting["student"]]["share"] == "students7"
    assert [listed[each]["turn"] for each in running] == [None, None]
    shown = mngen_here("jobs", "--queue", "fair", "-s", "RUNNABLE", cwd=tmp_path)
    assert "turn" in shown.stdout
    assert "students7" in shown.stdout
    assert "vCPUs in use: alice 24, bob 24; 48 in all" in shown.stderr
    # Without a queue, nobody asks whose turn it is.
    assert "turn" not in mngen_here("jobs", cwd=tmp_path).stdout


def test_the_next_one_starts_when_there_is_room(jobs: Jobs) -> None:
    first, _ = (hold(jobs, "RUNNING", "solve", share=share) for share in ("ann", "ann"))
    greedy = jobs.submit("solve", name="again", share="ann").id
    newcomer = jobs.submit("solve", name="newcomer", share="ben").id
    assert jobs.turns("fair").jobs[:2] == (newcomer, greedy)
    jobs.cancel(first)
    assert jobs.turns("fair").jobs[:1] == (greedy,)


def test_a_queue_without_shares_has_turns_too(jobs: Jobs) -> None:
    hold(jobs, "RUNNING", "simple")
    waiting = [hold(jobs, "RUNNABLE", "simple") for _ in range(2)]
    turns = jobs.turns("plain")
    assert (turns.jobs, turns.vcpus, turns.shares) == (tuple(waiting), 24, ())
    with pytest.raises(InputError, match="the spec has no queue `fare`"):
        jobs.turns("fare")


class Answer:
    """A client with one answer."""

    def __init__(self, **answer: Any) -> None:
        self._answer = answer

    def get_job_queue_snapshot(self, **_: Any) -> dict[str, Any]:
        return self._answer


def test_vcpus_are_counted_however_batch_names_them(shared: Deployed) -> None:
    """The unit of the user guide, that of the API reference, and what both call optional.

    Sources: https://docs.aws.amazon.com/batch/latest/userguide/track-capacity-utilization-compute-jobs.html
    and https://docs.aws.amazon.com/batch/latest/APIReference/API_QueueSnapshotCapacityUsage.html
    """
    used = [
        {"shareIdentifier": "a", "capacityUsage": [{"capacityUnit": "vCPU", "quantity": 48.0}]},
        {"shareIdentifier": "b", "capacityUsage": [{"capacityUnit": "VCPU", "quantity": 24.0}]},
        {"shareIdentifier": "c", "capacityUsage": [{"quantity": 12.0}]},
        {"shareIdentifier": "d", "capacityUsage": [{"capacityUnit": "vCPU"}]},
        {
            "shareIdentifier": "e",
            "capacityUsage": [{"capacityUnit": "ml.m5.large", "quantity": 3.0}],
        },
    ]
    detail = {
        "totalCapacityUsage": [{"capacityUnit": "vCPU", "quantity": 84.0}],
        "fairshareUtilization": {"activeShareCount": 5, "topCapacityUtilization": used},
    }
    client: Any = Answer(queueUtilization=detail)
    turns = turns_of(client, shared.cluster, "fair")
    assert turns.vcpus == 84
    assert {each.share: each.vcpus for each in turns.shares} == {
        "a": 48,
        "b": 24,
        "c": 12,
        "d": 0,
        "e": 0,
    }


def test_the_emulator_refuses_policies_that_batch_refuses(shared: Deployed) -> None:
    batch = shared.batch
    for content in (
        {"computeReservation": 100},
        {"shareDecaySeconds": 604_801},
        {"shareDistribution": [{"shareIdentifier": "a-b"}]},
        {"shareDistribution": [{"shareIdentifier": "a", "weightFactor": 0.00001}]},
        {"shareDistribution": [{"shareIdentifier": "a", "weightFactor": 1000.0}]},
        {"shareDistribution": [{"shareIdentifier": "User*"}, {"shareIdentifier": "UserA1"}]},
        {"shareDistribution": [{"shareIdentifier": f"u{n}"} for n in range(501)]},
    ):
        call = batch.create_scheduling_policy
        refused = error_code(call, name=f"p{uuid4().hex[:8]}", fairsharePolicy=content)
        assert refused == "ClientException", content
    [arn] = [
        each["arn"]
        for each in batch.list_scheduling_policies()["schedulingPolicies"]
        if each["arn"].endswith(f"/{QUEUE}")
    ]
    # A queue uses it: API_DeleteSchedulingPolicy.
    assert error_code(batch.delete_scheduling_policy, arn=arn) == "ClientException"
    [found] = batch.describe_scheduling_policies(arns=[arn])["schedulingPolicies"]
    assert found["fairsharePolicy"]["shareDecaySeconds"] == 86_400
    queue = {"jobQueueName": f"q{MARK}", "priority": 1, "schedulingPolicyArn": f"{arn}-gone"}
    order = [{"order": 1, "computeEnvironment": shared.environments["mpi"]}]
    refused = error_code(batch.create_job_queue, **queue, computeEnvironmentOrder=order)
    assert refused == "ClientException"
    assert error_code(batch.get_job_queue_snapshot, jobQueue="none") == "ClientException"


def test_a_submitter_may_look_at_the_queue_and_a_deployer_change_its_policy(
    shared: Deployed,
) -> None:
    batch = f"arn:aws:batch:us-east-1:{ACCOUNT_ID}:"
    submitter, deployer = (
        [policy(part, shared.cluster, ACCOUNT_ID)] for part in (Part.SUBMITTER, Part.DEPLOYER)
    )
    own, other = f"{batch}scheduling-policy/{QUEUE}", f"{batch}scheduling-policy/other"
    assert allows(submitter, Request("batch:GetJobQueueSnapshot", f"{batch}job-queue/{QUEUE}"))
    for verb in ("Create", "Update", "Delete"):
        action = f"batch:{verb}SchedulingPolicy"
        assert allows(deployer, Request(action, own)), action
        assert not allows(deployer, Request(action, other)), action
        assert not allows(submitter, Request(action, own)), action
    for action in ("batch:CreateJobQueue", "batch:UpdateJobQueue"):
        assert allows(deployer, Request(action, own)), action
