"""Every AWS resource that the templates make is known to what must know it."""

from __future__ import annotations

import re

from mngen import _resources
from mngen.terraform._standing import _FINDERS, SEARCHED
from tests.conftest import ROOT

ACCEPTED_TWICE = {
    # A registration makes another revision.
    "aws_batch_job_definition",
    # The provider takes over what every VPC has.
    "aws_default_security_group",
    # Each is put over what is there.
    "aws_cloudwatch_dashboard",
    "aws_ecr_lifecycle_policy",
    "aws_cloudwatch_event_rule",
    "aws_cloudwatch_event_target",
    "aws_efs_backup_policy",
    "aws_iam_role_policy",
    "aws_iam_role_policy_attachment",
    "aws_sns_topic_policy",
    # Amazon SNS answers with the one that exists.
    "aws_sns_topic_subscription",
}
"""Types that AWS takes again where an interrupted apply has left one."""


def types() -> set[str]:
    files = (_resources.templates() / "terraform").rglob("*.tf*")
    pattern = re.compile(r'^resource "(aws_\w+)"', re.MULTILINE)
    return {name for file in files for name in pattern.findall(file.read_text(encoding="utf-8"))}


def test_every_resource_is_found_after_an_interrupted_apply() -> None:
    found = SEARCHED | set(_FINDERS)
    assert types() - found == ACCEPTED_TWICE, "see `Add an AWS resource` in CONTRIBUTING.md"


def test_contributing_lists_at_most_six_files_and_all_of_them_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.partition("## Add an AWS resource\n")[2].partition("\n## ")[0]
    items = re.findall(r"^\d\. (.*)", section, re.MULTILINE)
    assert 0 < len(items) <= 6
    paths = re.findall(r"`((?:templates|generator|tests)/[\w/.]+)`", section)
    assert "generator/mngen/terraform/_standing.py" in paths
    for path in paths:
        assert (ROOT / path).exists(), path
