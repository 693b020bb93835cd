"""The text of a spec, in the style of `mngen init`."""

from __future__ import annotations

from typing import Any

from mngen.spec import scalar

_WIDTH = 100


def text_of(spec: dict[str, Any], header: str, notes: dict[tuple[str, ...], list[str]]) -> str:
    """Writes a spec as YAML.

    Args:
        spec: The spec; empty sections are left out.
        header: Lines of comment at the top.
        notes: Lines of comment above a key, or below it if it is a section.
    """
    lines = [f"# {line}" for line in header.splitlines()]
    lines.append("")
    simple = [key for key in spec if not isinstance(spec[key], dict)]
    for key in simple:
        lines += _entry(key, spec[key], (), 0, notes)
    for key, value in spec.items():
        if isinstance(value, dict) and value:
            lines += ["", *_entry(key, value, (), 0, notes)]
    return "\n".join(lines) + "\n"


def _entry(
    key: str,
    value: Any,
    above: tuple[str, ...],
    depth: int,
    notes: dict[tuple[str, ...], list[str]],
) -> list[str]:
    path = (*above, key)
    indent = "  " * depth
    remarks = [f"# {line}" for line in notes.get(path, [])]
    if isinstance(value, dict) and value and not _is_small(value, path, notes):
        lines = [f"{indent}{scalar(key)}:"]
        lines += [f"{indent}  {remark}" for remark in remarks]
        for below, each in value.items():
            lines += _entry(below, each, path, depth + 1, notes)
        return lines
    lines = [f"{indent}{remark}" for remark in remarks]
    flat = f"{indent}{scalar(key)}: {_flow(value)}"
    if isinstance(value, list) and len(flat) > _WIDTH:
        lines.append(f"{indent}{scalar(key)}:")
        return lines + [f"{indent}  - {_flow(each)}" for each in value]
    return [*lines, flat]


def _is_small(
    value: dict[str, Any], path: tuple[str, ...], notes: dict[tuple[str, ...], list[str]]
) -> bool:
    # Sections and what they name are blocks; what is deeper, such as limits, fits a line.
    scalars = all(not isinstance(each, dict | list) for each in value.values())
    noted = any(each[: len(path)] == path for each in notes)
    return len(path) > 2 and scalars and not noted and len(_flow(value)) < _WIDTH // 2


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(key)}: {_flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(each) for each in value) + "]"
    return scalar(value)
