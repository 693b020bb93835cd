"""The provider schema in the form that this folder keeps it in, and where the file is.

A block is `{"attributes": {name: [type, flags]}, "blocks": {name: nested}}`; a nested block is a
block with `"nesting"` (list, set or single), `"min"` and `"max"` (0 = unlimited) beside it. A type
is what Terraform itself writes: `"string"`, `["set", "string"]`, `["list", ["object", {…}]]`. The
flags are the letters of `required`, `optional` and `computed` that hold.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any, Final, TypeAlias

Block: TypeAlias = dict[str, Any]

SCHEMA_FILE: Final = Path(__file__).with_name("schema-6.62.json")


@functools.cache
def load_schema() -> dict[str, Any]:
    """Returns the committed schema: {"header", "provider", "resources", "data_sources"}."""
    schema: dict[str, Any] = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    return schema


def attributes(block: Block) -> dict[str, tuple[Any, str]]:
    """Returns a block's attributes as {name: (type, flags)}."""
    return {name: (kind, flags) for name, (kind, flags) in block.get("attributes", {}).items()}


def nested_blocks(block: Block) -> dict[str, Block]:
    """Returns the blocks inside a block as {name: nested}."""
    nested: dict[str, Block] = block.get("blocks", {})
    return nested


def from_terraform(block: dict[str, Any]) -> Block:
    """Returns a block of `terraform providers schema -json` in the form above."""
    result: Block = {
        "attributes": {
            name: [
                attribute["type"],
                "".join(f[0] for f in ("required", "optional", "computed") if attribute.get(f)),
            ]
            for name, attribute in block.get("attributes", {}).items()
        },
        "blocks": {
            name: {
                "nesting": nested["nesting_mode"],
                "min": nested.get("min_items", 0),
                "max": nested.get("max_items", 0),
                **from_terraform(nested["block"]),
            }
            for name, nested in block.get("block_types", {}).items()
        },
    }
    return {key: value for key, value in result.items() if value}


def differences(old: Block, new: Block, path: str) -> list[str]:
    """Lists in words how `new` differs from `old`, one line a difference, sorted by path."""
    lines: list[str] = []
    old_attributes, new_attributes = attributes(old), attributes(new)
    old_blocks, new_blocks = nested_blocks(old), nested_blocks(new)
    for name in sorted({*old_attributes, *new_attributes, *old_blocks, *new_blocks}):
        place = f"{path}.{name}"
        if name in old_blocks and name in new_blocks:
            before, after = old_blocks[name], new_blocks[name]
            lines += [
                f"{place}: block's {key} {before[key]} -> {after[key]}"
                for key in ("nesting", "min", "max")
                if before[key] != after[key]
            ]
            lines += differences(before, after, place)
            continue
        was = _describe(name, old_attributes, old_blocks)
        now = _describe(name, new_attributes, new_blocks)
        if was is None:
            lines.append(f"{place}: added, {now}")
        elif now is None:
            lines.append(f"{place}: removed, was {was}")
        elif was != now:
            lines.append(f"{place}: {was} -> {now}")
    return lines


def _describe(name: str, attrs: dict[str, tuple[Any, str]], blocks: dict[str, Block]) -> str | None:
    if name in attrs:
        kind, flags = attrs[name]
        words = {"r": "required", "o": "optional", "c": "computed"}
        return " ".join((*(words[flag] for flag in flags), _type_name(kind)))
    if name in blocks:
        return f"{blocks[name]['nesting']} block"
    return None


def _type_name(kind: Any) -> str:
    if isinstance(kind, str):
        return kind
    outer, inner = kind
    if outer == "object":
        return "{" + ", ".join(f"{key}: {_type_name(inner[key])}" for key in sorted(inner)) + "}"
    return f"{outer}({_type_name(inner)})"
