"""An update of an environment under running jobs is said before it is applied."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from mngen.terraform import summarise
from mngen.terraform._plan import Plan
from mngen.terraform._running import running_jobs
from tests.support.batch import Deployed, array_of, spec_text
from tests.support.sandbox import client

if TYPE_CHECKING:
    from mngen.errors import Problem
    from mngen.sandbox import Sandbox


def warned(sandbox: Sandbox, deployed: Deployed, **changed: Any) -> list[Problem]:
    """Ask about a plan that changes the compute resources of the multi-node environment."""
    name = deployed.environments["r5"]
    found = deployed.batch.describe_compute_environments(computeEnvironments=[name])
    [environment] = found["computeEnvironments"]
    resources = {"max_vcpus": 192, "image_id": "ami-1"}
    before = {"arn": environment["computeEnvironmentArn"], "compute_resources": [resources]}
    after = {**before, "compute_resources": [{**resources, **changed}]}
    data: dict[str, Any] = {
        "resource_changes": [
            {
                "address": "module.environment_r5[0].aws_batch_compute_environment.this",
                "mode": "managed",
                "type": "aws_batch_compute_environment",
                "change": {"actions": ["update"], "before": before, "after": after},
            }
        ],
        "configuration": {
            "provider_config": {
                "aws": {
                    "name": "aws",
                    "expressions": {"region": {"constant_value": "us-east-1"}},
                }
            },
            "root_module": {
                "module_calls": {
                    "network": {"expressions": {"name": {"constant_value": deployed.name}}}
                }
            },
        },
    }
    plan = Plan(summarise(data), is_destroy=False, has_changes=True, descriptor=-1, data=data)
    return list(running_jobs(plan, partial(client, sandbox)))


def test_only_a_replacement_of_instances_under_running_jobs_is_warned_of(sandbox: Sandbox) -> None:
    deployed = Deployed(sandbox, spec_text(f"u{uuid4().hex[:10]}"))
    assert warned(sandbox, deployed, image_id="ami-2") == []
    held = [{"name": "MNGEN_SANDBOX_HOLD", "value": "RUNNING"}]
    override = {"targetNodes": "0:", "containerOverrides": {"environment": held}}
    job = deployed.batch.submit_job(
        jobName="runs",
        jobQueue=f"{deployed.name}-big",
        jobDefinition=f"{deployed.name}-mpi",
        nodeOverrides={"nodePropertyOverrides": [override]},
    )["jobId"]
    deployed.reached(job, "STARTING", "RUNNING")
    [warning] = warned(sandbox, deployed, image_id="ami-2")
    assert warning.message.startswith("1 job is STARTING or RUNNING in the queues of this")
    assert "its instances are replaced" in warning.message
    assert "after 20 minutes while AWS goes on" in (warning.hint or "")
    assert warned(sandbox, deployed, max_vcpus=384) == []
    deployed.batch.terminate_job(jobId=job, reason="test")


def test_the_jobs_of_an_array_count(sandbox: Sandbox) -> None:
    deployed = Deployed(sandbox, spec_text(f"u{uuid4().hex[:10]}"))
    held = {"MNGEN_SANDBOX_HOLD": "RUNNING"}
    array = array_of(deployed, 3, jobQueue=f"{deployed.name}-big", variables=held)
    for index in range(3):
        deployed.reached(f"{array}:{index}", "RUNNING")
    assert deployed.job(array)["status"] == "PENDING"
    [warning] = warned(sandbox, deployed, image_id="ami-2")
    assert warning.message.startswith("3 jobs are STARTING or RUNNING in the queues of this")
    deployed.batch.terminate_job(jobId=array, reason="test")
    assert warned(sandbox, deployed, image_id="ami-2") == []
