"""An apply whose Terraform is killed is made whole by the next one."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from mngen.catalog import load_catalog
from mngen.policy import Part, documents
from mngen.rules import require
from mngen.sandbox import ACCOUNT_ID, sandbox_environment
from mngen.spec import load_text
from tests.support.authorization import Authorizer
from tests.support.breaking import Breaker, apply_until_done, counted, open_groups
from tests.support.iam import allows
from tests.support.provider import attached
from tests.support.sandbox import client
from tests.support.stack import Stack

if TYPE_CHECKING:
    from pathlib import Path

    from mngen.sandbox import Sandbox

# Without a baked image there is neither environment nor queue, whose creation takes half a minute.
# `benchmarks/broken_off.py` kills at 30 moments of a whole deployment.
SPEC = """
name: lab
region: us-east-1
network: {vpc: new, zones: [us-east-1a], endpoints: [s3]}
environments:
  r5-24: {instance: r5.12xlarge, max_nodes: 4}
queues:
  mpi: {environments: [r5-24]}
"""


def test_what_a_killed_apply_has_left_is_imported(
    tmp_path: Path, sandbox: Sandbox, terraform_env: dict[str, str], requires_provider: None
) -> None:
    sandbox.reset()
    stack = Stack(tmp_path, sandbox.environment("us-east-1", terraform_env))
    stack.render(SPEC)
    # A deployment of the same name in another region has roles with the same names.
    iam = client(sandbox, "iam")
    other = "lab-job-20261128202722923400000003"
    tags = [{"Key": "mngen:deployment", "Value": "lab"}, {"Key": "mngen:region", "Value": "x"}]
    iam.create_role(RoleName=other, AssumeRolePolicyDocument="{}", Tags=tags)
    with Breaker(sandbox.endpoint) as breaker, ExitStack() as provider:
        env = sandbox_environment(breaker.endpoint, "us-east-1", terraform_env)

        def attach(_: str = "") -> None:
            """Start a provider: the one before was killed with its Terraform."""
            provider.close()
            env.update(provider.enter_context(attached(tmp_path, env)))

        attach()
        broken = apply_until_done(tmp_path, breaker, env, seed=1, kills=2, on_kill=attach)
        asked = breaker.asked
    assert len(broken.kills) == 2
    # What is imported before a kill is not in the summary of an apply.
    assert " to import." in broken.text, broken.text
    with stack:
        assert stack.unchanged()
    stands = counted(partial(client, sandbox))
    assert stands["aws_iam_role"] == 4
    assert {stands[each] for each in ("aws_vpc", "aws_efs_file_system", "aws_eip")} == {1}
    assert open_groups(client(sandbox, "ec2")) == []
    assert not (stack.terraform_folder / "zz_mngen_import.tf").exists()

    # The deployer's policy allows what the search asks, and AWS's model knows each of the calls.
    cluster = require(load_text(SPEC.encode()), load_catalog())
    policies, authorizer = documents(Part.DEPLOYER, cluster, ACCOUNT_ID), Authorizer(ACCOUNT_ID)
    denied = {
        request.action
        for call in asked
        for request in authorizer.requests(call)
        if not allows(policies, request)
    }
    assert len({call.action for call in asked}) > 12
    assert denied == set()


def test_another_ones_placement_group_is_not_taken(
    tmp_path: Path, sandbox: Sandbox, terraform_env: dict[str, str], requires_provider: None
) -> None:
    sandbox.reset()
    stack = Stack(tmp_path, sandbox.environment("us-east-1", terraform_env))
    stack.render(SPEC.replace("vpc: new, zones: [us-east-1a], endpoints: [s3]", "endpoints: []"))
    client(sandbox, "ec2").create_placement_group(GroupName="lab-r5-24", Strategy="cluster")
    with stack:
        planned = stack.mngen("plan")
    assert planned.returncode == 0
    assert "lab-r5-24 exists without this deployment's tag" in planned.stderr
    assert "import 'aws_placement_group.group_r5-24' 'lab-r5-24'" in planned.stderr
