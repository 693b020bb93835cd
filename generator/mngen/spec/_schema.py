"""The JSON Schema of mngen.yaml, from the types themselves."""

from __future__ import annotations

from typing import Any, get_args

import msgspec

from mngen.spec._extends import EXTENDS
from mngen.spec._model import Spec, UlimitName

_FILE = {"description": "The path of a JSON file in place of a command."}
_GROUPS = {"description": "Node groups that all have a command, in place of the job's."}
_EXTENDS = {
    "description": (
        "Another spec, by its path from this one. This spec has all keys of that one, except "
        "`name` and `state.key`: mappings are merged, lists and other values are replaced, and "
        "`null` removes a key."
    ),
    "type": "string",
    "default": None,
    "examples": ["mngen.yaml"],
}


def schema() -> dict[str, Any]:
    """Returns the JSON Schema (draft 2020-12) of a spec, as JSON-ready data."""
    generated = msgspec.json.schema(Spec)
    # What `Job` refuses when it is made.
    generated["$defs"]["Job"]["anyOf"] = [
        {"required": ["command"]},
        {"required": ["definition"], "properties": {"definition": {"type": "string", **_FILE}}},
        {
            "required": ["groups"],
            "properties": {
                "groups": {
                    **_GROUPS,
                    "minProperties": 1,
                    "additionalProperties": {"required": ["command"]},
                }
            },
        },
    ]
    # msgspec leaves out which keys a mapping may have.
    limits = generated["$defs"]["Job"]["properties"]["ulimits"]
    limits["propertyNames"] = {"enum": list(get_args(UlimitName))}
    # No key of a spec: it is resolved before there is one.
    whole = generated["$defs"]["Spec"]
    whole["properties"] = {EXTENDS: _EXTENDS, **whole["properties"]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "mngen.yaml",
        **_portable(generated),
    }


def _portable(node: Any) -> Any:
    """Rewrites Python's end-of-text anchor, which JSON Schema's regular expressions lack."""
    if isinstance(node, dict):
        return {
            key: value.replace(r"\Z", "$")
            if key == "pattern" and isinstance(value, str)
            else _portable(value)
            for key, value in node.items()
        }
    if isinstance(node, list):
        return [_portable(item) for item in node]
    return node
