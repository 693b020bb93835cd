"""Jobs of the emulated Batch, over HTTP: accepted, placed, run, ended and described as on AWS."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from tests.support.batch import Deployed, refused, spec_text
from tests.support.sandbox import client

if TYPE_CHECKING:
    from mngen.sandbox import Sandbox

ENDED = ("SUCCEEDED", "FAILED")
GONE = "00000000-0000-0000-0000-000000000000"


@pytest.fixture(scope="module")
def deployed(sandbox: Sandbox) -> Deployed:
    return Deployed(sandbox, spec_text(f"j{uuid4().hex[:10]}"))


@pytest.fixture
def submit(deployed: Deployed) -> Any:
    def submitted(job: str = "mpi", **changes: Any) -> str:
        queue = "big" if job == "mpi" else "small"
        answer = deployed.batch.submit_job(
            **{
                "jobName": "test",
                "jobQueue": f"{deployed.name}-{queue}",
                "jobDefinition": f"{deployed.name}-{job}",
                **changes,
            }
        )
        return str(answer["jobId"])

    return submitted


def variables(**values: str) -> dict[str, Any]:
    """Overrides of a multi-node job's environment."""
    environment = [{"name": name, "value": value} for name, value in values.items()]
    return {
        "nodePropertyOverrides": [
            {"targetNodes": "0:", "containerOverrides": {"environment": environment}}
        ]
    }


def test_a_job_goes_through_its_states_and_succeeds(deployed: Deployed, submit: Any) -> None:
    held = submit(nodeOverrides=variables(MNGEN_SANDBOX_HOLD="RUNNABLE"))
    assert deployed.job(held)["status"] == "RUNNABLE"
    deployed.control(jobs={held: {"hold": "RUNNING", "seconds": 0}})
    running = deployed.reached(held, "RUNNING")
    assert running["startedAt"] > running["createdAt"]
    deployed.control(jobs={held: {"hold": None}})
    ended = deployed.reached(held, *ENDED)
    assert ended["status"] == "SUCCEEDED"
    assert [each["container"]["exitCode"] for each in ended["attempts"]] == [0]


def test_overrides_of_nodes_take_effect(deployed: Deployed, submit: Any) -> None:
    overrides = variables(A="quotes \" and '", OMP_NUM_THREADS="2")
    container = overrides["nodePropertyOverrides"][0]["containerOverrides"]
    container |= {
        "command": ["a", "b c"],
        "resourceRequirements": [{"type": "VCPU", "value": "3"}],
    }
    job = deployed.job(submit(nodeOverrides={**overrides, "numNodes": 3}))
    properties = job["nodeProperties"]
    assert (properties["numNodes"], properties["mainNode"]) == (3, 0)
    found = properties["nodeRangeProperties"][0]["container"]
    assert found["command"] == ["a", "b c"]
    # The definition's own variables stay.
    assert {each["name"]: each["value"] for each in found["environment"]} == {
        "A": "quotes \" and '",
        "MNGEN_CPUS": "24",
        "MNGEN_SHARED": "/efs",
        "OMP_NUM_THREADS": "2",
    }
    assert {each["type"]: each["value"] for each in found["resourceRequirements"]}["VCPU"] == "3"


def test_nodes_have_ids_streams_and_addresses_of_their_own(deployed: Deployed, submit: Any) -> None:
    job = submit(nodeOverrides={**variables(MNGEN_SANDBOX_HOLD="RUNNING"), "numNodes": 3})
    deployed.reached(job, "RUNNING")
    wanted = [f"{job}#{node}" for node in range(4)]
    nodes = deployed.batch.describe_jobs(jobs=wanted)["jobs"]
    assert [each["jobId"] for each in nodes] == wanted[:3]
    assert [each["nodeDetails"]["isMainNode"] for each in nodes] == [True, False, False]
    containers = [each["container"] for each in nodes]
    assert len({each["logStreamName"] for each in containers}) == 3
    assert len({each["networkInterfaces"][0]["privateIpv4Address"] for each in containers}) == 3
    listed = deployed.batch.list_jobs(multiNodeJobId=job, maxResults=2)
    assert [each["jobId"] for each in listed["jobSummaryList"]] == wanted[:2]
    rest = deployed.batch.list_jobs(multiNodeJobId=job, nextToken=listed["nextToken"])
    assert [each["jobId"] for each in rest["jobSummaryList"]] == wanted[2:3]
    deployed.batch.terminate_job(jobId=job, reason="test")


def test_a_job_of_one_container_has_no_nodes(deployed: Deployed, submit: Any) -> None:
    job = submit("one")
    deployed.reached(job, *ENDED)
    found = deployed.batch.describe_jobs(jobs=[job, f"{job}#0"])["jobs"]
    assert [each["jobId"] for each in found] == [job]


def counted(ecs: Any, cluster: str) -> tuple[int, int]:
    """Returns how many machines a cluster has, and how many tasks run on them."""
    answer = ecs.describe_clusters(clusters=[cluster, "nowhere"])
    assert [each["reason"] for each in answer["failures"]] == ["MISSING"]
    (found,) = answer["clusters"]
    return found["registeredContainerInstancesCount"], found["runningTasksCount"]


def test_ecs_knows_the_machines_of_a_running_job(
    sandbox: Sandbox, deployed: Deployed, submit: Any
) -> None:
    ecs = client(sandbox, "ecs")
    job = submit(nodeOverrides={**variables(MNGEN_SANDBOX_HOLD="RUNNING"), "numNodes": 2})
    deployed.reached(job, "RUNNING")
    nodes = deployed.batch.describe_jobs(jobs=[f"{job}#0", f"{job}#1"])["jobs"]
    machines = [each["container"]["containerInstanceArn"] for each in nodes]
    (environment,) = deployed.batch.describe_compute_environments(
        computeEnvironments=[deployed.environments["r5"]]
    )["computeEnvironments"]
    cluster = environment["ecsClusterArn"]
    name = cluster.rpartition("/")[2]
    assert name.startswith(f"AWSBatch-{deployed.environments['r5']}-")
    assert [each.split("/")[1] for each in machines] == [name, name]
    wanted = {"cluster": cluster, "containerInstances": [*machines, "nothing"]}
    found = ecs.describe_container_instances(**wanted)
    assert [each["containerInstanceArn"] for each in found["containerInstances"]] == machines
    ids = [each["ec2InstanceId"] for each in found["containerInstances"]]
    assert all(re.fullmatch("i-[0-9a-f]{17}", each) for each in ids)
    assert len(set(ids)) == 2
    assert found["failures"] == [{"arn": "nothing", "reason": "MISSING"}]
    with pytest.raises(ClientError, match="ClusterNotFoundException"):
        ecs.describe_container_instances(**{**wanted, "cluster": "nowhere"})
    with pytest.raises(ClientError, match="InvalidParameterException"):
        ecs.describe_container_instances(cluster=name, containerInstances=["x"] * 101)
    assert counted(ecs, cluster) == (2, 2)
    deployed.batch.terminate_job(jobId=job, reason="test")
    # ECS forgets a machine that has ended.
    assert counted(ecs, name) == (0, 0)
    found = ecs.describe_container_instances(cluster=name, containerInstances=machines)
    assert found["containerInstances"] == []
    assert [each["arn"] for each in found["failures"]] == machines


def test_a_failing_job_is_tried_again(deployed: Deployed, submit: Any) -> None:
    overrides = variables(MNGEN_SANDBOX_EXIT="9,3", MNGEN_SANDBOX_SECONDS="0")
    job = submit(nodeOverrides=overrides, retryStrategy={"attempts": 2})
    ended = deployed.reached(job, *ENDED)
    assert ended["status"] == "FAILED"
    assert [each["container"]["exitCode"] for each in ended["attempts"]] == [9, 3]
    streams = [each["container"]["logStreamName"] for each in ended["attempts"]]
    assert streams[0] != streams[1]


def test_a_lost_child_does_not_end_the_job(deployed: Deployed, submit: Any) -> None:
    job = submit(nodeOverrides={**variables(MNGEN_SANDBOX_HOLD="RUNNING"), "numNodes": 2})
    deployed.reached(job, "RUNNING")
    deployed.batch.terminate_job(jobId=f"{job}#1", reason="lost")
    main, child = deployed.batch.describe_jobs(jobs=[f"{job}#0", f"{job}#1"])["jobs"]
    assert (main["status"], child["status"]) == ("RUNNING", "FAILED")
    assert child["container"]["exitCode"] == 137
    assert deployed.job(job)["status"] == "RUNNING"
    deployed.batch.terminate_job(jobId=job, reason="test")
    assert deployed.job(job)["statusReason"] == "test"


def test_cancelling_spares_what_runs(deployed: Deployed, submit: Any) -> None:
    waiting = submit(nodeOverrides=variables(MNGEN_SANDBOX_HOLD="RUNNABLE"))
    deployed.batch.cancel_job(jobId=waiting, reason="no more")
    found = deployed.job(waiting)
    assert (found["status"], found["statusReason"]) == ("FAILED", "no more")
    assert found["isCancelled"] is True
    running = submit(nodeOverrides=variables(MNGEN_SANDBOX_HOLD="RUNNING"))
    deployed.reached(running, "RUNNING")
    deployed.batch.cancel_job(jobId=running, reason="no more")
    assert deployed.job(running)["status"] == "RUNNING"
    deployed.batch.terminate_job(jobId=running, reason="no more")
    found = deployed.job(running)
    assert (found["status"], found["isTerminated"]) == ("FAILED", True)


def test_a_job_waits_for_those_that_it_depends_on(deployed: Deployed, submit: Any) -> None:
    held = [{"name": "MNGEN_SANDBOX_HOLD", "value": "RUNNING"}]
    first = submit("one", containerOverrides={"environment": held})
    second = submit("one", dependsOn=[{"jobId": first}])
    assert deployed.job(second)["status"] == "PENDING"
    deployed.batch.terminate_job(jobId=first, reason="test")
    found = deployed.job(second)
    assert (found["status"], found["statusReason"]) == ("FAILED", "Dependent Job failed")
    assert found["attempts"] == []
    # Batch takes a job whose dependency has failed already, and fails it.
    third = submit("one", dependsOn=[{"jobId": second}])
    assert deployed.job(third)["statusReason"] == "Dependent Job failed"


@pytest.mark.parametrize("call", ["cancel_job", "terminate_job"])
def test_a_cancelled_job_is_pending_until_the_others_have_finished(
    deployed: Deployed, submit: Any, call: str
) -> None:
    """Source: https://docs.aws.amazon.com/batch/latest/APIReference/API_CancelJob.html"""
    held = [{"name": "MNGEN_SANDBOX_HOLD", "value": "RUNNING"}]
    first = submit("one", containerOverrides={"environment": held})
    second = submit("one", dependsOn=[{"jobId": first}])
    getattr(deployed.batch, call)(jobId=second, reason="no more")
    found = deployed.job(second)
    assert (found["status"], found["isCancelled"], found["isTerminated"]) == (
        "PENDING",
        call == "cancel_job",
        call == "terminate_job",
    )
    deployed.control(jobs={first: {"hold": None, "seconds": 0}})
    found = deployed.reached(second, *ENDED)
    assert (found["status"], found["statusReason"]) == ("FAILED", "no more")
    assert deployed.job(first)["status"] == "SUCCEEDED"


@pytest.mark.parametrize(
    ("job", "change", "says"),
    [
        ("mpi", {"jobName": "a b"}, "Job name"),
        ("mpi", {"jobName": "x" * 129}, "Job name"),
        ("mpi", {"jobQueue": "nowhere"}, "does not exist"),
        ("mpi", {"jobDefinition": "nothing"}, "does not exist"),
        ("mpi", {"containerOverrides": {"command": ["x"]}}, "multi-node"),
        ("one", {"nodeOverrides": {"numNodes": 2}}, "multi-node"),
        ("mpi", {"nodeOverrides": {"numNodes": 1001}}, "1000"),
        ("mpi", {"retryStrategy": {"attempts": 11}}, "10"),
        ("mpi", {"timeout": {"attemptDurationSeconds": 59}}, "60"),
        ("mpi", {"dependsOn": [{"jobId": GONE}]}, "does not exist"),
        ("mpi", {"dependsOn": [{"jobId": GONE}] * 21}, "Job cannot have more than 20 dependencies"),
        ("mpi", {"tags": {str(n): "" for n in range(51)}}, "50"),
        ("one", {"containerOverrides": {"command": ["x", ""]}}, "empty string"),
        ("mpi", {"parameters": {"x": "y" * 31000}}, "30 KiB"),
    ],
)
def test_what_batch_refuses(
    deployed: Deployed, submit: Any, job: str, change: dict[str, Any], says: str
) -> None:
    assert says in refused(lambda **more: submit(job, **more), **change)


@pytest.mark.parametrize("job", ["one", "mpi"])
def test_overrides_that_are_too_long_fail_the_job_and_not_its_submission(
    deployed: Deployed, submit: Any, job: str
) -> None:
    """ECS counts Batch's own variables too: `mngen.sandbox.batch._overrides` names the sources."""

    def sent(length: int) -> dict[str, Any]:
        overrides = {"command": ["x" * length]}
        ranges = [{"targetNodes": "0:", "containerOverrides": overrides}]
        if job == "one":
            changes: dict[str, Any] = {"containerOverrides": overrides}
        else:
            changes = {"nodeOverrides": {"nodePropertyOverrides": ranges}}
        return deployed.reached(submit(job, **changes), *ENDED)

    for length in (7_900, 8_200):
        found = sent(length)
        assert found["status"] == "FAILED"
        assert found["statusReason"] == "Container Overrides length must be at most 8192"
        assert found["attempts"] == []
    assert sent(7_100)["status"] == "SUCCEEDED"


def test_a_variable_without_a_value_does_not_replace_that_of_the_definition(
    deployed: Deployed, submit: Any
) -> None:
    """https://github.com/hashicorp/terraform-provider-aws/pull/29820"""
    names = ("OMP_NUM_THREADS", "NEW")
    overrides = {"environment": [{"name": name, "value": ""} for name in names]}
    ranges = [{"targetNodes": "0:", "containerOverrides": overrides}]
    job = submit("mpi", nodeOverrides={"nodePropertyOverrides": ranges})
    container = deployed.job(job)["nodeProperties"]["nodeRangeProperties"][0]["container"]
    variables = {each["name"]: each["value"] for each in container["environment"]}
    assert variables["OMP_NUM_THREADS"] == "1"
    assert "NEW" not in variables
    deployed.reached(job, *ENDED)


def test_a_disabled_queue_takes_no_jobs(deployed: Deployed, submit: Any) -> None:
    deployed.batch.update_job_queue(jobQueue=f"{deployed.name}-small", state="DISABLED")
    try:
        assert "ENABLED" in refused(submit, job="one")
    finally:
        deployed.batch.update_job_queue(jobQueue=f"{deployed.name}-small", state="ENABLED")


def test_at_most_100_jobs_are_described_at_once(deployed: Deployed) -> None:
    assert "100" in refused(deployed.batch.describe_jobs, jobs=[GONE] * 101)
    assert deployed.batch.describe_jobs(jobs=[GONE])["jobs"] == []


def test_jobs_are_listed_by_state_name_and_age(deployed: Deployed, submit: Any) -> None:
    name = f"n{uuid4().hex[:8]}"
    jobs = []
    for number in range(3):
        jobs.append(submit("one", jobName=f"{name}-{number}"))
        # Batch tells milliseconds, and these are to differ.
        time.sleep(0.002)
    queue = f"{deployed.name}-small"

    def listed(**arguments: Any) -> list[str]:
        found = deployed.batch.list_jobs(jobQueue=queue, **arguments)["jobSummaryList"]
        return [each["jobId"] for each in found if each["jobName"].startswith(name)]

    def filtered(key: str, value: str) -> list[str]:
        return listed(filters=[{"name": key, "values": [value]}])

    assert filtered("JOB_NAME", f"{name.upper()}*") == jobs[::-1]
    assert filtered("JOB_NAME", f"{name}-1") == [jobs[1]]
    assert filtered("JOB_DEFINITION", f"{deployed.name}-one") == jobs[::-1]
    made = deployed.job(jobs[1])["createdAt"]
    assert set(filtered("AFTER_CREATED_AT", str(made))) <= {jobs[2]}
    assert jobs[0] in filtered("BEFORE_CREATED_AT", str(made))
    deployed.reached(jobs[2], "SUCCEEDED")
    assert listed(jobStatus="SUCCEEDED") == jobs
    assert listed() == []
    assert "one filter" in refused(
        deployed.batch.list_jobs,
        jobQueue=queue,
        filters=[{"name": "JOB_NAME", "values": ["a"]}] * 2,
    )


class TestWaiting:
    """Each reason for which a job is not placed, in AWS's words."""

    def waits(self, deployed: Deployed, submit: Any, reason: str | None, **more: Any) -> str:
        job = submit(**more)
        time.sleep(0.05)
        found = deployed.job(job)
        assert found["status"] == "RUNNABLE"
        assert (found.get("statusReason") or "").partition(" -")[0] == (reason or "")
        return str(job)

    def end(self, deployed: Deployed, *jobs: str) -> None:
        for job in jobs:
            deployed.batch.terminate_job(jobId=job, reason="test")

    def test_for_more_than_a_machine_has(self, deployed: Deployed, submit: Any) -> None:
        needs = {"resourceRequirements": [{"type": "VCPU", "value": "25"}]}
        overrides = {"nodePropertyOverrides": [{"targetNodes": "0:", "containerOverrides": needs}]}
        reason = "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"
        self.end(deployed, self.waits(deployed, submit, reason, nodeOverrides=overrides))

    def test_for_what_the_kernel_keeps_online(self, deployed: Deployed, submit: Any) -> None:
        """An AMI without a limit leaves all vCPUs online, whatever its tags say."""
        ami = deployed.images["r5.12xlarge"]
        needs = {"resourceRequirements": [{"type": "VCPU", "value": "25"}]}
        overrides = {"nodePropertyOverrides": [{"targetNodes": "0:", "containerOverrides": needs}]}
        deployed.control(nr_cpus={ami: 48})
        try:
            job = submit(nodeOverrides=overrides)
            assert deployed.reached(job, *ENDED)["status"] == "SUCCEEDED"
        finally:
            deployed.control(nr_cpus={ami: 24})

    def test_for_more_nodes_than_there_may_be(self, deployed: Deployed, submit: Any) -> None:
        reason = "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE"
        self.end(deployed, self.waits(deployed, submit, reason, nodeOverrides={"numNodes": 5}))

    def test_for_capacity(self, deployed: Deployed, submit: Any) -> None:
        deployed.control(exhausted=["r5.12xlarge"])
        job = self.waits(deployed, submit, "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY")
        deployed.control(exhausted=[])
        deployed.reached(job, "STARTING", "RUNNING", "SUCCEEDED")
        self.end(deployed, job)

    def test_for_no_type_while_another_has_capacity(self, sandbox: Sandbox) -> None:
        # Source: https://docs.aws.amazon.com/batch/latest/userguide/allocation-strategies.html
        several = (
            "instance: m4.4xlarge, alternatives: [m5.4xlarge], allocation: {}, "
            "max_nodes: 8, multi_node: false"
        )
        texts = spec_text(f"j{uuid4().hex[:10]}").replace(
            "instance: m4.4xlarge, max_nodes: 8, multi_node: false, purchase: spot",
            several.format("best-fit-progressive"),
        )
        texts = texts.replace("queues:\n", f"  waits: {{{several.format('best-fit')}}}\nqueues:\n")
        texts = texts.replace("jobs:\n", "  waiting: {environments: [waits]}\njobs:\n", 1)
        deployed = Deployed(sandbox, texts)
        deployed.control(exhausted=["m4.4xlarge"])

        def submitted(queue: str) -> str:
            request = {"jobName": "n", "jobDefinition": f"{deployed.name}-one"}
            answer = deployed.batch.submit_job(**request, jobQueue=f"{deployed.name}-{queue}")
            return str(answer["jobId"])

        goes, waits = submitted("small"), submitted("waiting")
        found = deployed.reached(goes, "STARTING", "RUNNING", "SUCCEEDED")
        assert found["container"]["instanceType"] == "m5.4xlarge"
        found = deployed.job(waits)
        assert found["status"] == "RUNNABLE"
        assert found["statusReason"].startswith("CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - ")
        deployed.control(exhausted=[])
        deployed.reached(waits, "STARTING", "RUNNING", "SUCCEEDED")
        self.end(deployed, goes, waits)

    def test_for_the_first_environment_though_the_second_has_room(self, sandbox: Sandbox) -> None:
        two = spec_text(f"j{uuid4().hex[:10]}").replace(
            "  m4:", "  b: {instance: r5.12xlarge, max_nodes: 4, zones: [us-east-1b]}\n  m4:"
        )
        deployed = Deployed(sandbox, two.replace("[r5]", "[r5, b]"))
        first = deployed.environments["r5"]
        request = {
            "jobName": "n",
            "jobQueue": f"{deployed.name}-big",
            "jobDefinition": f"{deployed.name}-mpi",
        }
        deployed.control(exhausted=[first])
        head, behind = (deployed.batch.submit_job(**request)["jobId"] for _ in range(2))
        found = deployed.job(head)
        assert found["status"] == "RUNNABLE"
        assert found["statusReason"].startswith("CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - ")
        found = deployed.job(behind)
        assert (found["status"], found.get("statusReason")) == ("RUNNABLE", None)
        deployed.control(exhausted=[])
        deployed.reached(head, "STARTING", "RUNNING", "SUCCEEDED")
        deployed.reached(behind, "STARTING", "RUNNING", "SUCCEEDED")

    def test_for_its_turn(self, deployed: Deployed, submit: Any) -> None:
        overrides = {**variables(MNGEN_SANDBOX_HOLD="RUNNING"), "numNodes": 4}
        running = submit(nodeOverrides=overrides)
        waiting = self.waits(deployed, submit, None)
        self.end(deployed, running)
        deployed.reached(waiting, "STARTING", "RUNNING", "SUCCEEDED")
        self.end(deployed, waiting)

    def test_for_an_environment(self, deployed: Deployed, submit: Any) -> None:
        name = deployed.environments["r5"]
        deployed.batch.update_compute_environment(computeEnvironment=name, state="DISABLED")
        job = self.waits(deployed, submit, "UNDETERMINED")
        deployed.batch.update_compute_environment(computeEnvironment=name, state="ENABLED")
        deployed.reached(job, "STARTING", "RUNNING", "SUCCEEDED")
        self.end(deployed, job)

    def test_for_a_quota(self, sandbox: Sandbox, deployed: Deployed, submit: Any) -> None:
        quotas = client(sandbox, "service-quotas")
        quota = {"ServiceCode": "ec2", "QuotaCode": "L-1216C47A"}
        before = quotas.get_service_quota(**quota)["Quota"]["Value"]
        quotas.request_service_quota_increase(**quota, DesiredValue=48)
        try:
            self.end(deployed, self.waits(deployed, submit, "UNDETERMINED"))
        finally:
            quotas.request_service_quota_increase(**quota, DesiredValue=before)

    def test_for_ever_on_spot_with_many_nodes(self, deployed: Deployed, submit: Any) -> None:
        queue = f"{deployed.name}-small"
        self.end(deployed, self.waits(deployed, submit, "UNDETERMINED", jobQueue=queue))


class TestRetries:
    """As https://docs.aws.amazon.com/batch/latest/userguide/job_retries.html has it."""

    FINAL: ClassVar = [
        {"action": "RETRY", "onStatusReason": "Host EC2*"},
        {"action": "EXIT", "onExitCode": "64"},
    ]

    def attempts(self, deployed: Deployed, submit: Any, **control: Any) -> int:
        strategy = {"attempts": 3, "evaluateOnExit": self.FINAL}
        job = submit(retryStrategy=strategy, nodeOverrides=variables(MNGEN_SANDBOX_HOLD="RUNNABLE"))
        deployed.control(jobs={job: {"hold": None, "seconds": 0, **control}})
        deployed.reached(job, "FAILED")
        return len(deployed.job(job)["attempts"])

    def test_a_final_code_ends_the_job(self, deployed: Deployed, submit: Any) -> None:
        assert self.attempts(deployed, submit, exits=[64]) == 1

    def test_any_other_code_is_tried_again(self, deployed: Deployed, submit: Any) -> None:
        assert self.attempts(deployed, submit, exits=[1]) == 3

    def test_a_lost_host_is_tried_again(self, deployed: Deployed, submit: Any) -> None:
        assert self.attempts(deployed, submit, exits=[64], lost=True) == 3

    @pytest.mark.parametrize(
        "strategy",
        [
            {"evaluateOnExit": [{"action": "EXIT", "onReason": "*"}]},
            {"attempts": 2, "evaluateOnExit": [{"action": "EXIT", "onReason": "*"}] * 6},
            {"attempts": 2, "evaluateOnExit": [{"action": "EXIT", "onExitCode": "*4"}]},
            {"attempts": 2, "evaluateOnExit": [{"action": "STOP", "onExitCode": "4"}]},
        ],
    )
    def test_conditions_that_batch_refuses(self, submit: Any, strategy: Any) -> None:
        with pytest.raises(ClientError, match="ClientException"):
            submit(retryStrategy=strategy)


def test_without_its_log_group_no_container_starts(sandbox: Sandbox) -> None:
    deployed = Deployed(sandbox, spec_text(f"j{uuid4().hex[:10]}"))
    deployed.logs.delete_log_group(logGroupName=f"/mngen/{deployed.name}/jobs")
    job = deployed.batch.submit_job(
        jobName="x", jobQueue=f"{deployed.name}-small", jobDefinition=f"{deployed.name}-one"
    )["jobId"]
    found = deployed.reached(job, *ENDED)
    assert found["status"] == "FAILED"
    assert "log group does not exist" in found["attempts"][0]["container"]["reason"]


def test_the_nodes_speak_as_the_wire_up_does(deployed: Deployed, submit: Any) -> None:
    job = submit(nodeOverrides=variables(MNGEN_SANDBOX_SECONDS="0"))
    deployed.reached(job, "SUCCEEDED")
    nodes = deployed.batch.describe_jobs(jobs=[f"{job}#0", f"{job}#1"])["jobs"]
    streams = [each["container"]["logStreamName"] for each in nodes]
    group = f"/mngen/{deployed.name}/jobs"
    events = deployed.logs.filter_log_events(logGroupName=group, logStreamNames=streams)["events"]
    times = [each["timestamp"] for each in events]
    assert times == sorted(times)
    last = [each["message"] for each in events if each["logStreamName"] == streams[0]][-1]
    assert last.startswith("mngen[0] +")
    assert " end: exit 0; rendezvous " in last


def test_a_wrong_wish_is_refused(sandbox: Sandbox, deployed: Deployed) -> None:
    with pytest.raises(AssertionError, match="KeyError"):
        deployed.control(jobs={GONE: {"hold": "RUNNING"}})


# What ec2instances.info measured, in MiB, less the 32 that Batch reserves.
REGISTERED = {
    "c5.large": 3785 - 32,
    "c5.xlarge": 7727 - 32,
    "c5.2xlarge": 15610 - 32,
    "m5.large": 7811 - 32,
}


@pytest.fixture(scope="module")
def types(sandbox: Sandbox) -> Deployed:
    """A deployment with an environment, a queue and a job without `memory` for each type."""
    parts = {"environments": "", "queues": "", "jobs": ""}
    for name in REGISTERED:
        key = name.replace(".", "-")
        parts["environments"] += f"  {key}: {{instance: {name}, max_nodes: 4, multi_node: false}}\n"
        parts["queues"] += f"  {key}: {{environments: [{key}]}}\n"
        parts["jobs"] += f"  {key}: {{queue: {key}, command: [hostname]}}\n"
    head = f"name: t{uuid4().hex[:10]}\nregion: us-east-1\n"
    return Deployed(sandbox, head + "".join(f"{key}:\n{text}" for key, text in parts.items()))


@pytest.mark.parametrize("instance", REGISTERED)
def test_a_job_without_memory_fits_and_one_above_what_registers_waits(
    types: Deployed, instance: str
) -> None:
    name = f"{types.name}-{instance.replace('.', '-')}"

    def submitted(**changes: Any) -> str:
        answer = types.batch.submit_job(
            jobName="test", jobQueue=name, jobDefinition=name, **changes
        )
        return str(answer["jobId"])

    def asking(memory: int) -> dict[str, Any]:
        return {"resourceRequirements": [{"type": "MEMORY", "value": str(memory)}]}

    assert types.reached(submitted(), *ENDED)["status"] == "SUCCEEDED"
    exact = submitted(containerOverrides=asking(REGISTERED[instance]))
    assert types.reached(exact, *ENDED)["status"] == "SUCCEEDED"
    waiting = submitted(containerOverrides=asking(REGISTERED[instance] + 1))
    found = types.reached(waiting, "RUNNABLE")
    assert found["statusReason"].startswith("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT")
    types.batch.terminate_job(jobId=waiting, reason="test")
