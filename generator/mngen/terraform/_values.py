"""Attributes inside Terraform's plan: paths to them, and their values as short safe text."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mngen._text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MAX_WIDTH = 60
_SENSITIVE = "(sensitive)"
_UNKNOWN = "(known after apply)"


def path_text(path: Sequence[str | int]) -> str:
    """Returns a path as it is written in HCL: `compute_resources[0].instance_type`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif step.replace("-", "_").isidentifier():
            text += f".{step}" if text else step
        else:
            text += f"[{json.dumps(step)}]"
    return printable(text)


@dataclass(frozen=True, slots=True)
class _Found:
    value: Any = None
    marked: bool = False


def change_text(change: Mapping[str, Any], path: Sequence[str | int]) -> str:
    """Returns `before -> after` of one attribute; a sensitive value is never in it.

    Args:
        change: The `change` object of one resource in Terraform's JSON plan
            (https://developer.hashicorp.com/terraform/internals/json-format).
        path: Where the attribute is in it.
    """
    before = _show(change, "before", path)
    after = _UNKNOWN if _is_marked(change.get("after_unknown"), path) else None
    if after is None or _is_marked(change.get("after_sensitive"), path):
        after = _show(change, "after", path)
    return f"{before} -> {after}"


def _show(change: Mapping[str, Any], side: str, path: Sequence[str | int]) -> str:
    if _is_marked(change.get(f"{side}_sensitive"), path):
        return _SENSITIVE
    text = printable(json.dumps(_walk(change.get(side), path).value, ensure_ascii=False))
    return text if len(text) <= _MAX_WIDTH else text[: _MAX_WIDTH - 1] + "…"


def _is_marked(marks: Any, path: Sequence[str | int]) -> bool:
    """Returns whether a tree of marks has one at, above or below the path."""
    found = _walk(marks, path)
    return found.marked or _any_true(found.value)


def _walk(tree: Any, path: Sequence[str | int]) -> _Found:
    for step in path:
        if tree is True:
            return _Found(marked=True)
        try:
            tree = tree[step]
        except (KeyError, IndexError, TypeError):
            return _Found()
    return _Found(tree)


def _any_true(tree: Any) -> bool:
    if isinstance(tree, dict):
        return any(_any_true(value) for value in tree.values())
    if isinstance(tree, list):
        return any(_any_true(value) for value in tree)
    return tree is True
