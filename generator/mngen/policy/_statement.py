"""What a policy is made of: statements, the names that they speak of, and documents of them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mngen.cluster import DEPLOYMENT_TAG, names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAX_CHARACTERS = 6144
"""Longest managed policy, white space not counted.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
"""

Conditions = dict[str, dict[str, list[str]]]
"""Values that a key may have, by operator and key, as a policy writes them."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a deployment lives, and how AWS names what is part of it.

    Attributes:
        name: The deployment.
        region: Its region.
        account: The 12 digits of its account.
    """

    name: str
    region: str
    account: str

    @property
    def partition(self) -> str:
        """The region's partition."""
        return names.partition_of(self.region)

    def arn(self, service: str, resource: str) -> str:
        """Names a resource, or a pattern of them, of a regional service."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"

    def public_arn(self, service: str, resource: str) -> str:
        """Names what belongs to a region and no account: images, snapshots, public parameters."""
        return f"arn:{self.partition}:{service}:{self.region}::{resource}"

    def account_arn(self, service: str, resource: str) -> str:
        """Names a resource of a service that has no regions, such as a budget."""
        return f"arn:{self.partition}:{service}::{self.account}:{resource}"

    def iam_arn(self, resource: str) -> str:
        """Names a resource of IAM, which has no regions."""
        return f"arn:{self.partition}:iam::{self.account}:{resource}"

    def global_arn(self, service: str, resource: str) -> str:
        """Names what has neither region nor account, such as a bucket."""
        return f"arn:{self.partition}:{service}:::{resource}"

    @property
    def here(self) -> Conditions:
        """Condition: the request goes to the deployment's region."""
        return {"StringEquals": {"aws:RequestedRegion": [self.region]}}

    @property
    def own(self) -> Conditions:
        """Condition: the resource carries the deployment's tag."""
        return {"StringEquals": {f"aws:ResourceTag/{DEPLOYMENT_TAG}": [self.name]}}

    @property
    def tagged(self) -> Conditions:
        """Condition: the request gives the resource the deployment's tag."""
        return {"StringEquals": {f"aws:RequestTag/{DEPLOYMENT_TAG}": [self.name]}}


@dataclass(frozen=True, slots=True)
class Statement:
    """A permission.

    Attributes:
        sid: What it is for, in letters and digits.
        actions: What may be done, such as `ec2:CreateSubnet`; no patterns.
        resources: ARNs, or `*` for actions that know no resources.
        conditions: What must hold as well.
    """

    sid: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: Conditions = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Returns the statement as a policy document holds it."""
        data: dict[str, Any] = {
            "Sid": self.sid,
            "Effect": "Allow",
            "Action": sorted(set(self.actions)),
            "Resource": list(dict.fromkeys(self.resources)),
        }
        if self.conditions:
            data["Condition"] = self.conditions
        return data


def merged(*conditions: Conditions) -> Conditions:
    """Returns the conditions that hold where all of the given ones do."""
    together: Conditions = {}
    for each in conditions:
        for operator, keys in each.items():
            together[operator] = {**together.get(operator, {}), **keys}
    return together


def document(statements: Iterable[Statement]) -> dict[str, Any]:
    """Returns one policy document of statements, those that allow nothing left out."""
    return {
        "Version": "2012-10-17",
        "Statement": [each.as_dict() for each in statements if each.actions and each.resources],
    }


def characters(policy: Mapping[str, Any]) -> int:
    """Returns the length of a document, or a statement, as IAM counts it: without white space."""
    return len(json.dumps(policy, separators=(",", ":"), ensure_ascii=False))


def split(policy: Mapping[str, Any], limit: int = MAX_CHARACTERS) -> list[dict[str, Any]]:
    """Splits a document into as few as its order allows, none of them too long for IAM.

    A permission is whole in one statement, so the documents allow together what one would.

    Args:
        policy: The document.
        limit: Most characters of each, white space not counted.

    Raises:
        ValueError: One statement alone is too long.
    """
    documents: list[dict[str, Any]] = []
    around = characters({**policy, "Statement": []})
    length = limit
    for statement in policy["Statement"]:
        added = characters(statement)
        if around + added > limit:
            raise ValueError(f"statement {statement['Sid']} alone is longer than {limit}")
        # A comma is between two.
        if length + 1 + added > limit:
            documents.append({**policy, "Statement": [statement]})
            length = around + added
        else:
            documents[-1]["Statement"].append(statement)
            length += 1 + added
    return documents
