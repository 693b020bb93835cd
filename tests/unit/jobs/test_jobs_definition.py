"""Jobs of definitions from files: submitted within what the definition allows.

The emulated Batch refuses what AWS refuses for overrides of nodes:
https://docs.aws.amazon.com/batch/latest/APIReference/API_NodeOverrides.html,
https://github.com/aws/aws-parallelcluster/pull/964, https://github.com/aws/aws-cdk/issues/29415.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from mngen.errors import InputError, ToolError
from mngen.jobs import Jobs, Order
from mngen.policy import Part, policy
from mngen.rehearsal import rehearsal_of
from mngen.sandbox import ACCOUNT_ID
from mngen.selftest import Wish, choose
from tests.support.batch import Deployed, hold
from tests.support.iam import Request, actions, allows

if TYPE_CHECKING:
    from collections.abc import Callable

    from mngen.sandbox import Sandbox

NAME = f"d{uuid4().hex[:10]}"
ROLE = f"arn:aws:iam::{ACCOUNT_ID}:role"
SECRET = f"arn:aws:secretsmanager:us-east-1:{ACCOUNT_ID}:secret:lab-AbCdEf"
CONTAINER: dict[str, Any] = {"image": "quay.io/lab/wave:1", "vcpus": 4, "memory": 8000}
CONDITIONS = [{"action": "EXIT", "onReason": "*"}]
WORKER = {
    "image": "quay.io/lab/worker:1",
    "command": ["worker"],
    "jobRoleArn": f"{ROLE}/lab-worker",
    "executionRoleArn": f"{ROLE}/lab-execution",
    "resourceRequirements": [{"type": "VCPU", "value": "24"}, {"type": "MEMORY", "value": "9000"}],
    "logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "/lab/worker"}},
}


def multi_node(nodes: int, **ranges: dict[str, Any]) -> dict[str, Any]:
    """Describe a definition by the containers of its node ranges: `_0_1` for `0:1`."""
    return {
        "type": "multinode",
        "nodeProperties": {
            "numNodes": nodes,
            "mainNode": 0,
            "nodeRangeProperties": [
                {"targetNodes": name[1:].replace("_", ":"), "container": container}
                for name, container in ranges.items()
            ],
        },
        "retryStrategy": {"attempts": 2, "evaluateOnExit": CONDITIONS},
    }


FILES = {
    "closed.json": multi_node(2, _0_1=CONTAINER),
    "ranges.json": multi_node(3, _0_0=CONTAINER, _1_=WORKER),
    "shells.json": multi_node(3, _0_0=CONTAINER, _1_=WORKER | {"enableExecuteCommand": True}),
    "one.json": {"type": "container", "containerProperties": CONTAINER},
}
SPEC = f"""\
name: {NAME}
region: us-east-1
environments:
  r5: {{instance: r5.12xlarge, max_nodes: 4, zones: [us-east-1a]}}
queues:
  mpi: {{environments: [r5]}}
jobs:
  closed: {{queue: mpi, definition: closed.json}}
  ranges: {{queue: mpi, definition: ranges.json, aws_name: lab_ranges_{NAME}}}
  shells: {{queue: mpi, definition: shells.json}}
  one: {{queue: mpi, definition: one.json}}
  keys: {{queue: mpi, nodes: 2, command: [hostname]}}
  coupled:
    queue: mpi
    nodes: 3
    command: [hostname]
    image: quay.io/lab/ocean:1
    groups:
      ocean: {{nodes: "0:0"}}
      ice: {{nodes: "1:", image: "quay.io/lab/ice:1", registry_credentials: "{SECRET}"}}
  inside:
    queue: mpi
    nodes: 2
    command: [hostname]
    user: "1000"
    ulimits: {{stack: -1}}
    tmpfs: [{{path: /work, size: 64}}]
    mounts: [{{host: /opt/data, path: /data}}]
"""


@pytest.fixture(scope="module")
def lab(sandbox: Sandbox) -> Deployed:
    return Deployed(
        sandbox, SPEC, {name: json.dumps(data).encode() for name, data in FILES.items()}
    )


@pytest.fixture
def jobs(
    lab: Deployed, state_home: object, inside: None, connect: Callable[[str, str], Any]
) -> Jobs:
    return Jobs(lab.cluster, connect)


def overrides(request: dict[str, Any]) -> dict[str, set[str]]:
    """Return what a request overrides of each node range."""
    return {
        each["targetNodes"]: set(each["containerOverrides"])
        for each in request["nodeOverrides"]["nodePropertyOverrides"]
    }


def test_a_closed_node_range_is_overridden_as_it_is(lab: Deployed, jobs: Jobs) -> None:
    """An open range, or a number of nodes beside a closed one, would be refused."""
    shown = jobs.prepare(Order(job="closed", command=("hostname",), memory=4000)).shown
    assert "numNodes" not in shown["nodeOverrides"]
    assert overrides(shown) == {"0:1": {"command", "environment", "resourceRequirements"}}
    job = lab.job(jobs.submit("closed", command=("hostname",), memory=4000).id)
    assert job["nodeProperties"]["numNodes"] == 2
    assert job["jobDefinition"].endswith(f":job-definition/{NAME}-closed:1")
    with pytest.raises(InputError) as raised:
        jobs.submit("closed", nodes=3)
    [problem] = raised.value.problems
    assert problem.rule == "MN307"
    assert "closed.json" in (problem.hint or "")


def test_every_node_range_gets_the_secret_and_keeps_its_own_command(
    lab: Deployed, jobs: Jobs
) -> None:
    shown = jobs.prepare(Order(job="ranges")).shown
    assert overrides(shown) == {"0:0": {"environment"}, "1:": {"environment"}}
    job = lab.job(jobs.submit("ranges", nodes=4).id)
    assert job["nodeProperties"]["numNodes"] == 4
    for refused in ({"command": ("a",)}, {"memory": 4000}, {"vcpus": 2}):
        with pytest.raises(InputError, match="every node range of `ranges`"):
            jobs.submit("ranges", **refused)
    # The second range starts at node 1.
    with pytest.raises(InputError, match="node ranges 0:0, 1:"):
        jobs.submit("ranges", nodes=1)


def test_a_revision_that_a_script_has_registered_is_submitted_in_its_ranges(
    lab: Deployed, jobs: Jobs
) -> None:
    assert jobs.prepare(Order(job="keys")).shown["nodeOverrides"]["numNodes"] == 2
    lab.batch.register_job_definition(
        jobDefinitionName=f"{NAME}-keys", **multi_node(2, _0_0=CONTAINER, _1_1=CONTAINER)
    )
    shown = jobs.prepare(Order(job="keys")).shown
    assert "numNodes" not in shown["nodeOverrides"]
    assert set(overrides(shown)) == {"0:0", "1:1"}
    assert lab.job(jobs.submit("keys").id)["nodeProperties"]["numNodes"] == 2


def containers(lab: Deployed, job: str) -> dict[str, dict[str, Any]]:
    """Return the containers of a job's newest definition by their node ranges."""
    found = lab.batch.describe_job_definitions(jobDefinitionName=f"{NAME}-{job}")["jobDefinitions"]
    newest = max(found, key=lambda each: each["revision"])
    ranges = newest["nodeProperties"]["nodeRangeProperties"]
    return {each["targetNodes"]: each["container"] for each in ranges}


def test_groups_of_a_definition_for_one_node_need_an_apply(lab: Deployed, jobs: Jobs) -> None:
    lab.batch.register_job_definition(
        jobDefinitionName=f"{NAME}-coupled", type="container", containerProperties=CONTAINER
    )
    with pytest.raises(InputError, match="for one node, and the submission is not") as raised:
        jobs.submit("coupled", register=True)
    assert [each.rule for each in raised.value.problems] == ["MN307"]


def test_a_group_with_secrets_gets_the_role_that_reads_them(lab: Deployed, jobs: Jobs) -> None:
    """Without one, the agent cannot pull the image:
    https://docs.aws.amazon.com/batch/latest/userguide/execution-IAM-role.html."""
    other = {**WORKER, "repositoryCredentials": {"credentialsParameter": f"{SECRET[:-1]}g"}}
    for last in (CONTAINER, WORKER, other):
        lab.batch.register_job_definition(
            jobDefinitionName=f"{NAME}-coupled", **multi_node(3, _0_1=CONTAINER, _2_=last)
        )
        with pytest.raises(InputError, match=r"no execution role .* group `ice`") as raised:
            jobs.submit("coupled", register=True)
        assert "mngen apply" in (raised.value.problems[0].hint or "")
    own = {**WORKER, "repositoryCredentials": {"credentialsParameter": SECRET}}
    lab.batch.register_job_definition(
        jobDefinitionName=f"{NAME}-coupled", **multi_node(3, _0_1=own, _2_=CONTAINER)
    )
    jobs.submit("coupled", register=True)
    found = containers(lab, "coupled")
    roles = {name: each.get("executionRoleArn") for name, each in found.items()}
    assert roles == {"0:0": None, "1:": WORKER["executionRoleArn"]}


def test_other_node_ranges_than_the_definitions_are_refused(lab: Deployed) -> None:
    wanted = {"jobName": "j", "jobQueue": f"{NAME}-mpi"}
    every = {"targetNodes": "0:", "containerOverrides": {}}
    for name, node_overrides, said in (
        ("closed", {"nodePropertyOverrides": [every]}, "Non matching targets - 0:"),
        ("closed", {"numNodes": 2}, "without a range_end"),
        (f"lab_ranges_{NAME}", {"nodePropertyOverrides": [every]}, "Non matching targets - 0:"),
    ):
        definition = name if name.startswith("lab") else f"{NAME}-{name}"
        with pytest.raises(ClientError, match=said):
            lab.batch.submit_job(jobDefinition=definition, nodeOverrides=node_overrides, **wanted)


def test_the_largest_node_range_must_fit(jobs: Jobs) -> None:
    target = jobs.prepare(Order(job="ranges")).target
    assert (target.resource("VCPU"), target.resource("MEMORY")) == (24, 9000)


def test_more_attempts_keep_the_conditions_of_the_definition(lab: Deployed, jobs: Jobs) -> None:
    job = lab.job(jobs.submit("closed", attempts=5).id)
    assert job["retryStrategy"]["attempts"] == 5
    [condition] = job["retryStrategy"]["evaluateOnExit"]
    assert condition["onReason"] == "*"


def test_a_registration_leaves_it_alone(lab: Deployed, jobs: Jobs) -> None:
    done = jobs.submit("one", register=True)
    assert lab.job(done.id)["jobDefinition"].endswith(f"{NAME}-one:1")
    # A revision that a script has registered since is used, and no difference.
    lab.batch.register_job_definition(
        jobDefinitionName=f"{NAME}-one",
        type="container",
        containerProperties={**CONTAINER, "memory": 7000},
    )
    prepared = jobs.prepare(Order(job="one"))
    assert prepared.problems == ()
    assert prepared.shown["jobDefinition"].endswith(f"{NAME}-one:2")


def test_the_log_group_is_the_definitions(lab: Deployed, jobs: Jobs) -> None:
    status = jobs.status(jobs.submit("one", again=True).id, why=False, instances=False)
    assert status.log_group == "/aws/batch/job"


def test_shells_in_one_node_range(lab: Deployed, jobs: Jobs) -> None:
    """Debuggers get the permissions, and the other range's container is named."""
    debugger = policy(Part.DEBUGGER, lab.cluster, ACCOUNT_ID)
    assert "ecs:ExecuteCommand" in actions([debugger])
    job = hold(jobs, "RUNNING", "shells")
    with pytest.raises(InputError, match=r"node 0 of .* was submitted without `shell`") as raised:
        jobs.open_shell(job, node=0)
    hint = raised.value.problems[0].hint or ""
    container = "/nodeProperties/nodeRangeProperties/0/container"
    assert f'add `"enableExecuteCommand": true` to {container} in shells.json' in hint
    # The role of this test has no permissions; ECS knows that the agent is to run.
    with pytest.raises(ToolError, match="the agent of ECS Exec on node 1"):
        jobs.open_shell(job, node=1)
    jobs.cancel(job)


def test_policies_follow_the_files(lab: Deployed) -> None:
    submitter = policy(Part.SUBMITTER, lab.cluster, ACCOUNT_ID)
    streams = f"arn:aws:logs:us-east-1:{ACCOUNT_ID}:log-group:"
    for group in ("/lab/worker:log-stream:a", "/aws/batch/job:log-stream:a"):
        assert allows([submitter], Request("logs:GetLogEvents", f"{streams}{group}"))
    deployer = policy(Part.DEPLOYER, lab.cluster, ACCOUNT_ID)
    for role in ("lab-worker", "lab-execution"):
        context = {"iam:PassedToService": "ecs-tasks.amazonaws.com"}
        assert allows([deployer], Request("iam:PassRole", f"{ROLE}/{role}", context))


def test_the_self_test_and_rehearsals_need_what_a_file_may_lack(lab: Deployed) -> None:
    with pytest.raises(InputError, match="its image may not have what is needed"):
        choose(lab.cluster, Wish(job="closed"))
    with pytest.raises(InputError, match="the job `one` has no command"):
        rehearsal_of(lab.cluster, "one")


def test_a_container_of_before_is_registered_as_the_spec_has_it(lab: Deployed, jobs: Jobs) -> None:
    job = next(each for each in lab.cluster.jobs if each.name == "inside")
    order = Order(job="inside")
    assert not [each for each in jobs.prepare(order).problems if "differs" in each.message]
    shared = [{"name": "efs", "host": {"sourcePath": "/efs"}}]
    before = {"volumes": shared, "mountPoints": [], "ulimits": [], "linuxParameters": {}}
    lab.register(job, **before, user="root", privileged=True, enableExecuteCommand=True)
    [problem] = [each for each in jobs.prepare(order).problems if "differs" in each.message]
    for key in ("ulimits", "tmpfs", "mounts", "user", "privileged", "shell"):
        assert key in problem.message
    jobs.submit("inside", register=True)
    assert not [each for each in jobs.prepare(order).problems if "differs" in each.message]
    name = job.spec.aws_name or f"{NAME}-inside"
    found = lab.batch.describe_job_definitions(jobDefinitionName=name)["jobDefinitions"]
    newest = max(found, key=lambda each: each["revision"])
    container = newest["nodeProperties"]["nodeRangeProperties"][0]["container"]
    assert [each["name"] for each in container["volumes"]] == ["efs", "mount-0"]
    assert container["user"] == "1000"
    assert not container.get("privileged")
    assert not container.get("enableExecuteCommand")
    assert container["linuxParameters"]["tmpfs"] == [{"containerPath": "/work", "size": 64}]
