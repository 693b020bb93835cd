"""The rig that judges the provider-6 rendering: does it accept what is right and name what is not.

Real Terraform core throughout; `tests.support.provider6` serves the schema of provider 6.62.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support import provider6
from tests.support.deploy import wait_until
from tests.support.processes import has_ended
from tests.support.provider import attached, provider_binary
from tests.support.provider6 import _schema
from tests.support.terraform_program import terraform

ROOT = Path(__file__).resolve().parents[2]
RIG = ROOT / "tests" / "support" / "provider6"
DIFFERENCES = RIG / "differences-5.100-6.62.txt"

HEADER = """\
terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.0.0, < 7.0.0"
    }
  }
}

provider "aws" {
  region = "us-east-1"
}

"""
COMPUTE_ENVIRONMENT = """\
resource "aws_batch_compute_environment" "this" {
  name = "r5"
  type = "MANAGED"

  compute_resources {
    type      = "EC2"
    max_vcpus = 96
    subnets   = ["subnet-1"]
  }
}
"""
QUEUE = """\
resource "aws_batch_job_queue" "this" {
  name     = "r5"
  state    = "ENABLED"
  priority = 1
}
"""
HEADER_LINES = HEADER.count("\n")


@pytest.fixture
def env(provider6_env: dict[str, str]) -> dict[str, str]:
    return provider6_env


@pytest.fixture
def example(tmp_path: Path) -> Path:
    return Path(shutil.copytree(RIG / "example", tmp_path / "example"))


def diagnose(folder: Path, env: dict[str, str], body: str) -> provider6.Diagnostic:
    """Validate one file; return the one diagnostic that it gets."""
    (folder / "main.tf").write_text(HEADER + body, encoding="utf-8")
    found = provider6.validate(folder, env)
    assert len(found) == 1, "\n".join(map(str, found))
    return found[0]


def test_a_right_configuration_goes_through_the_whole_workflow(
    example: Path, env: dict[str, str]
) -> None:
    assert provider6.validate(example, env) == []

    first = provider6.plan(example, env)
    assert first.diagnostics == []
    assert set(first.changes.values()) == {("create",)}
    assert "aws_efs_file_system.this" in first.changes
    assert not any("batch_compute_environment" in address for address in first.changes)
    nodes = first.values["aws_security_group.nodes"]
    assert nodes["tags_all"] == {"Name": "nodes", "project": "seismic"}
    assert "id" not in nodes, "AWS makes the id: it cannot be known before it is applied"

    assert provider6.apply(example, env) == []
    assert provider6.plan(example, env).changes == {}

    amis = {"amis": {"r5": "ami-0123456789abcdef0"}}
    second = provider6.plan(example, env, amis)
    assert second.diagnostics == []
    assert second.changes == {
        "aws_batch_job_queue.this[0]": ("create",),
        'module.compute_environment["r5"].aws_batch_compute_environment.this': ("create",),
        'module.compute_environment["r5"].aws_launch_template.this': ("create",),
        'module.compute_environment["r5"].aws_placement_group.this': ("create",),
    }
    assert provider6.apply(example, env, amis) == []
    assert provider6.pending(example, env, amis) == []
    made = provider6.made(example)
    assert made.keys() > {*first.changes, *second.changes}
    assert made["aws_security_group.nodes"]["tags_all"] == nodes["tags_all"]

    outputs = provider6.outputs(example, env)
    policy = json.loads(outputs["assume_role_policy"])
    assert policy["Statement"][0]["Principal"] == {"Service": ["ec2.amazonaws.com"]}
    assert policy["Statement"][0]["Condition"] == {
        "StringEquals": {"aws:SourceAccount": ["123456789012"]}
    }
    assert sorted(outputs["zones"].values()) == ["eu-west-1a", "eu-west-1b"]
    assert outputs["file_system_dns_name"].endswith(".efs.eu-west-1.amazonaws.com")
    assert outputs["ami"].startswith("ami-")

    assert provider6.destroy(example, env, amis) == []
    state = json.loads((example / "terraform.tfstate").read_text(encoding="utf-8"))
    assert state["resources"] == []


def least(block: dict[str, Any]) -> dict[str, Any]:
    """The smallest body that fits a block."""
    values = {"string": "x", "number": 1, "bool": True}
    body: dict[str, Any] = {}
    for name, (kind, flags) in _schema.attributes(block).items():
        if "r" in flags:
            body[name] = values[kind] if isinstance(kind, str) else [values[kind[1]]]
    for name, nested in _schema.nested_blocks(block).items():
        if nested["min"]:
            body[name] = least(nested)
    return body


def test_every_type_of_the_schema_can_be_applied(tmp_path: Path, env: dict[str, str]) -> None:
    """Core checks each value that the provider makes up against the schema."""
    schema = _schema.load_schema()
    root = {
        "terraform": {"required_providers": {"aws": {"source": "hashicorp/aws"}}},
        "resource": {name: {"this": least(block)} for name, block in schema["resources"].items()},
        "data": {name: {"this": least(block)} for name, block in schema["data_sources"].items()},
    }
    (tmp_path / "main.tf.json").write_text(json.dumps(root), encoding="utf-8")
    assert provider6.apply(tmp_path, env) == []
    assert provider6.pending(tmp_path, env) == []
    state = json.loads((tmp_path / "terraform.tfstate").read_text(encoding="utf-8"))
    assert len(state["resources"]) == len(schema["resources"]) + len(schema["data_sources"]) == 66


def test_a_changed_argument_is_an_update(example: Path, env: dict[str, str]) -> None:
    assert provider6.apply(example, env) == []
    main = example / "main.tf"
    main.write_text(
        main.read_text(encoding="utf-8").replace("AFTER_30_DAYS", "AFTER_60_DAYS"), encoding="utf-8"
    )
    assert provider6.plan(example, env).changes == {"aws_efs_file_system.this": ("update",)}
    assert provider6.pending(example, env) == ["update aws_efs_file_system.this"]


def test_neither_lock_file_nor_registry_is_needed(example: Path, env: dict[str, str]) -> None:
    assert provider6.validate(example, env) == []
    assert not (example / ".terraform.lock.hcl").exists()
    assert not (example / ".terraform" / "providers").exists()


def test_a_remote_backend_can_be_overridden(example: Path, env: dict[str, str]) -> None:
    backend = 'terraform {\n  backend "s3" {\n    bucket = "state"\n    key    = "k"\n  }\n}\n'
    (example / "backend.tf").write_text(backend, encoding="utf-8")
    assert provider6.validate(example, env) == []
    provider6.use_local_backend(example)
    found = provider6.plan(example, env)
    assert found.diagnostics == []
    assert "aws_efs_file_system.this" in found.changes


@pytest.mark.parametrize(
    ("body", "line", "summary", "detail"),
    [
        pytest.param(
            COMPUTE_ENVIRONMENT.replace("  name =", "  compute_environment_name ="),
            2,
            "Unsupported argument",
            '"compute_environment_name" is not expected here',
            id="argument renamed in 6",
        ),
        pytest.param(
            QUEUE.replace("priority = 1", "priority = 1\n  compute_environments = []"),
            5,
            "Unsupported argument",
            '"compute_environments" is not expected here',
            id="argument removed in 6",
        ),
        pytest.param(
            COMPUTE_ENVIRONMENT.replace("    subnets", '    placement_grup = "a"\n    subnets'),
            8,
            "Unsupported argument",
            'Did you mean "placement_group"?',
            id="argument misspelt",
        ),
        pytest.param(
            QUEUE.replace("  priority = 1\n", ""),
            1,
            "Missing required argument",
            'The argument "priority" is required',
            id="argument missing",
        ),
        pytest.param(
            COMPUTE_ENVIRONMENT.replace('"subnet-1"', "aws_subnet.a.id"),
            8,
            "Reference to undeclared resource",
            'A managed resource "aws_subnet" "a" has not been declared',
            id="resource undeclared",
        ),
        pytest.param(
            'output "region" {\n  value = data.aws_region.this.nam\n}\n\n'
            'data "aws_region" "this" {}\n',
            2,
            "Unsupported attribute",
            'Did you mean "name"?',
            id="attribute misspelt",
        ),
        pytest.param(
            'resource "aws_launch_template" "this" {\n'
            '  elastic_gpu_specifications {\n    type = "a"\n  }\n}\n',
            2,
            "Unsupported block type",
            '"elastic_gpu_specifications" are not expected here',
            id="block removed in 6",
        ),
        pytest.param(
            COMPUTE_ENVIRONMENT.replace("96", '"many"'),
            7,
            "Incorrect attribute value type",
            'attribute "max_vcpus": a number is required',
            id="number wanted",
        ),
        pytest.param(
            COMPUTE_ENVIRONMENT.replace('["subnet-1"]', '"subnet-1"'),
            8,
            "Incorrect attribute value type",
            'attribute "subnets": set of string required',
            id="set wanted",
        ),
        pytest.param(
            COMPUTE_ENVIRONMENT.replace(
                "  compute_resources {",
                "  update_policy {}\n  update_policy {}\n\n  compute_resources {",
            ),
            6,
            "Too many update_policy blocks",
            'No more than 1 "update_policy" blocks are allowed',
            id="one block allowed",
        ),
        pytest.param(
            COMPUTE_ENVIRONMENT.replace(
                "    max_vcpus", "    ec2_configuration {}\n" * 3 + "    max_vcpus"
            ),
            9,
            "Too many ec2_configuration blocks",
            'No more than 2 "ec2_configuration" blocks are allowed',
            id="two blocks allowed",
        ),
        pytest.param(
            'resource "aws_efs_backup_policy" "this" {\n  file_system_id = "fs-1"\n}\n',
            1,
            "Insufficient backup_policy blocks",
            'At least 1 "backup_policy" blocks are required',
            id="block missing",
        ),
    ],
)
def test_a_wrong_configuration_is_named(
    tmp_path: Path, env: dict[str, str], body: str, line: int, summary: str, detail: str
) -> None:
    found = diagnose(tmp_path, env, body)
    assert (found.severity, found.summary, found.file) == ("error", summary, "main.tf")
    assert detail in found.detail
    assert found.line == HEADER_LINES + line


def test_a_cycle_is_named(tmp_path: Path, env: dict[str, str]) -> None:
    found = diagnose(
        tmp_path,
        env,
        'resource "aws_eip" "a" {\n  instance = aws_eip.b.id\n}\n\n'
        'resource "aws_eip" "b" {\n  instance = aws_eip.a.id\n}\n',
    )
    assert found.summary.startswith("Cycle: aws_eip.")


def test_a_wrong_provider_block_is_named(tmp_path: Path, env: dict[str, str]) -> None:
    header = HEADER.replace("  region =", "  regions =")
    (tmp_path / "main.tf").write_text(header + QUEUE, encoding="utf-8")
    (found,) = provider6.validate(tmp_path, env)
    assert found.summary == "Unsupported argument"
    assert 'Did you mean "region"?' in found.detail


def test_plan_returns_the_errors_of_a_module(example: Path, env: dict[str, str]) -> None:
    module = example / "modules" / "compute_environment" / "main.tf"
    module.write_text(
        module.read_text(encoding="utf-8").replace("min_vcpus ", "minimum_vcpus "), encoding="utf-8"
    )
    found = provider6.plan(example, env)
    assert found.changes == {}
    (diagnostic,) = found.diagnostics
    assert diagnostic.summary == "Unsupported argument"
    assert diagnostic.file == "modules/compute_environment/main.tf"


def test_an_unreadable_configuration_is_reported(tmp_path: Path, env: dict[str, str]) -> None:
    (tmp_path / "main.tf").write_text('resource "aws_eip" {', encoding="utf-8")
    found = provider6.validate(tmp_path, env)
    assert {diagnostic.severity for diagnostic in found} == {"error"}
    assert found[0].file == "main.tf"


def test_the_provider_ends_with_its_context() -> None:
    with provider6.provider6() as environment:
        (reattach,) = json.loads(environment["TF_REATTACH_PROVIDERS"]).values()
        assert not has_ended(reattach["Pid"])
    assert has_ended(reattach["Pid"])
    assert not Path(reattach["Addr"]["String"]).exists()


def test_the_provider_ends_when_its_user_is_killed() -> None:
    script = (
        "import json, time\n"
        "from tests.support.provider6 import provider6\n"
        "with provider6() as env:\n"
        "    print(env['TF_REATTACH_PROVIDERS'], flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as user:
        assert user.stdout is not None
        (reattach,) = json.loads(user.stdout.readline()).values()
        user.send_signal(signal.SIGKILL)
    wait_until(lambda: has_ended(reattach["Pid"]), "the provider's end")
    shutil.rmtree(Path(reattach["Addr"]["String"]).parent)


REAL = "5.100.0"


@pytest.mark.usefixtures("requires_provider")
def test_the_schema_differs_from_the_real_5_100_where_6_changed(
    tmp_path: Path, terraform_env: dict[str, str], *, update_golden: bool
) -> None:
    """Guards the extraction: a list read as a set, or a lost flag, would be one more difference."""
    schema = _schema.load_schema()
    wanted = f'{{ source = "hashicorp/aws", version = "{REAL}" }}'
    # Of 1500 types, `attached` leaves those that stand here.
    types = " ".join([*schema["resources"], *schema["data_sources"]])
    text = f"# {types}\nterraform {{\n  required_providers {{\n    aws = {wanted}\n  }}\n}}\n"
    (tmp_path / "main.tf").write_text(text, encoding="utf-8")

    def run(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
        return terraform(tmp_path, {**terraform_env, **env}, *arguments, seconds=300)

    binary = provider_binary(terraform_env)
    is_real = binary is not None and binary.parent.parent.name == REAL
    with ExitStack() as stack:
        provider = stack.enter_context(attached(tmp_path, terraform_env)) if is_real else {}
        if not provider and run({}, "init", "-no-color").returncode != 0:
            pytest.skip(f"provider {REAL} cannot be had here")
        shown = run(provider, "providers", "schema", "-json")
    assert shown.returncode == 0, shown.stderr
    (real,) = json.loads(shown.stdout)["provider_schemas"].values()
    lines = _schema.differences(
        _schema.from_terraform(real["provider"]["block"]), schema["provider"], "provider"
    )
    for section, key, prefix in (
        ("resources", "resource_schemas", ""),
        ("data_sources", "data_source_schemas", "data."),
    ):
        for name, block in schema[section].items():
            old = _schema.from_terraform(real[key][name]["block"])
            lines += _schema.differences(old, block, prefix + name)
    text = "".join(f"{line}\n" for line in lines)
    if update_golden:
        DIFFERENCES.write_text(text, encoding="utf-8")
    assert text == DIFFERENCES.read_text(encoding="utf-8")
