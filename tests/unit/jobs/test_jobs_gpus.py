"""GPUs of jobs over HTTP against the sandbox: asked for, fewer of them, and too many."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import msgspec
import pytest

from mngen.errors import InputError
from mngen.jobs import Jobs, Order
from tests.support.batch import Deployed
from tests.support.sandbox import client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mngen.sandbox import Sandbox

SPEC = """\
name: NAME
region: us-east-1
environments:
  g5: {instance: g5.12xlarge, max_nodes: 4, multi_node: false}
queues:
  gpus: {environments: [g5]}
jobs:
  all: {queue: gpus, command: [nvidia-smi]}
  none: {queue: gpus, command: [hostname], gpus: 0}
"""
GPU_QUOTA = {"ServiceCode": "ec2", "QuotaCode": "L-DB2E81BA"}


@pytest.fixture(scope="module")
def gpus(sandbox: Sandbox) -> Iterator[Deployed]:
    """A deployment with GPUs, and a quota for its instances."""
    quotas = client(sandbox, "service-quotas")
    before = quotas.get_service_quota(**GPU_QUOTA)["Quota"]["Value"]
    quotas.request_service_quota_increase(**GPU_QUOTA, DesiredValue=1e6)
    yield Deployed(sandbox, SPEC.replace("NAME", f"g{uuid4().hex[:10]}"))
    quotas.request_service_quota_increase(**GPU_QUOTA, DesiredValue=before)


@pytest.fixture
def own(gpus: Deployed, state_home: Path, inside: None, connect: Callable[[str, str], Any]) -> Jobs:
    return Jobs(gpus.cluster, connect)


def needs(container: dict[str, Any]) -> dict[str, str]:
    return {each["type"]: each["value"] for each in container["resourceRequirements"]}


def variables(container: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["value"] for each in container["environment"]}


def unique() -> str:
    return f"n{uuid4().hex[:10]}"


def ended(gpus: Deployed, job: str) -> str:
    deadline = time.monotonic() + 180
    while (state := gpus.job(job)["status"]) not in ("SUCCEEDED", "FAILED"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return str(state)


def test_a_job_runs_with_all_gpus_of_a_node(gpus: Deployed, own: Jobs) -> None:
    done = own.submit("all", name=unique())
    container = gpus.job(done.id)["container"]
    assert needs(container)["GPU"] == "4"
    assert variables(container)["MNGEN_RANKS_PER_NODE"] == "4"
    assert ended(gpus, done.id) == "SUCCEEDED"


def test_a_submission_may_ask_for_fewer_with_fewer_ranks(gpus: Deployed, own: Jobs) -> None:
    done = own.submit("all", name=unique(), gpus=1, vcpus=8)
    container = gpus.job(done.id)["container"]
    assert (needs(container)["GPU"], needs(container)["VCPU"]) == ("1", "8")
    assert variables(container)["MNGEN_RANKS_PER_NODE"] == "1"
    assert ended(gpus, done.id) == "SUCCEEDED"


def test_a_job_without_gpus_asks_for_none(gpus: Deployed, own: Jobs) -> None:
    done = own.submit("none", name=unique())
    assert "GPU" not in needs(gpus.job(done.id)["container"])


def test_more_than_a_node_has_is_refused_before_it_is_sent(own: Jobs) -> None:
    (problem,) = own.prepare(Order(job="all", gpus=5)).problems
    assert problem.rule == "MN319"
    assert "each node requests 5 GPUs, and a node of `g5` (`g5.12xlarge`) has 4" in problem.message
    with pytest.raises(InputError, match="`--gpus` must be at least 1, not 0"):
        own.prepare(Order(job="all", gpus=0))


def waiting(gpus: Deployed, queue: str, **override: Any) -> str:
    answer = gpus.batch.submit_job(
        jobName=unique(), jobQueue=queue, jobDefinition=f"{gpus.name}-all", **override
    )
    deadline = time.monotonic() + 180
    while not gpus.job(answer["jobId"]).get("statusReason"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return str(answer["jobId"])


def test_a_job_that_waits_for_too_many_is_explained(gpus: Deployed, own: Jobs) -> None:
    need = {"resourceRequirements": [{"type": "GPU", "value": "5"}]}
    job = waiting(gpus, f"{gpus.name}-gpus", containerOverrides=need)
    causes = own.status(job).causes
    assert causes[0].what.startswith("AWS Batch reports: MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT")
    assert "MN319" in {each.rule for each in causes if each.certain}
    gpus.batch.terminate_job(jobId=job, reason="test")


def test_an_image_without_drivers_offers_no_gpus(gpus: Deployed) -> None:
    described = gpus.batch.describe_compute_environments(
        computeEnvironments=[gpus.environments["g5"]]
    )["computeEnvironments"][0]["computeResources"]
    assert described["ec2Configuration"][0]["imageType"] == "ECS_AL2023_NVIDIA"
    described["ec2Configuration"][0]["imageType"] = "ECS_AL2023"
    name = unique()
    gpus.batch.create_compute_environment(
        computeEnvironmentName=name, type="MANAGED", computeResources=described
    )
    order = [{"order": 1, "computeEnvironment": name}]
    gpus.batch.create_job_queue(jobQueueName=name, priority=1, computeEnvironmentOrder=order)
    job = waiting(gpus, name)
    found = gpus.job(job)
    assert found["status"] == "RUNNABLE"
    assert found["statusReason"].startswith("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT")
    gpus.batch.terminate_job(jobId=job, reason="test")


def test_a_definition_without_the_specs_gpus_is_named_and_registered_anew(
    gpus: Deployed, own: Jobs
) -> None:
    job = next(each for each in gpus.cluster.jobs if each.name == "all")
    gpus.register(msgspec.structs.replace(job, gpus=0))
    (problem,) = own.prepare(Order(job="all")).problems
    assert problem.rule == "MN314"
    assert "differs from the spec in gpus" in problem.message
    done = own.submit("all", register=True, name=unique())
    assert needs(gpus.job(done.id)["container"])["GPU"] == "4"
