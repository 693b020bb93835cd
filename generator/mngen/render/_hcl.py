"""HCL from plain values, and the canonical layout of `terraform fmt`.

Templates never quote anything by hand: Jinja passes every printed value through `expression`,
which encodes it unless it is `Hcl` already. A string from the spec can therefore only ever become
a string literal that evaluates to itself.
Source of the grammar: https://github.com/hashicorp/hcl/blob/main/hclsyntax/spec.md
"""

from __future__ import annotations

import math
import re
from functools import lru_cache

_Attribute = tuple[str, str]

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*\Z")
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_NEEDS_ESCAPE = re.compile(r'[\\"\n\r\t]|[$%](?=\{)|[^\x20-\x7e]')
# All but characters that surely fill one column each: ASCII, Latin, Greek, Cyrillic, kana, Han and
# Hangul. Others may melt into one with their neighbours, and `terraform fmt` aligns by the result.
# A pattern of this size takes long to compile; few keys need it.
_MAY_COMBINE = (
    "[^\x20-\x7e\u00c0-\u02ff\u0370-\u0482\u048a-\u052f\u3041-\u3096\u30a1-\u30fa"
    "\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3]"
)
_ATTRIBUTE = re.compile(r'([A-Za-z_][A-Za-z0-9_-]*|"(?:[^"\\]|\\.)*") = (.*)\Z')
_BRACKET = re.compile(r"[()\[\]{}]")
_OPENING = re.compile(r"[(\[{]")
_CLOSING = re.compile(r"[)\]}]")
_STRING_OR_COMMENT = re.compile(r'"(?:[^"\\]|\\.)*"|#.*')
_INDENT = "  "
_LIST_WIDTH = 90


class Hcl(str):
    """Text that is HCL already and is printed as it stands."""

    __slots__ = ()


def quoted(text: str) -> str:
    """Encodes a string as an HCL string literal that evaluates to exactly that string."""
    return f'"{_NEEDS_ESCAPE.sub(_escape, text)}"'


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    if char in _ESCAPES:
        return _ESCAPES[char]
    if char in "$%":
        return char * 2
    return char if char.isprintable() else _numbered(match)


def _numbered(match: re.Match[str]) -> str:
    char = match[0]
    return f"\\u{ord(char):04x}" if ord(char) <= 0xFFFF else f"\\U{ord(char):08x}"


def expression(value: object) -> Hcl:
    """Encodes a value as an HCL expression; `layout` indents what spans lines.

    Args:
        value: None, a bool, an int, a finite float, a str, or lists, tuples and dicts of such;
            `Hcl` anywhere in it is taken as it stands. Keys are sorted.

    Raises:
        TypeError: The value is of another type; a template printed something it should not.
    """
    return Hcl(_encode(value))


def _encode(value: object) -> str:
    if isinstance(value, Hcl):
        return str(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and math.isfinite(value):
        return repr(int(value) if value.is_integer() else value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, (list, tuple)):
        items = [_encode(item) for item in value]
        line = f"[{', '.join(items)}]"
        if "\n" not in line and len(line) <= _LIST_WIDTH:
            return line
        return "[\n" + "".join(f"{item},\n" for item in items) + "]"
    if isinstance(value, dict):
        lines = [
            f"{key_expression(key)} = {_encode(item)}\n" for key, item in sorted(value.items())
        ]
        return "{\n" + "".join(lines) + "}" if lines else "{}"
    raise TypeError(f"cannot write {type(value).__name__} as HCL")


def key_expression(key: str) -> str:
    """Encodes the key of an object: bare where HCL would read it as that very text."""
    if _IDENTIFIER.match(key) and key not in {"for", "null"}:
        return key
    text = quoted(key)
    return text if text.isascii() else re.sub(_MAY_COMBINE, _numbered, text)


def identifier(text: str) -> Hcl:
    """Passes a name through as part of an HCL identifier.

    Raises:
        ValueError: It holds a character that an identifier cannot; the spec should have refused it.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]+", text):
        raise ValueError(f"{text!r} cannot be part of an HCL identifier")
    return Hcl(text)


def comment(text: str) -> Hcl:
    """Passes text through as the rest of a comment line: one line, no control characters."""
    return Hcl("".join(char if char.isprintable() else "?" for char in text))


def layout(text: str) -> str:
    """Lays text out as `terraform fmt` does, as far as our templates need it.

    Indents by the brackets that are open, aligns the equals signs of adjacent one-line attributes,
    and removes blank lines at the start and the end of blocks and doubled ones between.
    """
    result: list[str] = []
    attributes: list[_Attribute] = []
    # However many brackets a line opens, what follows is one level deeper.
    levels: list[int] = []
    for line in _without_idle_blanks(text.split("\n")):
        change, attribute = _read(line)
        if attribute is not None:
            attributes.append(attribute)
            continue
        if attributes:
            result += _aligned(attributes, len(levels))
            attributes = []
        if change < 0:
            _close(levels, -change)
        result.append(_INDENT * len(levels) + line if line else "")
        if change > 0:
            levels.append(change)
    result += _aligned(attributes, len(levels))
    return "\n".join(result).rstrip("\n") + "\n"


# The same lines come in many files.
@lru_cache(maxsize=8192)
def _read(line: str) -> tuple[int, _Attribute | None]:
    """Returns how many brackets a line leaves open, or minus those that it closes.

    Where it does neither and is an attribute, its name and its value too.
    """
    change = 0
    if _BRACKET.search(line):
        bare = _STRING_OR_COMMENT.sub("", line)
        change = len(_OPENING.findall(bare)) - len(_CLOSING.findall(bare))
    found = None if change else _ATTRIBUTE.match(line)
    return change, (found[1], found[2]) if found else None


def _aligned(attributes: list[_Attribute], level: int) -> list[str]:
    indent = _INDENT * level
    width = max((len(name) for name, _ in attributes), default=0)
    return [f"{indent}{name:<{width}} = {value}" for name, value in attributes]


def _close(levels: list[int], brackets: int) -> None:
    """Closes brackets, innermost first; with the last of a line that opened some, its level."""
    while brackets > 0 and levels:
        taken = min(brackets, levels[-1])
        brackets -= taken
        levels[-1] -= taken
        if not levels[-1]:
            levels.pop()


def _without_idle_blanks(lines: list[str]) -> list[str]:
    """Returns the lines without their indentation, and without blank ones that part nothing."""
    kept: list[str] = []
    last = ""
    for line in map(str.strip, lines):
        if not line:
            if not last or last.endswith(("{", "[", "(")):
                continue
        elif not last and kept and line.startswith(("}", "]", ")")):
            kept.pop()
        kept.append(line)
        last = line
    return kept
