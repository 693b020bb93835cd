"""The ranks of jobs that share an instance: what a submission overrides, and when it must not.

AWS Batch passes vCPUs to Docker as CPU shares, so that a container sees all CPUs of its instance:
https://docs.aws.amazon.com/batch/latest/APIReference/API_ContainerProperties.html (vcpus). An
r5.12xlarge has 24 cores of two threads, an r5.24xlarge 48:
https://docs.aws.amazon.com/ec2/latest/instancetypes/mo.html
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from mngen.catalog import load_catalog
from mngen.cluster import resolve
from mngen.jobs import Order
from mngen.jobs._request import make_intent
from mngen.spec import load_text

if TYPE_CHECKING:
    from mngen.jobs import Jobs
    from tests.support.batch import Deployed

SPEC = """\
name: test
region: us-east-1
environments:
  cores: {instance: r5.12xlarge, max_nodes: 2}
  threads: {instance: r5.12xlarge, max_nodes: 2, hyperthreading: true}
  large: {instance: r5.24xlarge, max_nodes: 2}
queues:
  cores: {environments: [cores]}
  threads: {environments: [threads]}
  large: {environments: [large]}
jobs:
  whole: {queue: cores, command: [x]}
  part: {queue: cores, command: [x], vcpus: 4}
  threads: {queue: threads, command: [x]}
  hybrid: {queue: cores, command: [x], threads_per_rank: 4}
  fixed: {queue: cores, command: [x], ranks_per_node: 2}
  told: {queue: cores, command: [x], environment: {MNGEN_RANKS_PER_NODE: "2"}}
  each: {queue: cores, command: [x], launcher: none}
  nodes: {queue: cores, command: [x], nodes: 2}
"""


def ranks(job: str, **wanted: Any) -> str | None:
    cluster = resolve(load_text(SPEC.encode()).require(), load_catalog())
    overrides = json.loads(make_intent(cluster, Order(job=job, **wanted)).overrides)
    found = {each["name"]: each["value"] for each in overrides.get("environment", [])}
    value: str | None = found.get("MNGEN_RANKS_PER_NODE")
    return value


@pytest.mark.parametrize(
    ("job", "wanted", "expected"),
    [
        ("whole", {"vcpus": 4}, "4"),
        ("threads", {"vcpus": 4}, "2"),
        ("threads", {"vcpus": 1}, "1"),
        ("hybrid", {"vcpus": 12}, "3"),
        ("whole", {"queue": "large"}, "24"),
        ("part", {"vcpus": 6}, "6"),
        # All of the instance again: without its number in the definition, what is seen counts.
        ("part", {"vcpus": 24}, "0"),
        ("part", {"environment": {"MNGEN_THREADS_PER_RANK": "2"}}, "2"),
        ("part", {"environment": {"MNGEN_LAUNCHER": "none"}}, "0"),
        ("each", {"vcpus": 4, "environment": {"MNGEN_LAUNCHER": "mpich"}}, "4"),
        ("whole", {"vcpus": 4, "environment": {"MNGEN_RANKS_PER_NODE": "9"}}, "9"),
    ],
)
def test_a_submission_with_other_vcpus_has_other_ranks(
    job: str, wanted: dict[str, Any], expected: str
) -> None:
    assert ranks(job, **wanted) == expected


@pytest.mark.parametrize(
    ("job", "wanted"),
    [
        ("whole", {}),
        ("whole", {"vcpus": 24}),
        ("threads", {"vcpus": 48}),
        ("part", {}),
        ("part", {"vcpus": 4, "queue": "large"}),
        ("fixed", {"vcpus": 4}),
        ("told", {"vcpus": 4}),
        ("each", {"vcpus": 4}),
        # A node of a multi-node job has the instance for itself, whatever it asks for.
        ("nodes", {"vcpus": 4}),
    ],
)
def test_a_submission_leaves_the_definitions_ranks(job: str, wanted: dict[str, Any]) -> None:
    assert ranks(job, **wanted) is None


def test_the_ranks_arrive_in_the_container(deployed: Deployed, jobs: Jobs) -> None:
    done = jobs.submit("one", name=f"n{uuid4().hex[:10]}", vcpus=2)
    container = deployed.job(done.id)["container"]
    assert {"name": "MNGEN_RANKS_PER_NODE", "value": "2"} in container["environment"]
