"""Checkov over what every example renders to: nothing fails, and what is skipped says why."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import mngen

ROOT = Path(__file__).resolve().parents[2]
CHECKOV = ROOT / ".venv-scan" / "bin" / "checkov"
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))

# What no example asks for, but a user may: a new VPC with everything at its defaults, ssh, and
# shells.
NEW_VPC = """
network:
  vpc: new
  zones: [us-east-1a, us-east-1b]
  ssh: {key_pair: a-key, from: [192.0.2.0/24]}
"""

# What Checkov writes where a skip comment gives no reason.
NO_REASON = "No comment provided"

# So that no example passes for want of a scan.
WRONG = "wrong"
BAD = """
resource "aws_ecr_repository" "images" {
  #checkov:skip=CKV_AWS_136:the key of AWS is enough for images
  #checkov:skip=CKV_AWS_163
  name = "images"
}
"""

# Each spec, under the name of its folder.
SPECS = {path.stem: path.read_text(encoding="utf-8") for path in EXAMPLES}
WITH_SHELL = SPECS["minimal"].replace("nodes: 2,", "nodes: 2, shell: true,")
SPECS["a new network"] = WITH_SHELL + NEW_VPC

# The scanner takes longer to start than to read a tree.
pytestmark = pytest.mark.xdist_group("security scan")


def scan(folder: Path) -> dict[str, Any]:
    """Scan a folder of Terraform code, with no call to anything outside this machine."""
    if not CHECKOV.exists():
        pytest.skip("the security scanner is not installed: make scanner")
    options = ("--framework", "terraform", "--compact", "--skip-download", "--soft-fail")
    done = subprocess.run(
        [CHECKOV, "-d", folder, "-o", "json", *options],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder.parent), "LOG_LEVEL": "ERROR"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """What the scanner found in what each spec renders to, by the kind of finding."""
    folder = tmp_path_factory.mktemp("scanned") / "all"
    for name, spec in SPECS.items():
        place = folder / name
        place.mkdir(parents=True)
        (place / "mngen.yaml").write_text(spec, encoding="utf-8")
        rendered = mngen("render", "--file", "mngen.yaml", "--out", "deploy", cwd=place)
        assert rendered.returncode == 0, rendered.stderr
    (folder / WRONG).mkdir()
    (folder / WRONG / "main.tf").write_text(BAD, encoding="utf-8")
    found: dict[str, list[dict[str, Any]]] = scan(folder)["results"]
    return found


def within(name: str, checks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the checks of files in one of the folders."""
    return [check for check in checks if check["file_path"].startswith(f"/{name}/")]


def test_every_file_can_be_read(results: dict[str, list[dict[str, Any]]]) -> None:
    assert results["parsing_errors"] == []


def test_the_new_network_has_shells() -> None:
    assert SPECS["minimal"] != WITH_SHELL


@pytest.mark.parametrize("name", SPECS)
def test_nothing_fails_and_every_skip_has_its_reason(
    name: str, results: dict[str, list[dict[str, Any]]]
) -> None:
    # The roles, the environments and the queues at least were looked at.
    assert len({check["resource"] for check in within(name, results["passed_checks"])}) > 10
    failed = [
        f"{check['check_id']} {check['resource']} ({check['file_path']}): {check['check_name']}"
        for check in within(name, results["failed_checks"])
    ]
    assert failed == []
    unexplained = [
        f"{check['check_id']} {check['resource']} ({check['file_path']})"
        for check in within(name, results["skipped_checks"])
        if check["check_result"]["suppress_comment"] in ("", NO_REASON)
    ]
    assert unexplained == []


def test_the_scanner_sees_what_is_wrong(results: dict[str, list[dict[str, Any]]]) -> None:
    failed = within(WRONG, results["failed_checks"])
    assert "CKV_AWS_51" in {check["check_id"] for check in failed}
    reasons = {
        check["check_id"]: check["check_result"]["suppress_comment"]
        for check in within(WRONG, results["skipped_checks"])
    }
    assert reasons == {
        "CKV_AWS_136": "the key of AWS is enough for images",
        "CKV_AWS_163": NO_REASON,
    }
