"""The importer's policy allows the calls that an import from an account makes, and no others."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from mngen.adoption import read_account
from mngen.policy import import_documents
from mngen.sandbox import ACCOUNT_ID, sandbox_environment
from tests.support.authorization import Authorizer
from tests.support.handmade import HERE, make
from tests.support.iam import actions, allows
from tests.support.recording import Recording
from tests.support.sandbox import client

if TYPE_CHECKING:
    import pytest

    from mngen.sandbox import Sandbox


def test_all_that_an_import_asks(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox.reset()
    made = make(sandbox)
    _queue_by_profile_name(sandbox, made.environment)
    with Recording(sandbox.endpoint) as recording:
        for name, value in sandbox_environment(recording.endpoint, HERE, os.environ).items():
            monkeypatch.setenv(name, value)
        inventory = read_account(region=HERE)
    sandbox.reset()
    assert inventory.network
    assert inventory.network.file_systems[0].groups
    assert inventory.network.profiles
    authorizer = Authorizer(ACCOUNT_ID)
    asked = [each for call in recording.calls for each in authorizer.requests(call)]
    policies = import_documents(HERE, ACCOUNT_ID)
    assert [each for each in asked if not allows(policies, each)] == []
    assert actions(policies) == {each.action for each in asked}
    elsewhere = import_documents("us-west-2", ACCOUNT_ID)
    assert {each.action for each in asked if allows(elsewhere, each)} == {"iam:GetInstanceProfile"}


def _queue_by_profile_name(sandbox: Sandbox, like: str) -> None:
    """Makes an environment that names its instance profile without an ARN, in a queue."""
    batch = client(sandbox, "batch", HERE)
    (found,) = batch.describe_compute_environments(computeEnvironments=[like])[
        "computeEnvironments"
    ]
    resources = {**found["computeResources"], "instanceRole": "tsunami"}
    batch.create_compute_environment(
        computeEnvironmentName="named", type="MANAGED", computeResources=resources
    )
    batch.create_job_queue(
        jobQueueName="named",
        priority=1,
        computeEnvironmentOrder=[{"order": 1, "computeEnvironment": "named"}],
    )
