"""A spec that extends another: the one YAML file with what another changes in it.

Mappings are merged key by key; lists and all other values are replaced as a whole; null removes a
key. The name of a deployment and the place of its Terraform state are its own.
"""

from __future__ import annotations

import os
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

from mngen.errors import InputError
from mngen.spec._document import parse, read_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mngen.errors import Problem
    from mngen.spec._document import Document, Path

EXTENDS = "extends"
"""The key that names the other file."""

NULLS = frozenset({("cancel_after", "misconfiguration")})
"""Ends of the paths at which null is a value that differs from the default."""


def parse_spec(name: str, raw: bytes, files: Mapping[str, bytes]) -> Document:
    """Parses a spec with all that it extends.

    Args:
        name: The file as the user named it.
        raw: Its bytes.
        files: Content of files in place of what is on the disk, by their paths from the spec.

    Raises:
        InputError: A file cannot be read, or is not one YAML document.
    """
    return _parsed(name, raw, files, (os.path.realpath(name),))


def _parsed(name: str, raw: bytes, files: Mapping[str, bytes], chain: tuple[str, ...]) -> Document:
    document = parse(name, raw)
    if not isinstance(document.data, dict) or EXTENDS not in document.data:
        return document
    file = _file(document)
    real = os.path.realpath(file)
    if real in chain:
        raise InputError(document.problem(f"`{EXTENDS}` leads back to {file}", (EXTENDS,)))
    content = files.get(document.data[EXTENDS])
    if content is None:
        content = _content(document, file)
    base = _parsed(str(file), content, files, (*chain, real))
    own = {key: value for key, value in document.data.items() if key != EXTENDS}
    inherited = base.data if isinstance(base.data, dict) else {}
    document.problems += _refused(document, inherited, own, ())
    if "name" in inherited and "name" not in own:
        document.problems.append(
            document.problem(
                "the spec lacks the key `name`, which is not inherited",
                (EXTENDS,),
                hint="choose a name for this deployment; everything in AWS is named after it",
            )
        )
    document.extend(base, merged(_inheritable(inherited), own) if inherited else base.data)
    return document


def _file(document: Document) -> FilePath:
    named = document.data[EXTENDS]
    if not isinstance(named, str) or not named or not named.isprintable():
        raise InputError(
            document.problem(
                f"`{EXTENDS}` must be the path of another spec, such as mngen.yaml", (EXTENDS,)
            )
        )
    file = FilePath(document.name).parent / named
    plain = os.path.normpath(file)
    # `a/..` is something else where `a` is a link.
    return FilePath(plain) if os.path.realpath(plain) == os.path.realpath(file) else file


def _content(document: Document, file: FilePath) -> bytes:
    hint = f"the path starts at the folder of {FilePath(document.name).name}"
    # A named pipe is not opened: that would wait for its writer.
    if file.exists() and not file.is_file():
        message = f"cannot read {file}: it is not a regular file"
        raise InputError(document.problem(message, (EXTENDS,), hint=hint))
    try:
        return read_file(file)
    except InputError as error:
        problem = document.problem(error.problems[0].message, (EXTENDS,), hint=hint)
        raise InputError(problem) from None


def _inheritable(data: dict[str, Any]) -> dict[str, Any]:
    """Returns what of a spec another may have too: without the place of its Terraform state."""
    state = data.get("state")
    if not isinstance(state, dict):
        return data
    return {**data, "state": {key: value for key, value in state.items() if key != "key"}}


def merged(base: Mapping[str, Any], own: Mapping[str, Any], path: Path = ()) -> dict[str, Any]:
    """Returns the data of a spec with what another changes in it.

    Args:
        base: The data of the spec.
        own: The changes. Null removes a key; where there is none to remove, it is a value.
        path: The place of both in the spec.
    """
    result = dict(base)
    for key, value in own.items():
        before, here = base.get(key), (*path, key)
        if value is None and key in base and here[-2:] not in NULLS:
            del result[key]
        elif isinstance(value, dict) and isinstance(before, dict):
            result[key] = merged(before, value, here)
        else:
            result[key] = value
    return result


def _refused(
    document: Document, base: Mapping[str, Any], own: Mapping[str, Any], path: Path
) -> Iterator[Problem]:
    """Yields the keys that would remove something because nothing stands after them."""
    for key, value in own.items():
        here = (*path, key)
        before = base.get(key)
        if isinstance(value, dict) and isinstance(before, dict):
            yield from _refused(document, before, value, here)
        elif value is None and key in base and document.is_empty(here):
            yield document.problem(
                f"`{key}` has no value here, but has one in the extended spec",
                here,
                hint="write null to remove the key, or delete this line to keep it",
            )
