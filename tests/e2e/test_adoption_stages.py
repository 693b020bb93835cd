"""A hand-made setup comes under mngen in three applies, none of which deletes anything of it.

After the third, `mngen import --finish` deletes its compute environment. mngen is the one of the
wheel.
"""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from mngen.rules import open_cluster
from mngen.spec import load, load_text, written
from tests.support.cli import mngen, read_tree
from tests.support.handmade import HERE, Handmade, make
from tests.support.sandbox import client, make_amis
from tests.support.stack import Stack, TerraformError

if TYPE_CHECKING:
    from pathlib import Path

    from mngen.sandbox import Sandbox

NAME = "TsunamiQueue_MAX_12"
QUEUE = "module.queue_TsunamiQueue_MAX_12[0].aws_batch_job_queue.this"
JOB = "module.job_tsunami_nodes.aws_batch_job_definition.this"


def actions(plan: dict[str, Any]) -> set[str]:
    return {action for each in plan["resource_changes"] for action in each["change"]["actions"]}


def imported(plan: dict[str, Any]) -> set[str]:
    changes = plan["resource_changes"]
    return {each["address"] for each in changes if "importing" in each["change"]}


def order_of(sandbox: Sandbox, made: Handmade) -> list[str]:
    """Returns the names of the queue's compute environments, without what Terraform appends."""
    batch = client(sandbox, "batch", HERE)
    (queue,) = batch.describe_job_queues(jobQueues=[made.queue])["jobQueues"]
    order = sorted(queue["computeEnvironmentOrder"], key=lambda each: each["order"])
    names = [each["computeEnvironment"].rpartition("/")[2] for each in order]
    return [re.sub(r"-[0-9a-f]{26}$", "", name) for name in names]


def statuses(sandbox: Sandbox, made: Handmade) -> list[str]:
    batch = client(sandbox, "batch", HERE)
    found = batch.describe_compute_environments(computeEnvironments=[made.environment])
    return [each["status"] for each in found["computeEnvironments"]]


def revisions(sandbox: Sandbox) -> list[str]:
    batch = client(sandbox, "batch", HERE)
    found = batch.describe_job_definitions(jobDefinitionName="tsunami_nodes", status="ACTIVE")
    return [each["jobDefinitionArn"] for each in found["jobDefinitions"]]


def test_handmade_setup_comes_under_mngen_in_three_stages(
    tmp_path: Path,
    sandbox: Sandbox,
    terraform_env: dict[str, str],
    requires_provider: None,
    installed: Path,
) -> None:
    sandbox.reset()
    made = make(sandbox)
    program = (str(installed / "bin" / "mngen"),)
    with Stack(tmp_path, sandbox.environment(HERE, terraform_env), program) as stack:
        done = stack.mngen(
            "import", "--from-account", "--name", "tsunami", "--job", "tsunami_nodes"
        )
        assert done.returncode == 0, done.stderr
        spec = (tmp_path / "mngen.yaml").read_text(encoding="utf-8")

        # 1. Taken over as it is.
        stack.render(spec)
        plan = stack.plan()
        assert imported(plan) == {QUEUE, JOB}
        assert actions(plan) <= {"create", "read", "update", "no-op"}
        stack._terraform("apply", "-auto-approve")
        assert stack.unchanged()
        assert order_of(sandbox, made) == ["TSUNAMI_ON_DEMAND_MAXCPU_12"]
        assert revisions(sandbox) == [made.definition]
        # Version 6 of the provider plans another revision where the state has no `false` here.
        assert stack.values(JOB)["deregister_on_new_revision"] is False
        job = client(sandbox, "batch", HERE).submit_job(
            jobName="by-revision", jobQueue=made.queue, jobDefinition="tsunami_nodes:1"
        )
        assert job["jobId"]

        # A name that is lost would replace the queue: the plan is refused and names it.
        stack.render(spec.replace("    aws_name: TsunamiQueue_MAX_12\n", ""))
        with pytest.raises(TerraformError, match=re.escape(QUEUE)):
            stack.plan()
        stack.render(spec)

        # 2. The new environment comes before the old one.
        stack.record_amis(make_amis(sandbox, open_cluster(tmp_path / "mngen.yaml")))
        stack.apply()
        new = "tsunami-TSUNAMI_ON_DEMAND_MAXCPU_12"
        assert order_of(sandbox, made) == [new, "TSUNAMI_ON_DEMAND_MAXCPU_12"]
        assert stack.unchanged()
        refused = stack.mngen("import", "--finish", "--yes")
        assert refused.returncode == 1
        line = spec[: spec.index("    legacy: ")].count("\n") + 1
        assert f"--> mngen.yaml:{line}:" in refused.stderr
        assert f"the job queue {made.queue_name} still has the old" in refused.stderr

        # 3. The old one leaves the queue, and nothing else changes.
        spec = re.sub(r"    legacy: .*\n", "", spec)
        stack.render(spec)
        refused = stack.mngen("import", "--finish", "--yes")
        assert refused.returncode == 1
        assert "help: run mngen apply" in refused.stderr
        assert stack.apply() == {QUEUE: ["update"]}
        assert order_of(sandbox, made) == [new]
        assert revisions(sandbox) == [made.definition]

        # What is left of it is deleted, and only that.
        shown = stack.mngen("import", "--finish", "--dry-run", "--format", "json")
        assert [each["fate"] for each in json.loads(shown.stdout)["parts"]] == ["delete"] * 2
        assert statuses(sandbox, made) == ["VALID"]
        done = stack.mngen("import", "--finish", "--yes")
        assert done.returncode == 0, done.stderr
        assert f"deleted: compute environment {made.environment_name} " in done.stdout
        assert "aws ec2 deregister-image" in done.stdout
        assert statuses(sandbox, made) == []
        assert not (stack.terraform_folder / "imports.tf").exists()
        again = stack.mngen("import", "--finish", "--yes")
        assert again.returncode == 0, again.stderr
        assert f"gone: compute environment {made.environment_name} " in again.stdout
        assert stack.unchanged()

        # Who has lost the spec gets it from the state, or nearly all of it from the account.
        env = sandbox.environment(HERE, terraform_env)
        pointer = tmp_path / "pointer"
        pointer.mkdir()
        # The sandbox has a workspace of its own.
        states = json.dumps(str(stack.terraform_folder / "terraform.tfstate.d"))
        (pointer / "main.tf").write_text(
            f'terraform {{\n  backend "local" {{\n    workspace_dir = {states}\n  }}\n}}\n',
            encoding="utf-8",
        )
        kept = imported_spec(tmp_path / "kept", env, "--from-terraform", str(pointer))
        given = written(load(tmp_path / "mngen.yaml").require())
        # The state has no more than the name of a definition's file.
        assert list(given.pop("jobs")) == ["tsunami_nodes"]
        assert kept == given
        found = imported_spec(tmp_path / "found", env, "--from-account", "--queue", NAME)
        # The account does not show what is protected, and the default VPC is only named otherwise.
        del kept["queues"][NAME]["protect"]
        del kept["network"]["vpc"], kept["network"]["subnets"]
        for each in kept["environments"].values():
            assert each.pop("zones") == [f"{HERE}a"]
        assert found == kept

        # Protected things end a destroy; without protection they go, and nothing by hand does.
        with pytest.raises(TerraformError, match="prevent_destroy"):
            stack.destroy()
        stack.render(spec.replace("    protect: true\n", ""))
        stack.destroy()
        assert stack.resources() == []
        assert stack.plan()["errored"] is False
    assert_stands(sandbox, made)


def imported_spec(folder: Path, env: dict[str, str], *source: str) -> dict[str, Any]:
    """Imports into an empty folder; returns the keys of the spec without defaults."""
    folder.mkdir()
    done = mngen("import", *source, cwd=folder, env=env, timeout=300)
    assert done.returncode == 0, done.stderr
    assert not (folder / "deploy").exists()
    return written(load_text((folder / "mngen.yaml").read_bytes()).require())


CONFIGURATION = """
provider "aws" { region = "us-east-1" }
data "aws_vpc" "default" { default = true }
data "aws_subnets" "default" {
  filter {
    name   = "vpc-id"
    values = [data.aws_vpc.default.id]
  }
}
resource "aws_security_group" "nodes" { vpc_id = data.aws_vpc.default.id }
resource "aws_iam_instance_profile" "nodes" { name = "reef" }
resource "aws_batch_compute_environment" "nodes" {
  compute_environment_name_prefix = "REEF_MAXCPU_24_"
  type = "MANAGED"
  compute_resources {
    type = "EC2"
    min_vcpus = 0
    max_vcpus = 400
    instance_type = ["r5.12xlarge"]
    subnets = slice(sort(data.aws_subnets.default.ids), 0, 1)
    security_group_ids = [aws_security_group.nodes.id]
    instance_role = aws_iam_instance_profile.nodes.arn
    tags = { Name = "reef" }
    ec2_configuration { image_type = "ECS_AL2023" }
  }
}
resource "aws_batch_scheduling_policy" "fair" {
  name = "fair"
  fair_share_policy {}
}
resource "aws_batch_job_queue" "main" {
  name = "ReefMain"
  state = "ENABLED"
  priority = 99
  scheduling_policy_arn = aws_batch_scheduling_policy.fair.arn
  compute_environment_order {
    order = 1
    compute_environment = aws_batch_compute_environment.nodes.arn
  }
  job_state_time_limit_action {
    action = "CANCEL"
    state = "RUNNABLE"
    reason = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"
    max_time_seconds = 7200
  }
}
module "jobs" {
  source = "./jobs"
}
"""
JOBS = """
resource "aws_batch_job_definition" "hello" {
  name = "reef-hello"
  type = "container"
  parameters = { case = "north" }
  container_properties = jsonencode({
    command = ["ls", "Ref::case"], image = "busybox:1.36"
    resourceRequirements = [{ type = "VCPU", value = "1" }, { type = "MEMORY", value = "1024" }]
  })
  timeout { attempt_duration_seconds = 600 }
  retry_strategy {
    attempts = 3
    evaluate_on_exit {
      action = "EXIT"
      on_exit_code = "64"
    }
  }
}
"""


def test_state_of_terraform_gives_the_same_as_the_account(
    tmp_path: Path, sandbox: Sandbox, narrow_env: dict[str, str]
) -> None:
    sandbox.reset()
    env = sandbox.environment(HERE, narrow_env)
    other, first, second = (tmp_path / name for name in ("other", "first", "second"))
    for folder in (other / "jobs", first, second):
        folder.mkdir(parents=True)
    (other / "main.tf").write_text(CONFIGURATION, encoding="utf-8")
    (other / "jobs" / "main.tf").write_text(JOBS, encoding="utf-8")
    # Before the first apply, the configuration shows no more than a name.
    missing = mngen("import", "--from-terraform", "../other", cwd=first, env=env, timeout=300)
    assert missing.returncode == 1
    assert "the Terraform state of ../other has no job queues" in missing.stderr
    assert "terraform state pull > state.json" in missing.stderr
    assert "--from-account --queue ReefMain" in missing.stderr
    pulled = b""
    for arguments in (["init"], ["apply", "-auto-approve"], ["state", "pull"]):
        pulled = subprocess.run(
            ["terraform", *arguments], cwd=other, env=env, check=True, capture_output=True
        ).stdout
    third = tmp_path / "third"
    third.mkdir()
    (tmp_path / "state.json").write_bytes(pulled)

    for folder, source in (
        (first, ["--from-terraform", "../other", "--aws"]),
        (second, ["--from-account"]),
        (third, ["--from-terraform", "../state.json", "--aws"]),
    ):
        wanted = (*source, "--name", "reef", "--job", "reef-hello")
        done = mngen("import", *wanted, cwd=folder, env=env, timeout=300)
        assert done.returncode == 0, done.stderr
    texts = [read_tree(folder) for folder in (first, second, third)]
    reports = [text.pop("adoption.md").decode() for text in texts]
    specs = [text.pop("mngen.yaml").partition(b"\n")[2] for text in texts]
    records = [json.loads(text.pop("adoption.json"))["environments"] for text in texts]
    assert [each.get("managed_elsewhere", False) for (each,) in records] == [True, False, True]
    assert specs[0] == specs[1] == specs[2]
    assert b"scheduling_policy: " in specs[0]
    assert b"capacity: 7200" in specs[0]
    definitions = [json.loads(text.pop("definitions/reef-hello.json")) for text in texts]
    assert definitions[0] == definitions[1]
    assert list(texts[0]) == ["deploy/terraform/imports.tf"]
    assert texts[0] == texts[1] == texts[2]
    assert "terraform state rm aws_batch_job_queue.main" in reports[0]


def assert_stands(sandbox: Sandbox, made: Handmade) -> None:
    """What was made by hand and only used is there; what was taken over is gone."""
    ec2, efs, ecr, batch, iam = (
        client(sandbox, name, HERE) for name in ("ec2", "efs", "ecr", "batch", "iam")
    )
    assert efs.describe_file_systems(FileSystemId=made.file_system)["FileSystems"]
    assert ecr.describe_repositories(repositoryNames=[made.repository])["repositories"]
    assert ec2.describe_placement_groups(GroupNames=[made.group])["PlacementGroups"]
    assert iam.get_role(RoleName=made.role)["Role"]
    assert batch.describe_job_queues(jobQueues=[made.queue])["jobQueues"] == []
    assert revisions(sandbox) == []
