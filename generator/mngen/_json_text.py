"""JSON that people write for the AWS CLI, parsed with errors that name the line."""

from __future__ import annotations

import codecs
import json
import re
from typing import TYPE_CHECKING, Any

import msgspec

from mngen.errors import InputError, Position, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_BYTES = 10 * 1024 * 1024
"""The longest file that is parsed."""

# A string, or a comment: what looks like a comment within a string is text.
_TOKEN = re.compile(r'"(?:\\.|[^"\\\n])*"|(?P<comment>//[^\n]*|#[^\n]*|/\*.*?\*/)', re.DOTALL)


class JsonText(msgspec.Struct, frozen=True):
    """A parsed file.

    Attributes:
        data: What it holds, without the keys that have no value.
        text: Its text, each comment replaced by spaces.
    """

    data: Any
    text: str


def parse_json(name: str, raw: bytes) -> JsonText:
    """Parses JSON, in which comments and a byte order mark are allowed.

    Args:
        name: The file, for messages.
        raw: Its bytes, UTF-8.

    Raises:
        InputError: It is too large, not UTF-8 or not JSON.
    """
    if len(raw) > MAX_BYTES:
        raise InputError(_problem(name, "larger than 10 MiB"))
    try:
        text = raw.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError:
        raise InputError(_problem(name, "not UTF-8 text", hint="save it in UTF-8")) from None
    bare = _without_comments(text)
    try:
        data = without_nulls(json.loads(bare, object_pairs_hook=_pairs))
        # Half of a surrogate pair is valid JSON, but no text.
        json.dumps(data, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        lines = text.splitlines() or [""]
        line = lines[min(error.lineno, len(lines)) - 1]
        raise InputError(
            Problem(f"not valid JSON: {error.msg}").at(
                name, Position(error.lineno, error.colno), line
            )
        ) from None
    except UnicodeEncodeError as error:
        char = error.object[error.start]
        raise InputError(
            _problem(name, f"the escape {ascii(char)[1:-1]} is half of a character")
        ) from None
    except (RecursionError, ValueError) as error:
        said = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InputError(_problem(name, f"not valid JSON: {said}")) from None
    return JsonText(data, bare)


def pointer(path: Iterable[str | int]) -> str:
    """Writes keys and indices as a JSON pointer.

    Source: https://www.rfc-editor.org/rfc/rfc6901
    """
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def without_nulls(value: Any) -> Any:
    """Leaves out keys without a value, which the AWS CLI's skeletons are full of."""
    if isinstance(value, dict):
        return {key: without_nulls(each) for key, each in value.items() if each is not None}
    if isinstance(value, list):
        return [without_nulls(each) for each in value if each is not None]
    return value


def _without_comments(text: str) -> str:
    """Blanks comments out, so that what is left keeps its line and column."""
    return _TOKEN.sub(
        lambda found: re.sub(r"[^\n]", " ", found[0]) if found["comment"] else found[0], text
    )


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f'the key "{twice}" is written twice')
    return data


def _problem(name: str, message: str, *, hint: str | None = None) -> Problem:
    return Problem(message, file=name, hint=hint)
