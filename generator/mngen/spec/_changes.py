"""The keys that differ between two specs, each with what its change does."""

from __future__ import annotations

import hashlib
import json
import types
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

import msgspec
from msgspec import Meta, Struct

from mngen.spec._definition import JobFromFile
from mngen.spec._effects import UPDATE_KEY, Effect
from mngen.spec._fields import fields_of
from mngen.spec._model import Spec
from mngen.spec._playbooks import ImageFromFiles

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mngen.spec._document import Path

_ABSENT: Any = object()


@dataclass(frozen=True, slots=True)
class KeyChange:
    """One key whose value is another.

    Attributes:
        path: Where the key is, such as `("environments", "mpi", "max_nodes")`.
        before: Its former value as JSON-ready data; None where it had none.
        after: Its new value, likewise.
        effects: What the change does, as the model declares it for the key.
        is_entry: Whether an entry of a mapping was added, removed or changed, such as an
            environment or a tag; `before` and `after` then show only whether it is there.
    """

    path: Path
    before: Any
    after: Any
    effects: tuple[Effect, ...]
    is_entry: bool = False


def written(spec: Struct) -> dict[str, Any]:
    """Returns a spec or a part of it as JSON-ready data, without the keys that have their default.

    A key that a later version of mngen adds so leaves the data of older specs as it is.
    """
    return _written(spec)


def key_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[KeyChange]:
    """Compares two specs.

    Args:
        before: The former spec, as `written` returns it. Keys that the model does not have, of
            another version of mngen, are left aside.
        after: The new spec, likewise.

    Returns:
        The changed keys, in the order of the model; entries of a mapping sorted by name.
    """
    return list(_section(Spec, before, after, ()))


def keys(
    section: type[Struct] = Spec, path: Path = ()
) -> Iterator[tuple[Path, tuple[Effect, ...]]]:
    """Yields every key of the spec that is not a section, with its effects.

    Args:
        section: Where to begin.
        path: Its place in the spec. The name of an entry is written as `<name>`.
    """
    for field in fields_of(section):
        here = (*path, field.encode_name)
        kind, effects = _unwrapped(field.type)
        below = _section_of(kind)
        if effects or below is None:
            yield here, effects
        if below is not None:
            yield from keys(below, (*here, "<name>") if get_origin(kind) is dict else here)


def _written(section: Struct) -> dict[str, Any]:
    data = {}
    for field in fields_of(type(section)):
        value = getattr(section, field.name)
        if field.required or value != _default(field):
            data[field.encode_name] = _plain(value)
    return data


def _plain(value: Any) -> Any:
    if isinstance(value, JobFromFile):
        # A file of the same name may have other content.
        digest = hashlib.sha256(json.dumps(value.from_file.content, sort_keys=True).encode())
        return {
            **_written(value.given),
            "definition": f"{value.definition} sha256:{digest.hexdigest()[:12]}",
        }
    if isinstance(value, ImageFromFiles):
        return _written(value.given) | {"playbooks": _with_digests(value)}
    if isinstance(value, Struct):
        return _written(value)
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in sorted(value.items())}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _with_digests(image: ImageFromFiles) -> list[str]:
    """Returns the playbooks, each with a digest of all files: with others it is another one."""
    digest = hashlib.sha256(json.dumps(image.files, sort_keys=True).encode()).hexdigest()[:12]
    return [f"{name} sha256:{digest}" for name in image.playbooks]


def _section(
    section: type[Struct], before: Mapping[str, Any], after: Mapping[str, Any], path: Path
) -> Iterator[KeyChange]:
    for field in fields_of(section):
        name = field.encode_name
        old, new = before.get(name, _ABSENT), after.get(name, _ABSENT)
        if old == new:
            continue
        here = (*path, name)
        kind, effects = _unwrapped(field.type)
        below = _section_of(kind)
        if get_origin(kind) is dict:
            yield from _mapping(below, effects, _there(old), _there(new), here)
        elif effects and below is not None and _ABSENT in (old, new):
            # A section that is null by default, whose appearance does more than its keys.
            yield KeyChange(here, old is not _ABSENT, new is not _ABSENT, effects, is_entry=True)
        elif below is not None:
            yield from _section(below, _there(old), _there(new), here)
        else:
            default = _plain(_default(field))
            old, new = (default if each is _ABSENT else each for each in (old, new))
            yield KeyChange(here, old, new, effects)


def _mapping(
    section: type[Struct] | None,
    effects: tuple[Effect, ...],
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    path: Path,
) -> Iterator[KeyChange]:
    for name in sorted({*before, *after}):
        here = (*path, name)
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        if section is not None and old is not None and new is not None:
            yield from _section(section, old, new, here)
        else:
            yield KeyChange(here, old is not None, new is not None, effects, is_entry=True)


def _there(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _default(field: msgspec.structs.FieldInfo) -> Any:
    if field.default is not msgspec.NODEFAULT:
        return field.default
    return field.default_factory() if field.default_factory is not msgspec.NODEFAULT else None


def _unwrapped(kind: Any) -> tuple[Any, tuple[Effect, ...]]:
    """Returns what a value is when it is not null, and the effects that its key carries."""
    effects: tuple[Effect, ...] = ()
    while True:
        if get_origin(kind) is Annotated:
            kind, *metas = get_args(kind)
            effects = effects or tuple(each for meta in metas for each in _effects(meta))
        elif get_origin(kind) in {Union, types.UnionType}:
            given = [each for each in get_args(kind) if each is not type(None)]
            if len(given) != 1:
                return kind, effects
            kind = given[0]
        else:
            return kind, effects


def _effects(meta: Any) -> list[Effect]:
    extra = meta.extra_json_schema if isinstance(meta, Meta) else None
    return [Effect(name) for name in (extra or {}).get(UPDATE_KEY, [])]


def _section_of(kind: Any) -> type[Struct] | None:
    """Returns the type of a section, or that of a mapping's entries; None for any other value."""
    if get_origin(kind) is dict:
        kind, _ = _unwrapped(get_args(kind)[1])
    return kind if isinstance(kind, type) and issubclass(kind, Struct) else None
