"""A submitter's policy allows every call that the commands on jobs make."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from mngen.jobs import Jobs
from mngen.policy import Part, policy
from mngen.sandbox import ACCOUNT_ID
from tests.support.batch import Deployed, hold, spec_text
from tests.support.faults import Faults
from tests.support.iam import Request, actions, allows
from tests.support.sandbox import client

if TYPE_CHECKING:
    from mngen.sandbox import Sandbox

BATCH_POLICY = "arn:aws:iam::aws:policy/service-role/AWSBatchServiceRole"
ROOT = Path(__file__).resolve().parents[3]

# Asking for more than a submitter's own rights: registering is the deployer's.
REGISTERING = "batch:RegisterJobDefinition"


# The bulk call has no permission of its own. Source: botocore's model of AWS Batch (TerminateJobs)
PERMISSIONS = {"batch:TerminateJobs": "batch:TerminateJob"}


def running_one(jobs: Jobs) -> str:
    return hold(jobs, "RUNNING", "one")


@pytest.mark.usefixtures("state_home", "clock")
def test_all_that_a_submitter_asks(deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    with Faults(deployed.sandbox.endpoint) as faults:
        faults.redirect(monkeypatch)
        jobs = Jobs(deployed.cluster)
        done = jobs.submit("mpi")
        list(jobs.follow(done.id))
        list(jobs.logs(done.id))
        jobs.list()
        jobs.watcher().look()
        jobs.timeline(done.id)
        held = jobs.submit("mpi", environment={"MNGEN_SANDBOX_HOLD": "RUNNABLE"})
        assert jobs.status(held.id).causes
        jobs.cancel(held.id)
        jobs.wait(held.id)
        running = hold(jobs, "RUNNING", nodes=3)
        machines = [each.container_instance for each in jobs.status(running).nodes]
        jobs.cancel(running)
        later = jobs.submit("one", tags={"project": "x"}, after=[running_one(jobs)])
        jobs.cancel_many(jobs.list(tags={"project": "x"}))
        assert jobs.status(later.id).causes
        asked = {PERMISSIONS.get(call.action, call.action) for call in faults.calls}
        submissions = [call for call in faults.calls if call.action == "batch:SubmitJob"]
        counted = [call for call in faults.calls if call.action == "ecs:DescribeClusters"]
    document = policy(Part.SUBMITTER, deployed.cluster, ACCOUNT_ID)
    granted = actions([document])
    assert asked - granted == set()
    assert REGISTERING not in granted
    assert "ecs:DescribeContainerInstances" in asked
    for arn in machines:
        assert allows([document], Request("ecs:DescribeContainerInstances", arn or ""))
    clusters = {each for call in counted for each in call.values["clusters"]}
    assert clusters
    for arn in clusters:
        assert allows([document], Request("ecs:DescribeClusters", arn))
        assert not allows([document], Request("ecs:DescribeClusters", arn.replace("-j", "-x")))
    assert len(submissions) == 5
    # The right to tag a job, and with it the right to submit, is bound to the deployment's tag.
    assert {call.values["tags"]["mngen:deployment"] for call in submissions} == {deployed.name}


@pytest.mark.parametrize("role", ["service-linked", "own"])
@pytest.mark.usefixtures("state_home")
def test_the_clusters_of_any_service_role(
    sandbox: Sandbox, role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batch names an environment's ECS cluster by its service role.

    Source: https://github.com/hashicorp/terraform-provider-aws/pull/38050 (the other role's)
    """
    name = f"j{uuid4().hex[:10]}"
    if role == "own":
        iam = client(sandbox, "iam")
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument="{}")["Role"]["Arn"]
        iam.attach_role_policy(RoleName=name, PolicyArn=BATCH_POLICY)
    deployed = Deployed(sandbox, spec_text(name, more=f"roles: {{service: '{role}'}}\n"))
    with Faults(sandbox.endpoint) as faults:
        faults.redirect(monkeypatch)
        jobs = Jobs(deployed.cluster)
        running = hold(jobs, "RUNNING")
        machines = [each.container_instance or "" for each in jobs.status(running).nodes]
        # A job that waits for instances: status looks at the cluster that they should join.
        deployed.control(unjoined={deployed.environments["r5"]: {"age": 720}})
        waiting = jobs.submit("mpi").id
        assert any(each.instances for each in jobs.status(waiting).causes)
        deployed.control(unjoined={})
        jobs.cancel(running)
        jobs.cancel(waiting)
        calls = [call for call in faults.calls if call.action == "ecs:ListContainerInstances"]
    document = policy(Part.SUBMITTER, deployed.cluster, ACCOUNT_ID)
    clusters = {call.values["cluster"] for call in calls}
    assert len(clusters) == 1
    for action, arns in [
        ("ecs:ListContainerInstances", clusters),
        ("ecs:DescribeContainerInstances", machines),
    ]:
        for arn in arns:
            assert ("_Batch_" in arn) is (role != "service-linked")
            assert allows([document], Request(action, arn))
            assert not allows([document], Request(action, arn.replace(name, f"x{name}")))


@pytest.mark.usefixtures("clock")
def test_the_example_is_the_tutorials_script(
    sandbox: Sandbox,
    state_home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = (ROOT / "examples" / "tutorial.yaml").read_text(encoding="utf-8")
    text = text.replace("name: tutorial", "name: scripted")
    deployed = Deployed(sandbox, text)
    (tmp_path / "mngen.yaml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with sandbox.applied():
        found: dict[str, Any] = runpy.run_path(str(ROOT / "examples" / "submit.py"))
    job = deployed.job(found["job"].id)
    assert job["nodeProperties"]["numNodes"] == 4
    shown = capsys.readouterr().out.splitlines()
    assert shown[-1] == "SUCCEEDED"
    assert any("end: exit 0" in line for line in shown)
    assert state_home.exists()
