"""Reads resource policies: who may do what, as far as a document says it."""

from __future__ import annotations

import fnmatch
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


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


def covers(statement: dict[str, Any], action: str) -> bool:
    """Whether a statement is about an action, such as `kms:CreateGrant`."""
    if "NotAction" in statement:
        return not any(_like(action, each) for each in _listed(statement["NotAction"]))
    return any(_like(action, each) for each in _listed(statement.get("Action", [])))


def conditions(statement: dict[str, Any]) -> dict[str, str]:
    """Returns the conditions of a statement: key, in lower case, to its one value or several."""
    return {
        key.lower(): ",".join(str(value) for value in _listed(values)).lower()
        for keys in statement.get("Condition", {}).values()
        for key, values in keys.items()
    }


def _like(action: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(action.lower(), pattern.lower())


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
