"""Reports everything that is wrong with the shape of a spec, in the user's words.

`msgspec` validates, fast, and stops at the first fault. Only when it finds one does this module
walk the data beside the types, collect every fault, and keep what is sound, so that the rules can
still judge the rest and all problems are shown at once.
"""

from __future__ import annotations

import types
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from msgspec import Meta

from mngen.errors import did_you_mean
from mngen.spec._fields import fields_of
from mngen.spec._model import Section

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mngen.errors import Problem
    from mngen.spec._document import Document, Path

_ABSENT: Any = object()
_NAMES = {str: "text", int: "a whole number", bool: "true or false"}


@dataclass
class ShapeCheck:
    """Collects what is wrong with a document's shape.

    Attributes:
        document: The document, for positions.
        problems: Every fault found.
        dropped: Paths of the entries left out of the salvaged data.
    """

    document: Document
    problems: list[Problem] = field(default_factory=list)
    dropped: set[Path] = field(default_factory=set)

    def salvage_root(self, value: Any, kind: type[Section], stand_ins: dict[str, Any]) -> Any:
        """Salvages a whole document, with stand-ins for the required keys that are unsound."""
        sound = self._salvage_section(value, kind, (), stand_ins)
        return stand_ins if sound is _ABSENT else sound

    def salvage(self, value: Any, kind: Any, path: Path = ()) -> Any:
        """Returns the sound part of `value`, or a marker where nothing of it is sound."""
        # Most of a spec with a fault has none: that is not walked through.
        with suppress(msgspec.ValidationError):
            msgspec.convert(value, kind)
            return value
        kind, meta = _unwrap(kind)
        if _is_union(kind):
            members = [member for member in get_args(kind) if member is not type(None)]
            if value is None and len(members) < len(get_args(kind)):
                return None
            if len(members) == 1:
                return self.salvage(value, members[0], path)
            # Of several types at most one is a mapping, whose faults are at its keys, and at most
            # one a list, whose faults are at its items.
            section = next((each for each in members if _is_section(each)), None)
            if section is not None and isinstance(value, dict):
                return self._salvage_section(value, section, path)
            several = next((each for each in members if _is_list(each)), None)
            if several is not None and isinstance(value, list):
                return self._salvage_list(value, *_unwrap(several), path)
        elif _is_section(kind):
            return self._salvage_section(value, kind, path)
        elif get_origin(kind) is dict:
            return self._salvage_mapping(value, kind, meta, path)
        elif get_origin(kind) is tuple:
            return self._salvage_list(value, kind, meta, path)
        return self._leaf(value, kind, meta, path, key=False)

    def _add(self, message: str, path: Path, hint: str | None = None, *, key: bool = False) -> Any:
        self.problems.append(self.document.problem(message, path, hint=hint, key=key))
        self.dropped.add(path)
        return _ABSENT

    def _salvage_section(
        self,
        value: Any,
        kind: type[Section],
        path: Path,
        stand_ins: Mapping[str, Any] = types.MappingProxyType({}),
    ) -> Any:
        what = f"`{path[-1]}`" if path else "the spec"
        if not isinstance(value, dict):
            fields = ", ".join(info.encode_name for info in fields_of(kind))
            return self._add(f"{what} must be a mapping with keys such as {fields}", path)
        known = {info.encode_name: info for info in fields_of(kind)}
        for name in value:
            if name not in known:
                hint = did_you_mean(name, known) or "known keys: " + ", ".join(known)
                self._add(
                    f"unknown key `{_short(name, quote=False)}` in {what}",
                    (*path, name),
                    hint,
                    key=True,
                )
        kept = dict(stand_ins)
        needed = {name for name, info in known.items() if info.required}
        for name, info in known.items():
            if name in value:
                sound = self.salvage(value[name], info.type, (*path, name))
                if sound is not _ABSENT:
                    kept[name] = sound
            elif name in needed or name in kind.needed(value):
                self._add(f"{what} lacks the key `{name}`", (*path, name), _describe(info.type))
        whole = all(name in kept for name in (*needed, *kind.needed(kept)))
        return kept if whole else self._drop(path)

    def _salvage_mapping(self, value: Any, kind: Any, meta: Meta | None, path: Path) -> Any:
        if not isinstance(value, dict):
            return self._add(f"`{path[-1]}` must be a mapping of names to values", path)
        key_kind, value_kind = get_args(kind)
        kept = {}
        for name, item in value.items():
            here = (*path, name)
            key = self._leaf(name, *_unwrap(key_kind), here, key=True)
            sound = self.salvage(item, value_kind, here)
            if key is not _ABSENT and sound is not _ABSENT:
                kept[name] = sound
        if not self._size_is_sound(value, meta, "entries", path):
            return _ABSENT
        # A mapping whose every entry was dropped has been complained about already.
        return kept if kept or not value else self._drop(path)

    def _salvage_list(self, value: Any, kind: Any, meta: Meta | None, path: Path) -> Any:
        if not isinstance(value, list):
            return self._add(f"`{path[-1]}` must be a list", path, f"write it as [{_short(value)}]")
        items = [self.salvage(v, get_args(kind)[0], (*path, i)) for i, v in enumerate(value)]
        if not self._size_is_sound(value, meta, "items", path):
            return _ABSENT
        return items if _ABSENT not in items else self._drop(path)

    def _size_is_sound(self, value: Any, meta: Meta | None, unit: str, path: Path) -> bool:
        least = (meta and meta.min_length) or 0
        most = meta.max_length if meta else None
        if len(value) < least:
            self._add(f"`{path[-1]}` is empty; it needs at least {least} of its {unit}", path)
            return False
        if most is not None and len(value) > most:
            self._add(f"`{path[-1]}` has {len(value)} {unit}; at most {most} are allowed", path)
            return False
        return True

    def _leaf(self, value: Any, kind: Any, meta: Meta | None, path: Path, *, key: bool) -> Any:
        try:
            return msgspec.convert(value, Annotated[kind, meta] if meta else kind)
        except msgspec.ValidationError:
            name = "the name" if key else f"`{dotted_tail(path)}`"
            hint = None
            if get_origin(kind) is Literal and isinstance(value, str):
                hint = did_you_mean(value, [str(choice) for choice in get_args(kind)])
            elif kind is str and not isinstance(value, (str, dict, list, types.NoneType)):
                hint = "put it in quotes, so that YAML leaves it as text"
            elif kind is str and isinstance(value, dict) and list(value.values()) == [None]:
                hint = f'put it in quotes: "{{{_short(next(iter(value)), quote=False)}}}"'
            expected = _describe(Annotated[kind, meta] if meta else kind)
            return self._add(f"{name} must be {expected}, not {_short(value)}", path, hint, key=key)

    def _drop(self, path: Path) -> Any:
        self.dropped.add(path)
        return _ABSENT


def dotted_tail(path: Path) -> str:
    """Names the last key of a path, with its index when it is a list's item."""
    if len(path) > 1 and isinstance(path[-1], int):
        return f"{path[-2]}[{path[-1]}]"
    return _short(path[-1], quote=False) if path else "the spec"


def _unwrap(kind: Any) -> tuple[Any, Meta | None]:
    if get_origin(kind) is Annotated:
        base, *metas = get_args(kind)
        merged = [meta for meta in metas if isinstance(meta, Meta)]
        # An outer Annotated describes; the inner one, written first, holds the limits.
        return base, next(
            (m for m in merged if m.pattern or m.extra), merged[0] if merged else None
        )
    return kind, None


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Section)


def _is_list(kind: Any) -> bool:
    return get_origin(_unwrap(kind)[0]) is tuple


def _is_union(kind: Any) -> bool:
    return get_origin(kind) in {Union, types.UnionType}


def _describe(kind: Any) -> str:
    """Returns what a type takes: "a whole number from 1 to 1000"."""
    kind, meta = _unwrap(kind)
    if meta is not None and meta.extra and "says" in meta.extra:
        return str(meta.extra["says"])
    if _is_union(kind):
        members = [member for member in get_args(kind) if member is not type(None)]
        return " or ".join(_describe(member) for member in members)
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(str(choice) for choice in get_args(kind))
    if get_origin(kind) is tuple:
        return "a list"
    text = _NAMES.get(kind, "a mapping")
    if meta is not None and meta.ge is not None:
        text += (
            f" from {meta.ge} to {meta.le}" if meta.le is not None else f" of at least {meta.ge}"
        )
    return text


def _short(value: Any, *, quote: bool = True) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = str(value).replace("\n", "\\n")
    if len(text) > 60:
        text = text[:57] + "…"
    return f'"{text}"' if quote and isinstance(value, str) else text
