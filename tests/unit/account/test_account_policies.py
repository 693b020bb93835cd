"""What resource policies say, as IAM reads them."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from mngen.account import Account, covers, holds, principals, resources, statements
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


def test_actions_and_resources() -> None:
    assert covers(ANYONE, "elasticfilesystem:ClientMount")
    assert not covers({"NotAction": ["ELASTICFILESYSTEM:*"]}, "elasticfilesystem:ClientMount")
    assert resources({"Resource": ARN}) == resources({"Resource": [ARN]}) == [ARN]
    assert resources({"NotResource": ARN}) == []


def test_conditions_that_are_not_known_decide_nothing() -> None:
    facts = {"aws:securetransport": "true", "aws:principal*": None}
    secure = {"Bool": {"aws:SecureTransport": "true"}}
    assert holds({"Condition": secure}, facts) is True
    assert holds({"Condition": {**secure, "IpAddress": {"aws:SourceIp": "::1"}}}, facts) is None
    assert holds({"Condition": {"StringEquals": {"aws:PrincipalOrgID": "o"}}}, facts) is False
    assert holds({"Condition": {"StringNotEquals": {"aws:PrincipalOrgID": "o"}}}, facts) is True
