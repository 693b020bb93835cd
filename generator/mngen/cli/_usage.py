"""What is wrong with an argument, in mngen's own words.

typer converts arguments with pydantic, and shows the sentences of that: "Input should be a valid
integer, unable to parse string as an integer".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mngen._text import printable

if TYPE_CHECKING:
    import typer

_LONGEST = 40
_EXPECTED = {
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number with fewer digits",
    "int_type": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "greater_than_equal": "{ge:g} or more",
    "less_than_equal": "{le:g} or less",
}
_PREFIX = "Value error, "


def usage_message(error: typer.TyperException) -> str:
    """Returns the message of an error of usage, with the value and what is expected."""
    found = getattr(error.__cause__, "errors", None)
    faults: list[dict[str, Any]] = list(found()) if callable(found) else []
    said = _said(faults[0]) if len(faults) == 1 else None
    if said is not None:
        error.message = said
    return error.format_message()


def _said(fault: dict[str, Any]) -> str | None:
    expected = _EXPECTED.get(str(fault["type"]))
    if expected is not None:
        value = printable(str(fault["input"]), keep="")
        shown = value if len(value) <= _LONGEST else f"{value[: _LONGEST - 1]}…"
        return f'"{shown}": expected {expected.format(**fault.get("ctx", {}))}'
    message = str(fault["msg"])
    return message.removeprefix(_PREFIX) if message.startswith(_PREFIX) else None
