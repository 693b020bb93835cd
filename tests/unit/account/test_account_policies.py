"""What resource policies say, as IAM reads them."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from mngen.account import Account, concerns, covers, holds, principals, statements
from mngen.catalog import load_catalog
from mngen.rules import AWS_RULES, require
from mngen.spec import load_text

SPEC = b"""\
name: seismic
region: us-east-1
storage: {efs: {id: fs-0123456789abcdef0, security_group: sg-0123456789abcdef0}}
environments:
  r5: {instance: r5.12xlarge, max_nodes: 4}
queues:
  mpi: {environments: [r5]}
"""
ARN = "arn:aws:elasticfilesystem:us-east-1:123456789012:file-system/fs-0123456789abcdef0"
ROLE = "arn:aws:iam::123456789012:role/other"
ANYONE: dict[str, Any] = {
    "Effect": "Allow",
    "Principal": {"AWS": "*"},
    "Action": "elasticfilesystem:Client*",
}


class Efs:
    """A client of EFS, of one file system with a policy."""

    exceptions = SimpleNamespace(FileSystemNotFound=KeyError, PolicyNotFound=KeyError)

    def __init__(self, statement: dict[str, Any]) -> None:
        self.policy = json.dumps({"Statement": statement})

    def describe_file_systems(self, **_named: str) -> dict[str, Any]:
        return {"FileSystems": [{"FileSystemArn": ARN}]}

    def describe_file_system_policy(self, **_named: str) -> dict[str, str]:
        return {"Policy": self.policy}


def messages(principal: Any) -> list[str]:
    """Returns what the rule says of a policy that lets a principal in, and nobody else."""
    efs = Efs({**ANYONE, "Principal": principal})
    account = Account(require(load_text(SPEC), load_catalog()), {}, lambda *_: efs)
    [rule] = [each for each in AWS_RULES if each.id == "MN224"]
    return [match.message for match in rule.matches(account)]


def test_a_single_statement_needs_no_list() -> None:
    document = json.dumps({"Statement": ANYONE})
    assert list(statements(document, "Allow")) == [ANYONE]
    assert list(statements(document, "Deny")) == []


@pytest.mark.parametrize("named", ["*", {"AWS": "*"}, {"AWS": [ROLE, "*"]}])
def test_everyone_may_be_named_beside_others(named: Any) -> None:
    """A principal may be one of several.

    Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
    """
    assert messages(named) == []


@pytest.mark.parametrize("named", [{"AWS": ROLE}, {"Service": "backup.amazonaws.com"}])
def test_others_are_not_everyone(named: Any) -> None:
    [message] = messages(named)
    assert "denies them ClientMount, ClientWrite, ClientRootAccess" in message
    assert "*" not in principals({"Principal": named})


def test_actions() -> None:
    assert covers(ANYONE, "elasticfilesystem:ClientMount")
    assert not covers({"NotAction": ["ELASTICFILESYSTEM:*"]}, "elasticfilesystem:ClientMount")
    # IAM has no classes of characters.
    assert not covers(
        {"Action": "elasticfilesystem:Client[M]ount"}, "elasticfilesystem:ClientMount"
    )


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        ("*", True),
        ("arn:aws:s3:::software/*", True),
        ("arn:aws:s3:::software/efa/*", True),
        ("arn:aws:s3:::soft*", True),
        ("arn:aws:s3:::*/efa/?-1.tar", True),
        ("arn:aws:s3:*", True),
        ("arn:*:s3:::software/efa/a-1.tar", True),
        ("arn:aws:s3:::software/efa/a-?.tar", True),
        ("arn:aws:s3:::software", False),
        ("arn:aws:s3:::software/", False),
        ("arn:aws:s3:::software/other/*", False),
        ("arn:aws:s3:::other-software/*", False),
        ("arn:aws:s3:::SOFTWARE/*", False),
        ("arn:aws-cn:s3:::software/*", False),
        ("arn:aws:s3:::software/efa/[a]-1.tar", False),
        ("arn:a*s:::software/efa/a-1.tar", False),
        ("arn:aws:s3?::software/efa/a-1.tar", False),
    ],
)
def test_resources(pattern: str, fits: bool) -> None:
    """Wildcards stay in their segment, but for a `*` at its end.

    Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html
    """
    arn = "arn:aws:s3:::software/efa/a-1.tar"
    assert concerns({"Resource": pattern}, arn) is fits
    assert concerns({"Resource": ["arn:aws:s3:::else", pattern]}, arn) is fits
    assert concerns({"NotResource": pattern}, arn) is not fits


def test_a_resource_may_have_colons() -> None:
    arn = "arn:aws:logs:us-east-1:123456789012:log-group:/mngen/a/jobs:log-stream:b"
    assert concerns({"Resource": "arn:aws:logs:*:*:log-group:/mngen/*:log-stream:?"}, arn)
    assert concerns({}, arn)


def test_arns_in_conditions_are_compared_segment_by_segment() -> None:
    """Unlike in a resource, no `*` reaches across a colon.

    Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
    """
    for operator in ("ArnLike", "ArnEquals"):
        for pattern, fits in (("arn:aws:iam::*:role/ot?er", True), ("arn:aws:*", False)):
            condition = {"Condition": {operator: {"aws:PrincipalArn": pattern}}}
            assert holds(condition, {"aws:principalarn": ROLE}) is fits


def test_conditions_that_are_not_known_decide_nothing() -> None:
    facts = {"aws:securetransport": "true", "aws:principal*": None}
    secure = {"Bool": {"aws:SecureTransport": "true"}}
    assert holds({"Condition": secure}, facts) is True
    assert holds({"Condition": {**secure, "IpAddress": {"aws:SourceIp": "::1"}}}, facts) is None
    assert holds({"Condition": {"StringEquals": {"aws:PrincipalOrgID": "o"}}}, facts) is False
    assert holds({"Condition": {"StringNotEquals": {"aws:PrincipalOrgID": "o"}}}, facts) is True
