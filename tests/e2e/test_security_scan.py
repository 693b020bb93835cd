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
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_nothing_fails_in_an_example(example: Path, tmp_path: Path) -> None:
    assert_clean(example.read_text(encoding="utf-8"), tmp_path)


def test_nothing_fails_in_a_new_network_with_its_defaults(tmp_path: Path) -> None:
    minimal = (ROOT / "examples" / "minimal.yaml").read_text(encoding="utf-8")
    with_shell = minimal.replace("nodes: 2,", "nodes: 2, shell: true,")
    assert with_shell != minimal
    assert_clean(with_shell + NEW_VPC, tmp_path)


def assert_clean(spec: str, folder: Path) -> None:
    """Render a spec and scan it: nothing fails, and every skip has its reason."""
    (folder / "mngen.yaml").write_text(spec, encoding="utf-8")
    rendered = mngen("render", "--file", "mngen.yaml", "--out", "deploy", cwd=folder)
    assert rendered.returncode == 0, rendered.stderr
    report = scan(folder / "deploy")
    results = report["results"]
    assert results["parsing_errors"] == []
    assert report["summary"]["resource_count"] > 0
    failed = [
        f"{check['check_id']} {check['resource']} ({check['file_path']}): {check['check_name']}"
        for check in results["failed_checks"]
    ]
    assert failed == []
    unexplained = [
        f"{check['check_id']} {check['resource']} ({check['file_path']})"
        for check in results["skipped_checks"]
        if check["check_result"]["suppress_comment"] in ("", NO_REASON)
    ]
    assert unexplained == []


BAD = """
resource "aws_ecr_repository" "images" {
  #checkov:skip=CKV_AWS_136:the key of AWS is enough for images
  #checkov:skip=CKV_AWS_163
  name = "images"
}
"""


def test_the_scanner_sees_what_is_wrong(tmp_path: Path) -> None:
    """So that no example passes for want of a scan."""
    folder = tmp_path / "deploy"
    folder.mkdir()
    (folder / "main.tf").write_text(BAD, encoding="utf-8")
    results = scan(folder)["results"]
    assert "CKV_AWS_51" in {check["check_id"] for check in results["failed_checks"]}
    reasons = {
        check["check_id"]: check["check_result"]["suppress_comment"]
        for check in results["skipped_checks"]
    }
    assert reasons == {
        "CKV_AWS_136": "the key of AWS is enough for images",
        "CKV_AWS_163": NO_REASON,
    }
