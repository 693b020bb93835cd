"""A deployment that stands is changed: what the plan says, and that the change goes through.

The emulator refuses what AWS refuses: to end a compute environment that a queue still names, or to
give two environments one name. A wrong order of creation and destruction fails here as it would
there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.sandbox import client
from tests.support.stack import Changes, Stack, only

if TYPE_CHECKING:
    from pathlib import Path

    from mngen.sandbox import Sandbox

SPEC = """
name: lab
region: us-east-1
network: {endpoints: []}
environments:
  r5-24: {instance: r5.12xlarge, max_nodes: 4, placement_group: MPIgroup}
queues:
  mpi: {environments: [r5-24]}
"""


def deployed(folder: Path, sandbox: Sandbox, env: dict[str, str], spec: str) -> Stack:
    """Deploy a spec with all its images baked."""
    sandbox.reset()
    stack = Stack(folder, sandbox, env)
    stack.render(spec)
    stack.record_images("r5.12xlarge", "r5.24xlarge")
    stack.plan()
    stack.apply()
    return stack


def change(stack: Stack, spec: str) -> Changes:
    """Render a changed spec, apply it, and return what was planned."""
    stack.render(spec)
    planned = stack.plan()
    stack.apply()
    assert stack.plan() == {}
    return planned


def environments(sandbox: Sandbox) -> list[dict[str, Any]]:
    """Read the compute environments that stand."""
    found: list[dict[str, Any]] = client(sandbox, "batch").describe_compute_environments()[
        "computeEnvironments"
    ]
    return found


def queue_order(sandbox: Sandbox) -> list[str]:
    """Read which environments the one queue names."""
    [queue] = client(sandbox, "batch").describe_job_queues()["jobQueues"]
    return [each["computeEnvironment"] for each in queue["computeEnvironmentOrder"]]


def test_in_place_changes(
    tmp_path: Path, sandbox: Sandbox, terraform_env: dict[str, str], requires_provider: None
) -> None:
    stack = deployed(tmp_path, sandbox, terraform_env, SPEC)
    [before] = environments(sandbox)

    # Another instance type, whose image is baked: Batch updates the environment where it stands.
    planned = change(stack, SPEC.replace("r5.12xlarge", "r5.24xlarge"))
    environment = "module.environment_r5-24[0].aws_batch_compute_environment.this"
    assert planned == {environment: ["update"]}
    [after] = environments(sandbox)
    assert after["computeEnvironmentArn"] == before["computeEnvironmentArn"]
    resources = after["computeResources"]
    assert resources["instanceTypes"] == ["r5.24xlarge"]
    assert resources["maxvCpus"] == 4 * 96
    assert resources["ec2Configuration"][0]["imageIdOverride"].endswith("1")

    # A new image of the same type is a change in place as well.
    stack.record_images("r5.24xlarge")
    planned = stack.plan()
    assert planned == {environment: ["update"]}
    stack.apply()
    [after] = environments(sandbox)
    assert after["computeResources"]["ec2Configuration"][0]["imageIdOverride"].endswith("0")

    # Tags of the machines are in the launch template: a new version of it, taken over in place.
    tagged = SPEC.replace("r5.12xlarge", "r5.24xlarge") + "tags: {grant: x}\n"
    planned = change(stack, tagged)
    assert only(planned, "delete") == {}
    assert planned[environment] == ["update"]

    # A second environment joins: nothing that stood is touched but the queue that now names it.
    extra = "extra: {instance: r5.24xlarge, max_nodes: 2, multi_node: false, purchase: spot}"
    both = tagged.replace("queues:", f"  {extra}\nqueues:")
    planned = change(stack, both.replace("[r5-24]", "[r5-24, extra]"))
    assert only(planned, "delete") == {}
    assert only(planned, "update") == {"module.queue_mpi[0].aws_batch_job_queue.this": ["update"]}
    assert len(queue_order(sandbox)) == 2


def test_replacements_never_strand_the_queue(
    tmp_path: Path, sandbox: Sandbox, terraform_env: dict[str, str], requires_provider: None
) -> None:
    stack = deployed(tmp_path, sandbox, terraform_env, SPEC)
    queue = "module.queue_mpi[0].aws_batch_job_queue.this"

    # The placement group cannot be changed in place: the new environment comes first.
    planned = change(stack, SPEC.replace("MPIgroup", "tight"))
    environment = "module.environment_r5-24[0].aws_batch_compute_environment.this"
    assert planned[environment] == ["create", "delete"]
    assert planned[queue] == ["update"]
    assert planned["aws_placement_group.group_tight"] == ["create"]
    assert planned["aws_placement_group.group_MPIgroup"] == ["delete"]
    [only_one] = environments(sandbox)
    assert only_one["computeResources"]["placementGroup"] == "lab-tight"
    assert queue_order(sandbox) == [only_one["computeEnvironmentArn"]]

    # A renamed environment is another one: made, put in the queue, and only then the old one ends.
    renamed = SPEC.replace("MPIgroup", "tight").replace("r5-24", "memory-24")
    planned = change(stack, renamed)
    assert planned["module.environment_memory-24[0].aws_batch_compute_environment.this"] == [
        "create"
    ]
    assert planned[environment] == ["delete"]
    assert planned[queue] == ["update"]
    [only_one] = environments(sandbox)
    assert "memory-24" in only_one["computeEnvironmentName"]
    assert queue_order(sandbox) == [only_one["computeEnvironmentArn"]]


def test_custom_service_role_replaces_in_order(
    tmp_path: Path, sandbox: Sandbox, terraform_env: dict[str, str], requires_provider: None
) -> None:
    spec = SPEC + "roles: {service: create}\n"
    stack = deployed(tmp_path, sandbox, terraform_env, spec)
    stack.record_images("r5.24xlarge", "r5.12xlarge")
    planned = stack.plan()
    environment = "module.environment_r5-24[0].aws_batch_compute_environment.this"
    assert planned[environment] == ["create", "delete"]
    stack.apply()

    # A new version of the launch template, whose number is known only when it is applied.
    planned = change(stack, spec + "tags: {grant: x}\n")
    assert planned[environment] == ["create", "delete"]
    [only_one] = environments(sandbox)
    assert only_one["serviceRole"].startswith("arn:aws:iam::123456789012:role/lab-service-")
    stack.destroy()
    assert stack.resources() == []
