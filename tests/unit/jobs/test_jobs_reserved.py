"""Jobs that wait for reserved capacity, in the sandbox: why, what a submission says, what ends."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from mngen.jobs import Jobs
from tests.support.batch import Deployed, hold, make_block
from tests.support.sandbox import client

if TYPE_CHECKING:
    from collections.abc import Callable

    from mngen.errors import Problem
    from mngen.jobs import Cause
    from mngen.sandbox import Sandbox

P_QUOTA = {"ServiceCode": "ec2", "QuotaCode": "L-417A185B"}
_HOUR = 3600.0

pytestmark = pytest.mark.usefixtures("state_home", "inside")


@pytest.fixture
def own(sandbox: Sandbox, connect: Callable[[str, str], Any]) -> tuple[Deployed, Jobs, str]:
    """A deployment on a capacity block of two instances, which begins the next day."""
    ec2 = client(sandbox, "ec2")
    block = make_block(ec2, count=2)
    deployed = Deployed(
        sandbox,
        f"""\
name: c{uuid4().hex[:10]}
region: us-east-1
environments:
  p5: {{instance: p5.48xlarge, max_nodes: 2, zones: [us-east-1a], capacity: {{block: {block}}}}}
queues:
  block: {{environments: [p5]}}
jobs:
  train: {{queue: block, nodes: 2, command: [hostname], timeout: 3600}}
""",
    )
    return deployed, Jobs(deployed.cluster, connect), block


def move(deployed: Deployed, block: str, **wishes: Any) -> None:
    """Set the dates of a block, or who else uses it."""
    deployed.control(reservations={block: wishes})


def causes(jobs: Jobs, identifier: str) -> tuple[Cause, ...]:
    found = jobs.status(identifier)
    assert found.state == "RUNNABLE"
    return found.causes


def submitted(jobs: Jobs) -> tuple[str, list[Problem]]:
    """Submit the job; return its id, and what the submission warns of."""
    problems: list[Problem] = []
    name = f"n{uuid4().hex[:10]}"
    return jobs.submit("train", name=name, warn=problems.append).id, problems


def test_a_job_waits_for_its_block_to_begin(own: tuple[Deployed, Jobs, str]) -> None:
    deployed, jobs, block = own
    identifier, problems = submitted(jobs)
    [warning] = [each for each in problems if each.rule == "MN320"]
    assert f"the job will wait: the capacity block `{block}` begins at " in warning.message
    first = causes(jobs, identifier)[0]
    assert first.what.startswith(f"the capacity block `{block}` begins at ")
    assert first.what.endswith(" min") or first.what.endswith(" h")
    assert first.certain
    move(deployed, block, starts=time.time() - 1)
    # Nobody submits it again: Batch starts it.
    assert jobs.status(identifier).state in ("STARTING", "RUNNING", "SUCCEEDED")


def test_a_block_is_outside_the_quota(sandbox: Sandbox, own: tuple[Deployed, Jobs, str]) -> None:
    deployed, jobs, block = own
    quotas = client(sandbox, "service-quotas")
    before = quotas.get_service_quota(**P_QUOTA)["Quota"]["Value"]
    quotas.request_service_quota_increase(**P_QUOTA, DesiredValue=0)
    try:
        move(deployed, block, starts=time.time() - 1)
        identifier, problems = submitted(jobs)
        assert "MN316" not in {each.rule for each in problems}
        assert jobs.status(identifier).state in ("STARTING", "RUNNING", "SUCCEEDED")
    finally:
        quotas.request_service_quota_increase(**P_QUOTA, DesiredValue=before)


def test_a_block_that_is_full(own: tuple[Deployed, Jobs, str]) -> None:
    deployed, jobs, block = own
    move(deployed, block, starts=time.time() - 1, elsewhere=1)
    identifier, _ = submitted(jobs)
    found = [each for each in causes(jobs, identifier) if "are left" in each.what]
    assert [each.what for each in found] == [
        f"1 of the 2 instances of the capacity block `{block}` are left, and the job needs 2"
    ]
    move(deployed, block, elsewhere=0)
    assert jobs.status(identifier).state in ("STARTING", "RUNNING", "SUCCEEDED")


def test_a_block_that_has_ended(own: tuple[Deployed, Jobs, str]) -> None:
    deployed, jobs, block = own
    identifier, _ = submitted(jobs)
    move(deployed, block, starts=time.time() - 25 * _HOUR, ends=time.time() - _HOUR)
    found = {each.rule: each for each in causes(jobs, identifier)}
    assert f"the capacity block `{block}` is expired, since " in found["MN240"].what
    assert found["MN240"].certain
    assert "is INVALID" in found["MN311"].what


def test_ec2_ends_the_instances_before_the_block_does(own: tuple[Deployed, Jobs, str]) -> None:
    deployed, jobs, block = own
    move(deployed, block, starts=time.time() - _HOUR)
    identifier = hold(jobs, "RUNNING", job="train")
    deployed.control(jobs={identifier: {"hold": None, "seconds": 1e6}})
    assert jobs.status(identifier).state == "RUNNING"
    move(deployed, block, ends=time.time() + _HOUR / 2 - 1)
    found = jobs.status(identifier)
    assert found.state == "FAILED"
    assert str(found.reason).startswith("Host EC2")
