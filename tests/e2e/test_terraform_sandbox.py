"""--sandbox: the real provider on the emulated AWS, with the real state out of reach."""

from __future__ import annotations

import importlib.util
import json
from typing import TYPE_CHECKING

import pytest

from tests.support.cli import mngen, read_tree
from tests.support.deploy import write_tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TREE = """
terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
  }
  backend "s3" {
    bucket = "a-bucket-that-nobody-made"
    key    = "terraform.tfstate"
    region = "us-east-1"
  }
}

provider "aws" {
  region = "us-east-1"
}

resource "aws_efs_file_system" "this" {
  encrypted = var.encrypted
}

variable "encrypted" {
  default = false
}

output "efs_id" {
  value = aws_efs_file_system.this.id
}
"""


@pytest.fixture
def env(narrow_env: dict[str, str], tmp_path: Path) -> Iterator[dict[str, str]]:
    """An environment with a background sandbox of its own, stopped at the end."""
    if importlib.util.find_spec("moto") is None:
        pytest.skip("the extra `sandbox` is not installed")
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    env = {**narrow_env, "XDG_RUNTIME_DIR": str(runtime)}
    yield env
    stopped = mngen("sandbox", "--stop", cwd=tmp_path, env=env)
    assert stopped.returncode == 0, stopped.stderr


def test_the_same_workflow_with_a_state_of_its_own(tmp_path: Path, env: dict[str, str]) -> None:
    folder = write_tree(tmp_path, TREE)
    (folder / "terraform.tfstate").write_text("the real state, not even JSON")
    real = read_tree(folder)

    applied = mngen("apply", "--sandbox", "--yes", cwd=tmp_path, env=env, timeout=300)
    assert applied.returncode == 0, applied.stderr
    assert "aws_efs_file_system.this: Creation complete" in applied.stderr
    efs = mngen("output", "efs_id", "--sandbox", cwd=tmp_path, env=env, timeout=300).stdout
    assert efs.startswith("fs-")

    env["TF_VAR_encrypted"] = "true"
    planned = mngen("plan", "--sandbox", "--format", "json", cwd=tmp_path, env=env, timeout=300)
    [change] = json.loads(planned.stdout)["changes"]
    assert (change["address"], change["action"]) == ("aws_efs_file_system.this", "replace")
    assert change["reasons"] == ["forced by encrypted: false -> true"]
    assert change["consequence"].startswith("every file on it is lost")

    destroyed = mngen("destroy", "--sandbox", "--yes", cwd=tmp_path, env=env, timeout=300)
    assert destroyed.returncode == 0, destroyed.stderr
    assert "is destroyed: every file on it is lost" in destroyed.stderr
    assert read_tree(folder) == real
