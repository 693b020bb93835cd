"""What the rules say of parts that the emulated AWS does not have, of answers as AWS gives them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from mngen.catalog import load_catalog
from mngen.rules import AWS_RULES, Match, require
from mngen.spec import load_text

OLD = "arn:aws:batch:us-east-1:123456789012:compute-environment/old"
AMI = "ami-0123456789abcdef0"
SPEC = f"""\
name: seismic
region: us-east-1
environments:
  r5: {{instance: r5.12xlarge, image: {AMI}, max_nodes: 4, zones: [us-east-1a]}}
queues:
  mpi: {{environments: [r5], legacy: ['{OLD}']}}
"""


def judged(rule: str, **answers: Any) -> list[Match]:
    """Judges the spec by one rule, of an account where each call has a fixed answer."""
    client = SimpleNamespace(**answers)
    account: Any = SimpleNamespace(
        cluster=require(load_text(SPEC.encode()), load_catalog()),
        client=lambda _: client,
        ec2=client,
        images={},
    )
    [judge] = [each for each in AWS_RULES if each.id == rule]
    return list(judge.matches(account))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"computeResources": {"type": "EC2"}}, None),
        ({"computeResources": {"type": "SPOT"}}, None),
        ({"type": "UNMANAGED"}, None),
        ({"computeResources": {"type": "FARGATE_SPOT"}}, "has the type FARGATE_SPOT"),
        ({"computeResources": {"type": "ANOTHER"}}, "has the type ANOTHER"),
        (
            {"computeResources": {"type": "EC2"}, "eksConfiguration": {"eksClusterArn": "arn"}},
            "is of Amazon EKS",
        ),
    ],
)
def test_legacy_environments_have_instances_of_ecs(more: dict[str, Any], said: str | None) -> None:
    environment = {"computeEnvironmentArn": OLD, "status": "VALID", **more}
    answer = {"computeEnvironments": [environment]}
    found = judged("MN230", describe_compute_environments=lambda **_: answer)
    expected = [] if said is None else [f"the compute environment `old` {said}"]
    assert [each.message for each in found] == expected


def test_a_deprecated_ami_is_there() -> None:
    image = {"ImageId": AMI, "State": "available", "Architecture": "x86_64"}

    def describe(**request: Any) -> dict[str, Any]:
        return {"Images": [image] if request.get("IncludeDeprecated") else []}

    assert judged("MN213", describe_images=describe) == []
