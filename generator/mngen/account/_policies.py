"""Reads resource policies: who may do what, as far as a document shows it."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_SEGMENTS = 6
"""Parts of an ARN: arn, partition, service, region, account and resource."""


def statements(document: str, effect: str) -> Iterator[dict[str, Any]]:
    """Yields the statements of a policy with an effect, `Allow` or `Deny`."""
    found = json.loads(document).get("Statement", [])
    for each in found if isinstance(found, list) else [found]:
        if each.get("Effect") == effect:
            yield each


def principals(statement: dict[str, Any]) -> set[str]:
    """Returns the AWS principals of a statement; `*` for everyone."""
    named = statement.get("Principal", {})
    if named == "*":
        return {"*"}
    return set(_listed(named.get("AWS", []))) if isinstance(named, dict) else set()


def services(statement: dict[str, Any]) -> set[str]:
    """Returns the services that a statement is for, such as `ec2.amazonaws.com`; `*` for all."""
    named = statement.get("Principal", {})
    if named == "*":
        return {"*"}
    return set(_listed(named.get("Service", []))) if isinstance(named, dict) else set()


def covers(statement: dict[str, Any], action: str) -> bool:
    """Whether a statement is about an action, such as `kms:CreateGrant`."""
    if "NotAction" in statement:
        return not any(_like(action, each) for each in _listed(statement["NotAction"]))
    return any(_like(action, each) for each in _listed(statement.get("Action", [])))


def concerns(statement: dict[str, Any], arn: str) -> bool:
    """Whether a statement is about a resource; one that names none is about the policy's own.

    Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html
    """
    if "NotResource" in statement:
        return not any(_is_resource(arn, each) for each in _listed(statement["NotResource"]))
    return any(_is_resource(arn, each) for each in _listed(statement.get("Resource", "*")))


def holds(statement: dict[str, Any], facts: Mapping[str, str | None]) -> bool | None:
    """Whether the conditions of a statement hold for a request; None where it is not known.

    Args:
        statement: The statement.
        facts: The values of condition keys, in lower case; None for a key that the request does
            not have. A key ending in `*` stands for all that begin so.

    Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
    """
    verdicts = [
        _condition_holds(operator, key, [str(value) for value in _listed(values)], facts)
        for operator, keys in statement.get("Condition", {}).items()
        for key, values in keys.items()
    ]
    if False in verdicts:
        return False
    return None if None in verdicts else True


def _condition_holds(
    operator: str, key: str, wanted: list[str], facts: Mapping[str, str | None]
) -> bool | None:
    known = [name for name in facts if _fits(key.lower(), name)]
    if not known:
        return None
    actual = facts[known[0]]
    name = operator.lower()
    if name == "null":
        return (actual is None) is (wanted[0].lower() == "true")
    optional = name.endswith("ifexists")
    name = name.removesuffix("ifexists")
    if name.startswith(("forallvalues:", "foranyvalue:")):
        return None
    negated = "not" in name
    kind = name.replace("not", "", 1)
    if kind not in _COMPARED:
        return None
    if actual is None:
        return optional or negated
    found = any(_COMPARED[kind](actual, each) for each in wanted)
    return found is not negated


def _like(action: str, pattern: str) -> bool:
    return _fits(action.lower(), pattern.lower())


def _is_resource(arn: str, pattern: str) -> bool:
    """Whether a pattern of a Resource element fits an ARN.

    A wildcard stays in its segment, but for a `*` at the end of one, which reaches across colons.
    The last segment of an ARN may contain colons.
    """
    *heads, last = pattern.split(":", _SEGMENTS - 1)
    parts = [_pattern(each, "[^:]") for each in heads]
    return re.fullmatch(":".join([*parts, _pattern(last)]), arn, re.DOTALL) is not None


def _is_arn(arn: str, pattern: str) -> bool:
    """Whether a pattern of an ARN condition fits an ARN, segment by segment."""
    segments, patterns = arn.split(":", _SEGMENTS - 1), pattern.split(":", _SEGMENTS - 1)
    return len(segments) == len(patterns) and all(map(_fits, segments, patterns))


def _fits(text: str, pattern: str) -> bool:
    """Whether a pattern with `*` and `?`, the only wildcards that IAM has, fits a text."""
    return re.fullmatch(_pattern(pattern), text, re.DOTALL) is not None


@lru_cache
def _pattern(pattern: str, character: str = ".") -> str:
    """Returns the regular expression of a pattern; a `*` at its end stands for anything.

    Args:
        pattern: The pattern.
        character: What `?` stands for, and any other `*` for any number of.
    """
    head, tail = (pattern[:-1], ".*") if pattern.endswith("*") else (pattern, "")
    return re.escape(head).replace(r"\*", f"{character}*").replace(r"\?", character) + tail


def _same(actual: str, wanted: str) -> bool:
    return actual == wanted


def _same_in_any_case(actual: str, wanted: str) -> bool:
    return actual.lower() == wanted.lower()


_COMPARED: dict[str, Callable[[str, str], bool]] = {
    "bool": _same_in_any_case,
    "stringequals": _same,
    "stringequalsignorecase": _same_in_any_case,
    "stringlike": _fits,
    # These two are the same, wildcards included.
    "arnequals": _is_arn,
    "arnlike": _is_arn,
}
"""How a condition operator compares the request's value with one of the policy's."""


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
