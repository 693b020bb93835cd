"""What stands between Terraform and the AWS provider in tests: all works, and nothing is left."""

from __future__ import annotations

import subprocess
import time
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.narrow_plugin import narrow_environment
from tests.support.needs import skip_without
from tests.support.provider import attached
from tests.support.sandbox import client

if TYPE_CHECKING:
    from mngen.sandbox import Sandbox

CONFIGURATION = """
terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}
provider "aws" {}
variable "strategy" { default = "cluster" }
resource "aws_placement_group" "this" {
  name     = "NAME"
  strategy = var.strategy
}
# No template of mngen names this type.
data "aws_canonical_user_id" "this" {}
"""
SECONDS = 120.0


def terraform(folder: Path, env: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        ["terraform", *arguments, "-no-color"],
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )
    return f"exit {done.returncode}\n{done.stdout}"


def with_environment(text: str) -> list[str]:
    """Return the command lines of the processes in whose environment a text is."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if text.encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_text("utf-8").replace("\0", " "))
    return found


@pytest.mark.parametrize("way", ["installed", "attached"])
def test_the_provider_answers_through_it_and_nothing_is_left(
    sandbox: Sandbox,
    terraform_env: dict[str, str],
    requires_provider: None,
    tmp_path: Path,
    way: str,
) -> None:
    # Without it the real provider serves, since nothing else would surely end it.
    skip_without("setpriv")
    folder, temporary, plugin = (tmp_path / each for each in ("deployment", "temporary", "plugin"))
    for each in (folder, temporary, plugin):
        each.mkdir()
    name = f"narrow-{way}"
    (folder / "main.tf").write_text(CONFIGURATION.replace("NAME", name), encoding="utf-8")
    env = {**sandbox.environment("us-east-1", terraform_env), "TMPDIR": str(temporary)}
    with ExitStack() as provider:
        ways = {
            "installed": partial(narrow_environment, plugin),
            "attached": partial(attached, folder),
        }
        env |= provider.enter_context(ways[way](env))
        initialized = terraform(folder, env, "init")
        assert ("Installed hashicorp/aws" in initialized) == (way == "installed"), initialized
        # The provider's own check of an argument.
        refused = terraform(folder, env, "plan", "-var=strategy=nonsense")
        assert 'expected strategy to be one of ["cluster"' in refused
        applied = terraform(folder, env, "apply", "-auto-approve")
        assert applied.startswith("exit 0\n"), applied
        ec2 = client(sandbox, "ec2")
        assert ec2.describe_placement_groups(GroupNames=[name])["PlacementGroups"]
        destroyed = terraform(folder, env, "destroy", "-auto-approve")
        assert destroyed.startswith("exit 0\n"), destroyed
    deadline = time.monotonic() + SECONDS
    while (running := with_environment(str(temporary))) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert running == []
    assert list(temporary.iterdir()) == []
