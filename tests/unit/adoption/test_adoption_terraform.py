"""From the state of another Terraform configuration to an inventory."""

from __future__ import annotations

import copy
import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from mngen.adoption import Adoption, Outcome, Wishes, adopt, read_state, read_terraform
from mngen.catalog import load_catalog
from mngen.errors import InputError, Severity
from mngen.rules import check
from mngen.spec import load_text
from tests.support.module_state import state

CATALOG = load_catalog(Path("mngen.yaml"))


RECORDED = {
    each["address"]: each
    for module in (
        state()["values"]["root_module"],
        *state()["values"]["root_module"]["child_modules"],
    )
    for each in module["resources"]
}
"""Resources of the state that Terraform 1.11.4 with version 5.100.0 of the AWS provider wrote."""

ARN = "arn:aws:batch:eu-west-1:123456789012:"
MODULE = "module.batch.aws_batch_"
HELLO: dict[str, Any] = RECORDED[f'{MODULE}job_definition.this["hello"]']


def environment(name: str, instance: str) -> dict[str, Any]:
    """One like the recorded one, with another name and instance type."""
    made: dict[str, Any] = copy.deepcopy(RECORDED[f'{MODULE}compute_environment.this["big"]'])
    made["address"] = f'{MODULE}compute_environment.this["{name}"]'
    arn = f"{ARN}compute-environment/{name}"
    made["values"] |= {"arn": arn, "id": name, "compute_environment_name": name}
    made["values"]["compute_resources"][0]["instance_type"] = [instance]
    return made


def queue(name: str, *environments: str, older: bool = False) -> dict[str, Any]:
    """One like the recorded ones; the module lists environments in the older form."""
    made: dict[str, Any] = copy.deepcopy(RECORDED["aws_batch_job_queue.plain"])
    made["address"] = f'{MODULE}job_queue.this["{name}"]'
    arns = [f"{ARN}compute-environment/{each}" for each in environments]
    values = made["values"]
    values |= {"arn": f"{ARN}job-queue/{name}", "id": f"{ARN}job-queue/{name}", "name": name}
    first = values["compute_environment_order"][0]
    values["compute_environment_order"] = [
        {**first, "order": number, "compute_environment": each} for number, each in enumerate(arns)
    ]
    if older:
        values |= {"compute_environments": arns, "compute_environment_order": []}
    return made


def adopted(
    *resources: dict[str, Any],
    queues: tuple[str, ...] = (),
    jobs: tuple[str, ...] = (),
    out: str = "deploy",
) -> Adoption:
    module = {"child_modules": [{"resources": list(resources)}]}
    state = {"values": {"root_module": module}}
    wishes = Wishes(name="reef", out=out, jobs=frozenset(jobs))
    return adopt(read_state(state, "the state", queues, jobs), wishes, CATALOG)


TWO = (
    environment("big", "r5.24xlarge"),
    environment("small", "m5.4xlarge"),
    queue("first", "big"),
    queue("second", "small"),
)


def test_the_state_of_the_module_gives_what_its_configuration_has() -> None:
    """The names, numbers and policies are those of tests/specs/states/module/main.tf."""
    found = read_state(state(), "the state", (), ("reef-hello",))
    adoption = adopt(found, Wishes(name="reef", jobs=frozenset({"reef-hello"})), CATALOG)
    assert [each for each in adoption.lines if each.outcome is Outcome.CANNOT] == []
    spec = yaml.safe_load(adoption.spec)
    # Without what Terraform appends to a prefix.
    assert list(spec["environments"]) == ["reef-big", "reef-small"]
    big, small = spec["environments"].values()
    assert (big["instance"], big["max_nodes"], big["placement_group"]) == ("r5.24xlarge", 10, False)
    assert (small["instance"], small["max_nodes"], small["purchase"]) == ("m5.4xlarge", 6, "spot")
    assert "bid_percentage" not in small
    queues = spec["queues"]
    assert {name: each["priority"] for name, each in queues.items()} == {
        "ReefFirst": 7,
        "ReefSecond": 1,
        "ReefPlain": 3,
    }
    # The module gives each queue a policy unless told not to.
    assert {name for name, each in queues.items() if "scheduling_policy" in each} == {"ReefFirst"}
    assert queues["ReefPlain"]["cancel_after"] == {"misconfiguration": None, "capacity": 7200}
    assert [len(each["legacy"]) for each in queues.values()] == [1, 1, 1]
    definition = json.loads(adoption.files["definitions/reef-hello.json"])
    assert definition["timeout"] == {"attemptDurationSeconds": 60}
    assert definition["containerProperties"]["image"] == "busybox:1.36"
    for address in (
        "aws_batch_job_queue.plain",
        "'module.batch.aws_batch_job_queue.this[\"first\"]'",
        "'module.batch.aws_batch_job_definition.this[\"hello\"]'",
    ):
        assert f"terraform state rm {address}\n" in adoption.report
    assert adoption.imports.count("import {") == 4
    files = {name: text.encode() for name, text in adoption.files.items()}
    problems = check(load_text(adoption.spec.encode(), files=files), CATALOG)
    assert [each for each in problems if each.severity is Severity.ERROR] == []


def test_state_gives_the_queues_and_what_the_other_configuration_lets_go_of() -> None:
    adoption = adopted(*TWO)
    spec = yaml.safe_load(adoption.spec)
    assert sorted(spec["queues"]) == ["first", "second"]
    assert spec["queues"]["first"]["legacy"] == [f"{ARN}compute-environment/big"]
    assert "state rm 'module.batch.aws_batch_job_queue.this[\"first\"]'" in adoption.report
    assert "state rm 'module.batch.aws_batch_job_queue.this[\"second\"]'" in adoption.report


def test_report_names_the_files_of_the_folder_given() -> None:
    report = adopted(*TWO, out="two words").report
    assert "then delete `two words/terraform/imports.tf`." in report
    assert "out of `two words/terraform/amis.auto.tfvars.json`, and apply" in report
    assert "terraform -chdir='two words/terraform' state rm module.queue_first\n" in report
    assert "deploy/" not in report


def test_environments_are_left_to_the_configuration_that_manages_them() -> None:
    report = adopted(*TWO).report
    assert "delete-compute-environment" not in report
    _, _, last = report.partition("3. **Delete the old environments.**")
    assert "take them out of its\n   files, and apply there" in last
    assert "   - `big`\n   - `small`\n" in last
    assert "--finish" not in report


def test_commands_of_the_report_are_quoted_for_the_shell() -> None:
    it = queue("first", "big")
    it["address"] = """module.batch.aws_batch_job_queue.this["it's $HOME"]"""
    report = adopted(TWO[0], it).report
    (line,) = [
        each.strip() for each in report.splitlines() if "$HOME" in each and "state rm" in each
    ]
    assert shlex.split(line) == ["terraform", "state", "rm", it["address"]]


def test_job_definition_of_the_state_is_taken_over_if_it_is_named() -> None:
    adoption = adopted(*TWO, HELLO, jobs=("reef-hello",))
    assert json.loads(adoption.files["definitions/reef-hello.json"]) == {
        "jobDefinitionName": "reef-hello",
        "type": "container",
        "containerProperties": json.loads(HELLO["values"]["container_properties"]),
        "propagateTags": True,
        "retryStrategy": {"attempts": 3},
        "timeout": {"attemptDurationSeconds": 60},
    }
    assert f'id = "{ARN}job-definition/reef-hello:1"' in adoption.imports
    assert "state rm 'module.batch.aws_batch_job_definition.this[\"hello\"]'" in adoption.report
    assert "state rm 'module.batch.aws_batch_job_definition" not in adopted(*TWO, HELLO).report
    with pytest.raises(InputError, match='there is no job definition "hello"'):
        adopted(*TWO, HELLO, jobs=("hello",))


def test_only_the_queue_asked_for_is_imported_and_let_go_of() -> None:
    adoption = adopted(*TWO, queues=("first",))
    spec = yaml.safe_load(adoption.spec)
    assert list(spec["environments"]) == ["big"]
    assert list(spec["queues"]) == ["first"]
    assert 'this["second"]' not in adoption.report
    assert "job-queue/second" not in adoption.imports


def test_queue_that_is_not_taken_over_stays_in_the_other_configuration() -> None:
    adoption = adopted(
        environment("any", "optimal"), TWO[0], queue("first", "big"), queue("second", "any")
    )
    assert list(yaml.safe_load(adoption.spec)["queues"]) == ["first"]
    assert "state rm 'module.batch.aws_batch_job_queue.this[\"second\"]'" not in adoption.report


def test_older_form_of_a_queue_has_its_environments() -> None:
    adoption = adopted(TWO[0], queue("first", "big", older=True))
    (found,) = yaml.safe_load(adoption.spec)["queues"].values()
    assert found["environments"] == ["big"]
    assert found["legacy"] == [f"{ARN}compute-environment/big"]


@pytest.mark.parametrize("kind", ["EC2", "SPOT"])
def test_zero_of_the_provider_is_no_bid(kind: str) -> None:
    """The provider writes 0 where a configuration has no `bid_percentage`."""
    nodes = environment("nodes", "r5.24xlarge")
    nodes["values"]["compute_resources"][0] |= {"type": kind, "bid_percentage": 0}
    adoption = adopted(nodes, queue("first", "nodes"))
    (found,) = yaml.safe_load(adoption.spec)["environments"].values()
    assert "bid_percentage" not in found
    assert not [each for each in adoption.lines if each.place.pointer.endswith("/bidPercentage")]


@pytest.mark.parametrize("state", [{}, {"values": {"root_module": {}}}])
def test_state_without_queues_is_refused(state: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="has no job queues"):
        read_state(state, "the state")


SPEC: dict[str, Any] = {
    "name": "reef",
    "region": "eu-west-1",
    "environments": {"mpi": {"instance": "r5.24xlarge", "max_nodes": 4}},
    "queues": {"mpi": {"environments": ["mpi"], "cancel_after": {"misconfiguration": None}}},
    "jobs": {
        "coral": {"queue": "mpi", "nodes": 2, "command": ["coral"]},
        "wave": {"queue": "mpi", "definition": "wave.json sha256:0123456789ab"},
    },
}


def test_state_of_mngen_gives_its_spec(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    # Terraform sorts the keys.
    output = {"value": dict(sorted(SPEC.items())), "type": "dynamic", "sensitive": True}
    file.write_text(
        json.dumps({"version": 4, "outputs": {"spec": output}, "resources": []}), encoding="utf-8"
    )
    inventory = read_terraform(file)
    assert inventory.name == "reef"
    adoption = adopt(inventory, Wishes(name="reef"), CATALOG)
    kept = {**SPEC, "jobs": {"coral": SPEC["jobs"]["coral"]}}
    assert yaml.safe_load(adoption.spec) == kept
    assert list(yaml.safe_load(adoption.spec)) == list(SPEC)
    assert adoption.imports == ""
    (line,) = [each for each in adoption.lines if each.breaks]
    assert line.spec == "jobs.wave"
    assert "does not have the file wave.json" in line.why
    with pytest.raises(InputError, match="mngen's deployment reef in eu-west-1, not of other"):
        adopt(inventory, Wishes(name="other"), CATALOG)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        '{"version": 4}',
        "name: mine",
        # A kustomization, and what only looks like a state.
        '{"resources": ["service.yaml"]}',
        '{"values": {"root_module": {"resources": [{"type": "aws_batch_job_queue"}]}}}',
        '{"outputs": [], "resources": []}',
    ],
)
def test_file_that_is_no_state_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="is not a Terraform state") as caught:
        read_terraform(file)
    assert "terraform state pull" in str(caught.value.problems[0].hint)


def test_folder_without_a_configuration_is_refused_before_terraform_runs(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no file"):
        read_terraform(tmp_path / "missing")
    with pytest.raises(InputError, match="there is no Terraform configuration in") as caught:
        read_terraform(tmp_path)
    assert caught.value.problems[0].hint == "pass the folder that you run `terraform apply` in"
