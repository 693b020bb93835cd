"""A revision of a definition gets what follows from the nodes of its queue."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from mngen.account import Account, Target
from mngen.catalog import load_catalog
from mngen.cluster import apply_properties
from mngen.errors import InputError
from mngen.jobs import Order
from mngen.jobs._register import fit_to_nodes, revision_wanted
from mngen.jobs._request import make_intent
from mngen.rules import require
from mngen.spec import load_text

if TYPE_CHECKING:
    from mngen.cluster import Cluster, ResolvedJob

SPEC = """
name: llm
region: us-east-1
network: {vpc: new, zones: [us-east-1a]}
environments:
  p4d: {instance: p4d.24xlarge, max_nodes: 4, efa: true, scratch: /scratch}
  c5n: {instance: c5n.18xlarge, max_nodes: 4, efa: true}
  r5: {instance: r5.12xlarge, max_nodes: 4}
queues:
  p4d: {environments: [p4d]}
  c5n: {environments: [c5n]}
  r5: {environments: [r5]}
jobs:
  p4d: {queue: p4d, nodes: 2, command: [hostname]}
  c5n: {queue: c5n, nodes: 2, command: [hostname]}
  r5: {queue: r5, nodes: 2, command: [hostname]}
  own:
    queue: c5n
    nodes: 2
    command: [hostname]
    ulimits: {memlock: 4096}
    container_properties: {linuxParameters: {devices: [{hostPath: /dev/kvm}]}}
"""
# As awslabs/awsome-distributed-ai has them, 1.architectures/3.aws-batch.
GPU_LIMITS = {"memlock": -1, "stack": 67108864, "nofile": 1024000}
# A definition as DescribeJobDefinitions gives it, with what a user has added.
FUSE = {"hostPath": "/dev/fuse", "containerPath": "/dev/fuse", "permissions": ["READ"]}
EFS = {"name": "efs", "host": {"sourcePath": "/efs"}}
EFS_MOUNT = {"containerPath": "/efs", "readOnly": False, "sourceVolume": "efs"}
PLAIN: dict[str, Any] = {
    "image": "a",
    "volumes": [EFS],
    "mountPoints": [EFS_MOUNT],
    "linuxParameters": {"sharedMemorySize": 64, "devices": [FUSE]},
    "ulimits": [{"name": "core", "hardLimit": 0, "softLimit": 0}],
}


def cluster() -> Cluster:
    return require(load_text(SPEC.encode()), load_catalog(), skip=["MN133", "MN142"])


def job(name: str) -> ResolvedJob:
    (found,) = [each for each in cluster().jobs if each.name == name]
    return found


def fitted(container: dict[str, Any], *names: str) -> dict[str, Any]:
    container = copy.deepcopy(container)
    for name in names:
        fit_to_nodes(container, job(name))
        apply_properties(cluster().spec, job(name), container)
    return container


def limits(container: dict[str, Any]) -> dict[str, int]:
    assert all(each["hardLimit"] == each["softLimit"] for each in container["ulimits"])
    return {each["name"]: each["hardLimit"] for each in container["ulimits"]}


def devices(container: dict[str, Any]) -> list[str]:
    return [each["hostPath"] for each in container["linuxParameters"].get("devices", [])]


def test_gpus_with_efa_get_all_adapters_limits_and_disks() -> None:
    found = fitted(PLAIN, "p4d")
    assert devices(found) == [*(f"/dev/infiniband/uverbs{n}" for n in range(4)), "/dev/fuse"]
    assert found["linuxParameters"]["devices"][0]["permissions"] == ["READ", "WRITE", "MKNOD"]
    assert limits(found) == GPU_LIMITS
    assert found["volumes"] == [EFS, {"name": "scratch", "host": {"sourcePath": "/scratch"}}]
    assert [each["containerPath"] for each in found["mountPoints"]] == ["/efs", "/scratch"]


def test_another_queue_takes_devices_and_disks_away_but_nothing_of_the_user() -> None:
    assert devices(fitted(PLAIN, "p4d", "c5n")) == ["/dev/infiniband/uverbs0", "/dev/fuse"]
    found = fitted(PLAIN, "p4d", "r5")
    assert devices(found) == ["/dev/fuse"]
    assert (found["volumes"], found["mountPoints"]) == ([EFS], [EFS_MOUNT])


def test_limits_are_those_of_the_spec() -> None:
    assert limits(fitted(PLAIN, "own")) == {"memlock": 4096}
    assert limits(fitted(PLAIN, "own", "c5n")) == {"memlock": -1}
    assert limits(fitted(PLAIN, "r5")) == {}


def test_devices_of_the_spec_stand_beside_the_adapters() -> None:
    found = fitted(PLAIN, "own")
    assert devices(found) == ["/dev/infiniband/uverbs0", "/dev/fuse", "/dev/kvm"]


def test_a_second_time_changes_nothing() -> None:
    for name in ("p4d", "c5n", "r5", "own"):
        assert fitted(PLAIN, name, name) == fitted(PLAIN, name)
    untouched: dict[str, Any] = {"linuxParameters": {}}
    fit_to_nodes(untouched, job("r5"))
    assert untouched == {"linuxParameters": {}}


def with_secret(roles: str) -> dict[str, Any]:
    """Returns the container of a revision of a job that has just got a secret."""
    secret = "arn:aws:ssm:us-east-1:123456789012:parameter/token"
    text = f"{SPEC}  secret: {{queue: r5, command: [hostname], secrets: {{TOKEN: '{secret}'}}}}\n"
    found = require(
        load_text(f"{text}roles: {{{roles}}}\n".encode()),
        load_catalog(),
        skip=["MN133", "MN142"],
    )
    intent = make_intent(found, Order(job="secret"), registering=True)
    container = {**PLAIN, "image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/llm/mpi:1"}
    definition: Any = {"jobDefinitionName": "llm-secret", "containerProperties": container}
    revision: Any = revision_wanted(Target(intent, Account(found, {}), definition))
    revised: dict[str, Any] = revision["containerProperties"]
    return revised


def test_secrets_come_with_the_role_that_reads_them() -> None:
    """AWS Batch refuses secrets without one; it is Terraform that makes it:
    https://docs.aws.amazon.com/batch/latest/userguide/specifying-sensitive-data-parameters.html.
    """
    role = "arn:aws:iam::123456789012:role/reads"
    found = with_secret(f"execution: '{role}'")
    assert found["secrets"][0]["name"] == "TOKEN"
    assert found["executionRoleArn"] == role
    with pytest.raises(InputError, match="no execution role for the secrets of the job `secret`"):
        with_secret("execution: create")


TASK: dict[str, Any] = {"taskProperties": [{"containers": [{"name": "a", "image": "a"}]}]}


@pytest.mark.parametrize(
    ("definition", "has"),
    [
        ({"type": "container", "ecsProperties": TASK}, "has `ecsProperties`"),
        ({"type": "container", "eksProperties": {"podProperties": {}}}, "has `eksProperties`"),
        (
            {
                "type": "multinode",
                "nodeProperties": {
                    "numNodes": 2,
                    "mainNode": 0,
                    "nodeRangeProperties": [
                        {"targetNodes": "0:0", "container": PLAIN},
                        {"targetNodes": "1:", "ecsProperties": TASK},
                    ],
                },
            },
            "has `ecsProperties`",
        ),
    ],
    ids=["one node", "Kubernetes", "several nodes"],
)
def test_a_revision_that_someone_else_registered_is_named(
    definition: dict[str, Any], has: str
) -> None:
    intent = make_intent(cluster(), Order(job="r5"), registering=True)
    newest: Any = {"jobDefinitionName": "llm-r5", "revision": 7, **definition}
    with pytest.raises(InputError, match=f"llm-r5:7, the newest revision .*, {has}") as caught:
        revision_wanted(Target(intent, Account(cluster(), {}), newest))
    (problem,) = caught.value.problems
    assert problem.hint == (
        "deregister it: `aws batch deregister-job-definition --job-definition llm-r5:7`"
    )
