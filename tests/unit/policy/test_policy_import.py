"""The importer's policy allows the calls that an import from an account makes, and no others."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from mngen.adoption import Fate, Finish, Wishes, adopt, read_account, save
from mngen.catalog import load_catalog
from mngen.policy import finish_documents, import_documents
from mngen.sandbox import ACCOUNT_ID, sandbox_environment
from tests.support.authorization import Authorizer
from tests.support.handmade import HERE, make
from tests.support.iam import actions, allows
from tests.support.recording import Recording
from tests.support.sandbox import client

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from mngen.sandbox import Sandbox
    from tests.support.handmade import Handmade


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


def test_all_that_the_end_of_an_adoption_asks(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sandbox.reset()
    made = make(sandbox)
    file = tmp_path / "mngen.yaml"
    with Recording(sandbox.endpoint) as recording:
        for name, value in sandbox_environment(recording.endpoint, HERE, os.environ).items():
            monkeypatch.setenv(name, value)
        adoption = adopt(read_account(region=HERE), Wishes(name="tsunami"), load_catalog(file))
        save(adoption, file, tmp_path / "deploy")
        (tmp_path / "deploy/terraform/imports.tf").unlink()
        text = file.read_text(encoding="utf-8")
        file.write_text(re.sub(r"    legacy: .*\n", "", text), encoding="utf-8")
        _replace(sandbox, made)
        recording.calls.clear()
        work = Finish(file, tmp_path / "deploy")
        assert [work.run(each).fate for each in work.plan()] == [Fate.DELETED]
    sandbox.reset()
    authorizer = Authorizer(ACCOUNT_ID)
    asked = [each for call in recording.calls for each in authorizer.requests(call)]
    policies = finish_documents([made.environment])
    assert [each for each in asked if not allows(policies, each)] == []
    assert actions(policies) == {each.action for each in asked}
    # Of another environment it allows nothing that names one.
    others = finish_documents([f"{made.environment}_2"])
    assert {each.action for each in asked if allows(others, each)} == {
        "batch:DescribeComputeEnvironments",
        "batch:DescribeJobQueues",
    }


def _replace(sandbox: Sandbox, made: Handmade) -> None:
    """Puts another environment in the place of the old one."""
    batch = client(sandbox, "batch", HERE)
    (found,) = batch.describe_compute_environments(computeEnvironments=[made.environment])[
        "computeEnvironments"
    ]
    batch.create_compute_environment(
        computeEnvironmentName="new", type="MANAGED", computeResources=found["computeResources"]
    )
    arn = made.environment.replace(made.environment_name, "new")
    batch.update_job_queue(
        jobQueue=made.queue, computeEnvironmentOrder=[{"order": 1, "computeEnvironment": arn}]
    )


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
