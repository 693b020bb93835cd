"""`mngen check` and `mngen rules`, as a user runs them."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from mngen.catalog import PRICES_NAME
from mngen.errors import InputError, Severity
from mngen.rules import RULES, check_file
from tests.support.cli import CHECKOUT, mngen, mngen_here

if TYPE_CHECKING:
    from pathlib import Path

    from mngen.sandbox import Sandbox

GOOD = """\
name: seismic
region: us-east-1
network: {vpc: new, zones: [us-east-1a]}
environments:
  r5: {instance: r5.12xlarge, max_nodes: 4}
queues:
  mpi: {environments: [r5]}
"""
WARNED = GOOD + "container: {tag: latest}\n"
BAD = WARNED.replace("r5.12xlarge", "r5.12xlrge")


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "mngen.yaml"
    path.write_text(GOOD, encoding="utf-8")
    return path


def test_sound_spec(spec: Path) -> None:
    done = mngen_here("check", cwd=spec.parent)
    assert (done.returncode, done.stderr) == (0, "")
    idle, summary = done.stdout.splitlines()
    # 0.045 and 0.005 USD by AWS's price list: https://aws.amazon.com/vpc/pricing/
    assert idle == (
        "idle: 0.05 USD/h: NAT gateway and its public IPv4 address 0.05 USD/h; "
        "EFS by what it stores"
    )
    assert summary.startswith("mngen.yaml: ")
    assert summary.endswith(" rules, no problems")


def test_what_jobs_cost_at_most_is_shown_with_the_date_of_the_prices(spec: Path) -> None:
    jobs = "jobs:\n  solve: {queue: mpi, nodes: 4, timeout: 7200, command: [run]}\n"
    spec.write_text(GOOD + jobs, encoding="utf-8")
    done = mngen_here("check", cwd=spec.parent)
    assert done.returncode == 0
    # 4 nodes, 2 hours, 3.024 USD each.
    assert done.stdout.splitlines()[0] == (
        "price: at most solve 24.19 USD (4 x r5.12xlarge x 2 h); on demand in us-east-1, 2026-07-20"
    )
    price = json.loads(mngen_here("check", "--format", "json", cwd=spec.parent).stdout)["price"]
    (bound,) = price["jobs"]
    assert bound["total"] == pytest.approx(4 * 2 * 3.024)
    assert (price["currency"], price["date"], bound["nodes"]) == ("USD", "2026-07-20", 4)
    (spec.parent / PRICES_NAME).write_text("<<<<<<< HEAD", encoding="utf-8")
    done = mngen_here("check", cwd=spec.parent)
    assert done.returncode == 1
    assert f"{PRICES_NAME}:1:1" in done.stderr


def test_errors_are_shown_with_place_and_help(spec: Path) -> None:
    spec.write_text(BAD, encoding="utf-8")
    done = mngen_here("check", cwd=spec.parent)
    assert done.returncode == 1
    assert "error[MN101]: there is no EC2 instance type `r5.12xlrge`" in done.stdout
    assert "  --> mngen.yaml:5:18 (environments.r5.instance)" in done.stdout
    assert "warning[MN159]" in done.stdout
    assert done.stdout.endswith(" rules, 1 error, 1 warning\n")
    assert "\x1b" not in done.stdout


def test_warnings_are_no_failure(spec: Path) -> None:
    spec.write_text(WARNED, encoding="utf-8")
    assert mngen_here("check", cwd=spec.parent).returncode == 0


def test_level_and_skip(spec: Path) -> None:
    spec.write_text(BAD, encoding="utf-8")
    done = mngen_here("check", "--level", "error", "--skip", "mn101", cwd=spec.parent)
    assert (done.returncode, done.stderr) == (0, "")
    assert "MN159" not in done.stdout


def test_unknown_rule(spec: Path) -> None:
    done = mngen_here("check", "--skip", "MN1", cwd=spec.parent)
    assert done.returncode == 1
    assert "there is no rule `MN1`" in done.stderr


def test_json(spec: Path) -> None:
    spec.write_text(BAD, encoding="utf-8")
    done = mngen_here("check", "--format", "json", cwd=spec.parent)
    report = json.loads(done.stdout)
    assert done.returncode == 1
    assert report["counts"] == {"error": 1, "warning": 1, "info": 0}
    assert report["asked_aws"] is False
    assert [each["rule"] for each in report["problems"]] == ["MN101", "MN159"]
    assert report["problems"][0]["line"] == 5


def test_sarif(spec: Path) -> None:
    spec.write_text(BAD, encoding="utf-8")
    done = mngen_here("check", "--format", "sarif", cwd=spec.parent)
    results = json.loads(done.stdout)["runs"][0]["results"]
    assert [each["ruleId"] for each in results] == ["MN101", "MN159"]


@pytest.mark.parametrize("output", ["pretty", "json", "sarif"])
def test_file_that_is_no_yaml(spec: Path, output: str) -> None:
    spec.write_text("name: [", encoding="utf-8")
    done = mngen_here("check", "--format", output, cwd=spec.parent)
    assert (done.returncode, done.stderr) == (1, "")
    assert "not valid YAML" in done.stdout


def test_missing_file(tmp_path: Path) -> None:
    done = mngen_here("check", cwd=tmp_path)
    assert done.returncode == 1
    assert "there is no file mngen.yaml" in done.stdout
    assert "run mngen init to" in done.stdout


def test_aws_without_credentials(spec: Path) -> None:
    done = mngen("check", "--aws", cwd=spec.parent, program=CHECKOUT)
    assert done.returncode == 3
    assert "AWS credentials are missing" in done.stdout
    assert done.stdout.endswith("rules, AWS did not answer all of it\n")


def test_aws_is_not_asked_about_an_unsound_spec(spec: Path) -> None:
    spec.write_text(BAD, encoding="utf-8")
    done = mngen_here("check", "--aws", "--format", "json", cwd=spec.parent, env=dict(os.environ))
    report = json.loads(done.stdout)
    assert done.returncode == 1
    assert report["asked_aws"] is False
    assert report["unanswered"] == []


def test_aws_answers(spec: Path, sandbox: Sandbox) -> None:
    sandbox.reset()
    spec.write_text(GOOD + "state: {bucket: seismic-state}\n", encoding="utf-8")
    images = spec.parent / "deploy" / "terraform" / "amis.auto.tfvars.json"
    images.parent.mkdir(parents=True)
    images.write_text('{"amis": {"r5.12xlarge": {"id": "ami-0123456789abcdef0"}}}')
    with sandbox.applied("us-east-1"):
        report = check_file(spec, aws=True, out=spec.parent / "deploy")
    assert [each.rule for each in report.problems] == ["MN213", "MN216"]
    assert report.exit_code == 1
    assert report.asked_aws
    assert report.count(Severity.ERROR) == 2


@pytest.mark.parametrize("content", ["{", '{"amis": []}', '{"amis": {"r5": {"id": 1}}}', "\x00"])
def test_damaged_file_of_images(spec: Path, sandbox: Sandbox, content: str) -> None:
    images = spec.parent / "terraform" / "amis.auto.tfvars.json"
    images.parent.mkdir()
    images.write_text(content)
    with (
        sandbox.applied("us-east-1"),
        pytest.raises(InputError, match="the AMI record is damaged"),
    ):
        check_file(spec, aws=True, out=spec.parent)


def test_rules_are_listed(tmp_path: Path) -> None:
    done = mngen_here("rules", cwd=tmp_path)
    assert done.stdout.splitlines()[0] == "MN101  error    Every instance type must exist"
    assert len(done.stdout.splitlines()) == len(RULES)
    listed = json.loads(mngen_here("rules", "--format", "json", cwd=tmp_path).stdout)
    assert [each["id"] for each in listed] == [rule.id for rule in RULES]


def test_rule_is_explained(tmp_path: Path) -> None:
    done = mngen_here("rules", "mn120", cwd=tmp_path)
    assert done.stdout.startswith("# MN120: ")
    assert mngen_here("rules", "MN999", cwd=tmp_path).returncode == 1


def test_pages_are_written(tmp_path: Path) -> None:
    assert mngen_here("rules", "--out", "docs", cwd=tmp_path).returncode == 0
    assert len(list((tmp_path / "docs").glob("*.md"))) == len(RULES) + 1
