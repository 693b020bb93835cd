"""What the rules say of parts that the emulated AWS does not have, of answers as AWS gives them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from mngen.catalog import load_catalog
from mngen.errors import Position
from mngen.rules import AWS_RULES, SUBMISSION_RULES, Match, check_aws, require
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
ENVIRONMENTS = [
    {
        "computeEnvironmentName": arn.rpartition("/")[2],
        "computeEnvironmentArn": arn,
        "computeResources": {
            "type": "EC2",
            "imageId": AMI,
            "instanceRole": f"arn:aws:iam::123456789012:instance-profile/{profile}",
        },
    }
    for arn, profile in ((OLD.replace("old", "seismic-r5-1"), "seismic"), (OLD, "ecsInstanceRole"))
]


def judged(rule: str, **answers: Any) -> list[Match]:
    """Judges the spec by one rule, of an account where each call has a fixed answer."""
    client = SimpleNamespace(**answers)
    account: Any = SimpleNamespace(
        cluster=require(load_text(SPEC.encode()), load_catalog()),
        client=lambda _: client,
        ec2=client,
        images={},
    )
    for asking in AWS_RULES:
        if asking.id == rule:
            return list(asking.matches(account))
    target: Any = SimpleNamespace(
        account=account,
        environments=ENVIRONMENTS,
        intent=SimpleNamespace(queue=SimpleNamespace(name="mpi")),
    )
    [judging] = [each for each in SUBMISSION_RULES if each.id == rule]
    return list(judging.matches(target))


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


@pytest.mark.parametrize(
    ("types", "arm"),
    [
        (["optimal"], False),
        (["default_x86_64"], False),
        (["default_arm64"], True),
        (["c7g.4xlarge"], True),
        (["c7g", "r6g.4xlarge"], True),
        (["m5", "c5.large"], False),
        (["zz9.large", "zz9"], False),
    ],
)
def test_legacy_environments_have_the_architecture_of_the_queue(
    types: list[str], arm: bool
) -> None:
    resources = {"type": "EC2", "instanceTypes": types}
    environment = {
        "computeEnvironmentArn": OLD,
        "status": "VALID",
        "computeResources": resources,
    }
    answer = {"computeEnvironments": [environment]}
    found = judged("MN230", describe_compute_environments=lambda **_: answer)
    expected = "the compute environment `old` is for arm64, and the queue for x86_64"
    assert [each.message for each in found] == ([expected] if arm else [])


@pytest.mark.parametrize("rule", ["MN213", "MN313"])
def test_a_deprecated_ami_is_there(rule: str) -> None:
    image = {"ImageId": AMI, "State": "available", "Architecture": "x86_64"}

    def describe(**request: Any) -> dict[str, Any]:
        return {"Images": [image] if request.get("IncludeDeprecated") else []}

    assert judged(rule, describe_images=describe) == []


def test_a_submission_looks_at_the_profiles_of_its_own_environments_only() -> None:
    asked: list[str] = []

    def look(InstanceProfileName: str) -> dict[str, Any]:  # noqa: N803
        asked.append(InstanceProfileName)
        return {"InstanceProfile": {"Roles": [{}]}}

    errors = SimpleNamespace(NoSuchEntityException=KeyError)
    assert judged("MN315", get_instance_profile=look, exceptions=errors) == []
    assert asked == ["seismic"]


def test_what_a_definition_names_is_reported_in_its_file() -> None:
    role = "arn:aws:iam::123456789012:role/gone"
    definition = f"""\
{{
  "type": "container",
  "containerProperties": {{
    "image": "quay.io/me/post:v1", "vcpus": 4, "memory": 8000,
    "jobRoleArn": "{role}"
  }}
}}
"""
    text = SPEC + "jobs:\n  post: {queue: mpi, definition: post.json}\n"
    loaded = load_text(text.encode(), "lab/mngen.yaml", {"post.json": definition.encode()})
    cluster = require(loaded, load_catalog())

    def look(RoleName: str) -> dict[str, Any]:  # noqa: N803
        raise KeyError(RoleName)

    client = SimpleNamespace(
        get_role=look, exceptions=SimpleNamespace(NoSuchEntityException=KeyError)
    )
    others = [each.id for each in AWS_RULES if each.id != "MN214"]
    for document in (loaded.document, None):
        answers = check_aws(cluster, skip=others, document=document, connect=lambda *_: client)
        [problem] = answers.problems
        assert (problem.file, problem.position) == ("lab/post.json", Position(5, 19))
        assert problem.path == "jobs.post.definition"
        assert problem.message == f"/containerProperties/jobRoleArn: there is no role {role}"
