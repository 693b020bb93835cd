"""The deployer's policy against what real Terraform asks of AWS, recorded call by call.

Enough: every call of an apply, of a change of tags and of a destroy is allowed, resource by
resource. Not too much: what is granted and never called has a reason in the code, and the policy of
another deployment in the same account and region allows none of the calls that change anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import msgspec
import pytest

from mngen.catalog import load_catalog
from mngen.cluster import resolve
from mngen.policy import UNSEEN, Part, documents
from mngen.sandbox import ACCOUNT_ID
from tests.support.authorization import Authorizer
from tests.support.deployments import NAMES, Deployments
from tests.support.iam import Request, actions, allows

if TYPE_CHECKING:
    from collections.abc import Callable

    from mngen.cluster import Cluster
    from mngen.spec import Spec
    from tests.support.recording import Call

# One recording serves all tests here, so one worker runs them all.
pytestmark = pytest.mark.xdist_group("deployments")


@dataclass
class Recorded:
    """A deployment with all that Terraform asked of AWS for it.

    Attributes:
        cluster: What was deployed.
        decisions: Each call, with what IAM would have decided on.
    """

    cluster: Cluster
    decisions: list[tuple[Call, list[Request]]]

    @property
    def seen(self) -> set[str]:
        """Every action that was needed."""
        return {request.action for _, requests in self.decisions for request in requests}


@pytest.fixture(scope="module")
def recorded(deployments: Deployments) -> Callable[[str], Recorded]:
    """Return the decisions about a deployment; it fails where the deployment did."""

    @cache
    def decided(name: str) -> Recorded:
        run = deployments[name]
        authorizer = Authorizer(ACCOUNT_ID)
        return Recorded(run.cluster, [(call, authorizer.requests(call)) for call in run.calls])

    return decided


@pytest.mark.parametrize("name", NAMES)
def test_the_policy_allows_all_that_terraform_asks(
    name: str, recorded: Callable[[str], Recorded]
) -> None:
    each = recorded(name)
    policies = documents(Part.DEPLOYER, each.cluster, ACCOUNT_ID)
    assert len(each.decisions) > 100
    assert len(each.seen) > 40
    denied = [
        (call.operation, request)
        for call, requests in each.decisions
        for request in requests
        if not allows(policies, request)
    ]
    assert denied == []


@pytest.mark.parametrize("name", NAMES)
def test_what_terraform_never_asks_has_a_reason(
    name: str, recorded: Callable[[str], Recorded]
) -> None:
    each = recorded(name)
    granted = actions(documents(Part.DEPLOYER, each.cluster, ACCOUNT_ID))
    assert granted - each.seen - UNSEEN.keys() == set()


def test_no_reason_is_for_what_terraform_always_asks(recorded: Callable[[str], Recorded]) -> None:
    always = set.intersection(*(each.seen for each in map(recorded, NAMES)))
    assert always & UNSEEN.keys() == set()


@pytest.mark.parametrize("name", NAMES)
def test_another_deployments_policy_allows_no_change(
    name: str, recorded: Callable[[str], Recorded]
) -> None:
    each = recorded(name)
    spec = each.cluster.spec
    other = resolve(_renamed(spec), load_catalog())
    policies = documents(Part.DEPLOYER, other, ACCOUNT_ID)
    existing = {spec.storage.efs.security_group}
    existing |= {spec.storage.fsx.security_group} if spec.storage.fsx else set()
    existing.discard(None)
    changes = [
        (call, requests)
        for call, requests in each.decisions
        if requests
        and not call.operation.startswith(("Describe", "Get", "Head", "List"))
        # The group of an existing file system is both deployments' to open and close.
        and call.values.get("GroupId") not in existing
        # IAM knows no resource of it.
        and call.operation != "Unsubscribe"
    ]
    assert len(changes) > 30
    allowed = [
        call.operation
        for call, requests in changes
        if all(allows(policies, request) for request in requests)
    ]
    assert allowed == []


def _renamed(spec: Spec) -> Spec:
    """Return the spec of another deployment, which has taken over nothing."""
    replace = msgspec.structs.replace
    return replace(
        spec,
        name="other",
        queues={name: replace(each, aws_name=None) for name, each in spec.queues.items()},
        jobs={name: replace(each, aws_name=None) for name, each in spec.jobs.items()},
        container=replace(spec.container, aws_name=None),
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("part", [Part.BAKER, Part.SUBMITTER])
def test_the_other_parts_can_change_nothing_that_terraform_made(
    name: str, part: Part, recorded: Callable[[str], Recorded]
) -> None:
    each = recorded(name)
    policies = documents(part, each.cluster, ACCOUNT_ID)
    allowed = {
        call.operation
        for call, requests in each.decisions
        if requests
        and not call.operation.startswith(("Describe", "Get", "Head", "List"))
        and all(allows(policies, request) for request in requests)
    }
    assert allowed == set()
