"""Real Terraform with the real AWS provider against the sandbox."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from mngen.sandbox import WORKSPACE, sandbox_environment
from tests.e2e.test_sandbox_process import assert_sandboxed, hostile_environment
from tests.support.provider import attached
from tests.support.sandbox import Recorder, Trap, client

if TYPE_CHECKING:
    from pathlib import Path

    from mngen.sandbox import Sandbox

SMALL = """
terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}
provider "aws" {}
data "aws_caller_identity" "me" {}
data "aws_vpc" "default" { default = true }
resource "aws_placement_group" "this" {
  name     = "small"
  strategy = "cluster"
}
output "account" { value = data.aws_caller_identity.me.account_id }
"""

pytestmark = pytest.mark.usefixtures("requires_provider")


def terraform(
    folder: Path, environment: dict[str, str], *arguments: str, codes: tuple[int, ...] = (0,)
) -> str:
    run = subprocess.run(
        ["terraform", *arguments],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=400,
        check=False,
    )
    assert run.returncode in codes, run.stdout[-6000:]
    return run.stdout


def test_a_hostile_environment_leads_nowhere_else(
    sandbox: Sandbox, terraform_env: dict[str, str], tmp_path: Path
) -> None:
    """Terraform starts the provider as released here; nearly everywhere else it is narrowed."""
    folder, home = tmp_path / "tf", tmp_path / "home"
    folder.mkdir()
    (folder / "main.tf").write_text(SMALL, encoding="utf-8")
    # What downloads the provider is not what is under test, and may need the real environment.
    terraform(folder, {**terraform_env, "TF_WORKSPACE": WORKSPACE}, "init")
    with Trap() as trap, Recorder(sandbox.endpoint) as recorder:
        base = {
            **{name: terraform_env[name] for name in terraform_env if name.startswith("TF_")},
            **hostile_environment(home, trap),
            "CHECKPOINT_DISABLE": "1",
            "TF_CLI_ARGS_apply": f"-state={folder}/real.tfstate",
        }
        environment = sandbox_environment(recorder.endpoint, "us-east-1", base)
        terraform(folder, environment, "apply", "-auto-approve")
        account = terraform(folder, environment, "output", "-raw", "account")
        terraform(folder, environment, "destroy", "-auto-approve")
        assert account == "123456789012"
        assert_sandboxed(recorder, trap, home)
    assert not (folder / "real.tfstate").exists()


def test_a_real_state_beside_it_is_not_touched(
    sandbox: Sandbox, terraform_env: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "main.tf").write_text(SMALL.replace('"small"', '"beside"'), encoding="utf-8")
    state = tmp_path / "terraform.tfstate"
    real = json.dumps({"version": 4, "terraform_version": "1.11.4", "serial": 7, "lineage": "x"})
    state.write_text(real, encoding="utf-8")
    environment = sandbox.environment("us-east-1", terraform_env)
    with attached(tmp_path, environment) as provider:
        environment |= provider
        for step in (["init"], ["apply", "-auto-approve"], ["destroy", "-auto-approve"]):
            terraform(tmp_path, environment, *step)
            assert state.read_text(encoding="utf-8") == real
    assert (tmp_path / "terraform.tfstate.d" / WORKSPACE / "terraform.tfstate").exists()
    # Outside the sandbox the working directory is where it was.
    assert terraform(tmp_path, terraform_env, "workspace", "show").strip() == "default"


def test_the_state_can_live_in_an_emulated_bucket_with_its_lock_file(
    sandbox: Sandbox, terraform_env: dict[str, str], tmp_path: Path
) -> None:
    s3 = client(sandbox, "s3")
    s3.create_bucket(Bucket="remote-state")
    backend = (
        'terraform {\n  backend "s3" {\n    bucket = "remote-state"\n    key = "a/b.tfstate"\n'
        '    region = "us-east-1"\n    use_lockfile = true\n  }\n}\n'
    )
    (tmp_path / "main.tf").write_text(SMALL.replace('"small"', '"remote"'), encoding="utf-8")
    (tmp_path / "backend.tf").write_text(backend, encoding="utf-8")
    environment = sandbox.environment("us-east-1", terraform_env)
    with attached(tmp_path, environment) as provider:
        environment |= provider
        terraform(tmp_path, environment, "init")
        terraform(tmp_path, environment, "apply", "-auto-approve")
        key = f"env:/{WORKSPACE}/a/b.tfstate"
        keys = [item["Key"] for item in s3.list_objects_v2(Bucket="remote-state")["Contents"]]
        assert keys == [key]
        s3.put_object(Bucket="remote-state", Key=f"{key}.tflock", Body=b'{"ID": "someone-else"}')
        output = terraform(tmp_path, environment, "plan", "-no-color", codes=(1,))
        assert "Error acquiring the state lock" in output
        s3.delete_object(Bucket="remote-state", Key=f"{key}.tflock")
        terraform(tmp_path, environment, "destroy", "-auto-approve")


def test_what_the_emulator_lacks_fails_at_once(
    sandbox: Sandbox, terraform_env: dict[str, str], tmp_path: Path
) -> None:
    """A server error would make the provider retry for many minutes."""
    lacking = (
        SMALL
        + """
resource "aws_ec2_serial_console_access" "this" {
  enabled = true
}
"""
    )
    (tmp_path / "main.tf").write_text(lacking.replace('"small"', '"lacking"'), encoding="utf-8")
    environment = sandbox.environment("us-east-1", terraform_env)
    with attached(tmp_path, environment) as provider:
        environment |= provider
        terraform(tmp_path, environment, "init")
        output = terraform(tmp_path, environment, "apply", "-auto-approve", "-no-color", codes=(1,))
        assert "SandboxNotImplemented" in output
        assert "ec2 EnableSerialConsoleAccess" in output
        terraform(tmp_path, environment, "destroy", "-auto-approve")
