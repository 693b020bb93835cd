"""The keys of the spec that a plan changes: the spec that the state holds beside the new one.

The rendered Terraform keeps the spec in an output. So what was deployed is known wherever the
state is, without git and without the tree that was rendered for it. Terraform writes outputs even
where an apply fails part of the way: it is the spec of the last apply, complete or not.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mngen._text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mngen.spec import Effect, KeyChange

RECORD = "spec"
"""The output that holds the spec."""

_MAX_WIDTH = 60


def changed_keys(outputs: Mapping[str, Any]) -> tuple[KeyChange, ...]:
    """Returns the keys that differ between the spec of the last apply and that of a plan.

    Args:
        outputs: The plan's `output_changes`
            (https://developer.hashicorp.com/terraform/internals/json-format).
    """
    change = outputs.get(RECORD, {})
    before, after = change.get("before"), change.get("after")
    if before == after or not isinstance(before, dict) or not isinstance(after, dict):
        return ()
    from mngen.spec import key_changes

    return tuple(key_changes(before, after))


def key_data(change: KeyChange) -> dict[str, object]:
    """Returns a changed key as JSON-ready data; of an entry, not the value, but what became of it.

    A job's environment variables may hold what is not for a log.
    """
    from mngen.spec import dotted

    data: dict[str, object] = {"key": dotted(change.path)}
    if change.is_entry:
        data["entry"] = _entry(change)
    else:
        data |= {"before": change.before, "after": change.after}
    return {**data, "update": [effect.value for effect in change.effects]}


def key_text(change: KeyChange) -> str:
    """Returns a changed key as one line: `queues.mpi.priority: 1 -> 5  (in-place)`."""
    from mngen.spec import dotted

    what = _entry(change) if change.is_entry else " -> ".join(value_texts(change))
    return f"{printable(dotted(change.path))}: {what}  ({', '.join(change.effects)})"


def value_texts(change: KeyChange) -> tuple[str, str]:
    """Returns the value of a key before and after in short; of an entry, what became of it."""
    if change.is_entry:
        return "", _entry(change)
    return _value(change.before), _value(change.after)


def effects_of(keys: tuple[KeyChange, ...]) -> list[Effect]:
    """Returns what the changed keys do, each once, in the order of the vocabulary."""
    from mngen.spec import Effect

    found = {effect for key in keys for effect in key.effects}
    return [effect for effect in Effect if effect in found]


def _entry(change: KeyChange) -> str:
    if change.before and change.after:
        return "changed"
    return "added" if change.after else "removed"


def _value(value: Any) -> str:
    if value is None:
        return "not set"
    text = printable(json.dumps(value, ensure_ascii=False))
    return text if len(text) <= _MAX_WIDTH else text[: _MAX_WIDTH - 1] + "…"
