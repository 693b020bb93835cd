"""A deployment that stands is changed: what the plan says, and that the change goes through.

The emulator refuses what AWS refuses: to end a compute environment that a queue still names, or to
give two environments one name. A wrong order of creation and destruction fails here as it would
there.
"""

from __future__ import annotations

import json
import shlex
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.sandbox import client
from tests.support.stack import Changes, Stack, only

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mngen.sandbox import Sandbox

# One worker starts them all, at the same time.
pytestmark = pytest.mark.xdist_group("changes")

SPEC = """
name: lab
region: us-east-1
network: {endpoints: []}
environments:
  r5-24: {instance: r5.12xlarge, max_nodes: 4, placement_group: MPIgroup}
queues:
  mpi: {environments: [r5-24]}
"""


class Lab:
    """The deployment of `SPEC` in a region of its own, with all its images baked.

    Args:
        stack: Its folder and environment.
        sandbox: The emulated AWS.
        region: AWS region.
        more: What is added to the spec.
    """

    def __init__(self, stack: Stack, sandbox: Sandbox, region: str, more: str = "") -> None:
        self.spec = SPEC.replace("us-east-1", region) + more
        self.region = region
        self.sandbox = sandbox
        self._batch = client(sandbox, "batch", region)
        self.iam = client(sandbox, "iam")
        self.stack = stack
        self.stack.render(self.spec)
        self.stack.record_images("r5.12xlarge", "r5.24xlarge")
        self.stack.apply()

    def change(self, *replacements: tuple[str, str], more: str = "") -> Changes:
        """Render a changed spec, apply it, and return what was done."""
        for old, new in replacements:
            assert old in self.spec
            self.spec = self.spec.replace(old, new)
        self.spec += more
        self.stack.render(self.spec)
        done = self.stack.apply(refresh=False)
        assert self.stack.unchanged()
        return done

    def environments(self) -> list[dict[str, Any]]:
        """Read the compute environments that stand."""
        found: list[dict[str, Any]] = self._batch.describe_compute_environments()[
            "computeEnvironments"
        ]
        return found

    def queue_order(self) -> list[str]:
        """Read which environments the one queue names."""
        [queue] = self._batch.describe_job_queues()["jobQueues"]
        return [each["computeEnvironment"] for each in queue["computeEnvironmentOrder"]]


def in_place_changes(lab: Lab) -> None:
    [before] = lab.environments()

    # Another instance type, whose image is baked: Batch updates the environment where it stands.
    done = lab.change(("r5.12xlarge", "r5.24xlarge"))
    environment = "module.environment_r5-24[0].aws_batch_compute_environment.this"
    assert done == {environment: ["update"]}
    [after] = lab.environments()
    assert after["computeEnvironmentArn"] == before["computeEnvironmentArn"]
    resources = after["computeResources"]
    assert resources["instanceTypes"] == ["r5.24xlarge"]
    assert resources["maxvCpus"] == 4 * 96
    assert resources["ec2Configuration"][0]["imageIdOverride"].endswith("1")

    # A new image of the same type is a change in place as well.
    lab.stack.record_images("r5.24xlarge")
    assert lab.stack.apply() == {environment: ["update"]}
    [after] = lab.environments()
    assert after["computeResources"]["ec2Configuration"][0]["imageIdOverride"].endswith("0")

    # Tags of the machines are in the launch template: a new version of it, taken over in place.
    done = lab.change(more="tags: {grant: x}\n")
    assert only(done, "delete") == {}
    assert done[environment] == ["update"]

    # A second environment joins: nothing that stood is touched but the queue that now names it.
    extra = "extra: {instance: r5.24xlarge, max_nodes: 2, multi_node: false, purchase: spot}"
    done = lab.change(("queues:", f"  {extra}\nqueues:"), ("[r5-24]", "[r5-24, extra]"))
    assert only(done, "delete") == {}
    assert only(done, "update") == {"module.queue_mpi[0].aws_batch_job_queue.this": ["update"]}
    assert len(lab.queue_order()) == 2


def replacements_never_strand_the_queue(lab: Lab) -> None:
    queue = "module.queue_mpi[0].aws_batch_job_queue.this"

    # The placement group cannot be changed in place: the new environment comes first.
    done = lab.change(("MPIgroup", "tight"))
    environment = "module.environment_r5-24[0].aws_batch_compute_environment.this"
    assert done[environment] == ["create", "delete"]
    assert done[queue] == ["update"]
    assert done["aws_placement_group.group_tight"] == ["create"]
    assert done["aws_placement_group.group_MPIgroup"] == ["delete"]
    [only_one] = lab.environments()
    assert only_one["computeResources"]["placementGroup"] == "lab-tight"
    assert lab.queue_order() == [only_one["computeEnvironmentArn"]]

    # A renamed environment is another one: made, put in the queue, and only then the old one ends.
    done = lab.change(("r5-24", "memory-24"))
    assert done["module.environment_memory-24[0].aws_batch_compute_environment.this"] == ["create"]
    assert done[environment] == ["delete"]
    assert done[queue] == ["update"]
    [only_one] = lab.environments()
    assert "memory-24" in only_one["computeEnvironmentName"]
    assert lab.queue_order() == [only_one["computeEnvironmentArn"]]


def a_queue_gets_and_loses_its_shares(lab: Lab) -> None:
    """By mngen alone: the provider plans an update, which AWS Batch refuses, or does not do."""
    queue = "module.queue_mpi[0].aws_batch_job_queue.this"
    policy = "module.queue_mpi[0].aws_batch_scheduling_policy.this[0]"
    batch = client(lab.sandbox, "batch", lab.region)

    def applied(old: str, new: str) -> dict[str, str]:
        lab.spec = lab.spec.replace(old, new)
        lab.stack.render(lab.spec)
        plan = lab.stack.mngen("plan", "--format", "json")
        assert plan.returncode == 0, plan.stderr
        done = lab.stack.mngen("apply", "--yes")
        assert done.returncode == 0, done.stderr
        assert lab.stack.unchanged()
        return {each["address"]: each["action"] for each in json.loads(plan.stdout)["changes"]}

    def policies() -> list[dict[str, Any]]:
        [found] = batch.describe_job_queues()["jobQueues"]
        used = [found[key] for key in ("schedulingPolicyArn",) if key in found]
        there = [each["arn"] for each in batch.list_scheduling_policies()["schedulingPolicies"]]
        assert used == there
        described: Any = batch.describe_scheduling_policies(arns=there) if there else {}
        return [each["fairsharePolicy"] for each in described.get("schedulingPolicies", [])]

    shares = "shares: {weights: {alice: 0.1, physics*: 999.9999}}"
    assert applied("[r5-24]}", f"[r5-24], {shares}}}") == {queue: "replace", policy: "create"}
    [made] = policies()
    assert made["shareDecaySeconds"] == 86_400
    weights = {each["shareIdentifier"]: each["weightFactor"] for each in made["shareDistribution"]}
    assert weights == {"alice": 0.1, "physics*": 999.9999}
    assert applied("alice: 0.1", "bob: 0.0001") == {policy: "update"}
    # Another policy: the queue switches to it before the old one is deleted.
    other = batch.create_scheduling_policy(name="other")["arn"]
    shares = shares.replace("alice: 0.1", "bob: 0.0001")
    switched = {queue: "update", policy: "destroy"}
    assert applied(shares, f"scheduling_policy: '{other}'") == switched
    [existing] = policies()
    assert existing["shareDistribution"] == []
    assert applied(f", scheduling_policy: '{other}'", "") == {queue: "replace"}
    batch.delete_scheduling_policy(arn=other)
    assert policies() == []


def custom_service_role_replaces_in_order(lab: Lab) -> None:
    lab.stack.record_images("r5.24xlarge", "r5.12xlarge")
    environment = "module.environment_r5-24[0].aws_batch_compute_environment.this"
    assert lab.stack.apply()[environment] == ["create", "delete"]

    # A new version of the launch template, whose number is known only when it is applied.
    assert lab.change(more="tags: {grant: x}\n")[environment] == ["create", "delete"]
    [only_one] = lab.environments()
    assert only_one["serviceRole"].startswith("arn:aws:iam::123456789012:role/lab-service-")
    role = only_one["serviceRole"].rpartition("/")[2]

    # The role is deleted by hand. No destroy gets on without it, and its help says what does.
    iam = lab.iam
    attached = iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
    for each in attached:
        iam.detach_role_policy(RoleName=role, PolicyArn=each["PolicyArn"])
    iam.delete_role(RoleName=role)
    refused = lab.stack.mngen("destroy", "--yes")
    assert refused.returncode == 3, refused.stderr
    restore, delete = commands(refused.stderr)
    assert [each[2] for each in restore] == ["create-role", "attach-role-policy"]
    for each in restore:
        call(iam, each)

    # With the role restored, the deployment can be made whole again, or destroyed.
    applied = lab.stack.mngen("apply", "--yes")
    assert applied.returncode == 0, applied.stderr
    assert lab.stack.unchanged()
    [only_one] = lab.environments()
    assert only_one["status"] == "VALID"
    assert lab.queue_order() == [only_one["computeEnvironmentArn"]]
    for each in delete:
        call(iam, each)
    lab.stack.destroy()
    assert lab.stack.resources() == []


def commands(text: str) -> tuple[list[list[str]], list[list[str]]]:
    """Read the commands of AWS's command line in a help: before the next run, and after it."""
    lines = [line.strip() for line in text.splitlines()]
    (turn,) = [number for number, line in enumerate(lines) if "run the command again" in line]
    found = [
        [shlex.split(line) for line in part if line.startswith("aws ")]
        for part in (lines[:turn], lines[turn:])
    ]
    return found[0], found[1]


def call(service: Any, command: list[str]) -> None:
    """Do what a command of AWS's command line does, which is the call of the same name."""
    program, name, operation, *options = command
    assert (program, name) == ("aws", service.meta.service_model.service_name)
    keys = ["".join(map(str.capitalize, each[2:].split("-"))) for each in options[::2]]
    getattr(service, operation.replace("-", "_"))(**dict(zip(keys, options[1::2], strict=True)))


@dataclass(frozen=True)
class Way:
    """A deployment and its changes.

    Attributes:
        walk: Changes it.
        region: AWS region, no other way's.
        more: What its spec has besides `SPEC`.
    """

    walk: Callable[[Lab], None]
    region: str
    more: str = ""

    @property
    def name(self) -> str:
        """Its test's name."""
        return self.walk.__name__

    def run(self, folder: Path, sandbox: Sandbox, env: dict[str, str]) -> None:
        """Walk it in an empty folder."""
        with Stack(folder, sandbox.environment(self.region, env)) as stack:
            self.walk(Lab(stack, sandbox, self.region, self.more))


WAYS = [
    Way(in_place_changes, "us-east-1"),
    Way(replacements_never_strand_the_queue, "us-east-2"),
    Way(a_queue_gets_and_loses_its_shares, "eu-west-1"),
    Way(custom_service_role_replaces_in_order, "us-west-2", "roles: {service: create}\n"),
]


@pytest.fixture(scope="module")
def runs(
    request: pytest.FixtureRequest,
    sandbox: Sandbox,
    terraform_env: dict[str, str],
    requires_provider: None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, Future[None]]]:
    """Start all that are wanted at the same time, each in a region of its own: they mostly wait."""
    sandbox.reset()
    wanted = [
        way for way in WAYS if any(f"[{way.name}]" in each.name for each in request.session.items)
    ]
    with ThreadPoolExecutor(len(wanted)) as pool:
        yield {
            way.name: pool.submit(way.run, tmp_path_factory.mktemp("lab"), sandbox, terraform_env)
            for way in wanted
        }


@pytest.mark.parametrize("way", [way.name for way in WAYS])
def test_a_change_goes_through(way: str, runs: dict[str, Future[None]]) -> None:
    runs[way].result()
