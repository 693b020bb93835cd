"""What moto does to write an answer, done once for each kind of value instead of each value."""

from __future__ import annotations

from string import ascii_letters, digits
from typing import Any

from moto.core.serialize import (
    AttributePickerContext,
    ResponseSerializer,
    XFormedAttributePicker,
)
from moto.core.utils import get_value
from moto.moto_api._internal.moto_random import MotoRandom

from mngen.sandbox.emulator._patch import patch

_MISSING = object()
_moto_get_value: Any = ResponseSerializer.get_value


class Serializer:
    """Finds the members of a structure in what a backend holds of it."""

    path: list[str]
    _value_picker: Any

    def get_value(self, value: Any, key: str, shape: Any) -> Any:
        """Returns a member, by the first of its possible names that the value has.

        For each value, moto derives the names from the member, its structure and the class of the
        value, and compares the path with all those of values to be changed.
        """
        picker = self._value_picker
        if type(picker) is not XFormedAttributePicker:
            return _moto_get_value(self, value, key, shape)
        known = shape.__dict__.setdefault("_mngen_names", {})
        kind = (key, getattr(shape, "parent", None), type(value))
        if kind not in known:
            context = AttributePickerContext(obj=value, key=key, shape=shape)
            known[kind] = tuple(dict.fromkeys(picker.get_possible_keys(context)))
        for name in known[kind]:
            found = get_value(value, name, _MISSING)
            if found is not _MISSING:
                break
        else:
            found = None
        if endings := _endings(picker.response_transformers, key):
            path = ".".join((*self.path, key))
            for ending in endings:
                if path.endswith(ending):
                    return picker.response_transformers[ending](found)
        return found


_known_endings: dict[tuple[int, int, str], tuple[str, ...]] = {}


def _endings(transformers: dict[str, Any], key: str) -> tuple[str, ...]:
    """Returns the paths of values to be changed with which that of a member can end.

    They are those of a class of moto's for as long as the process runs, and may become more.
    """
    kind = (id(transformers), len(transformers), key)
    if kind not in _known_endings:
        _known_endings[kind] = tuple(
            each for each in transformers if each.endswith(key) or key.endswith(each)
        )
    return _known_endings[kind]


class Random:
    """Draws texts."""

    choices: Any

    def get_random_string(
        self, length: int = 20, *, include_digits: bool = True, lower_case: bool = False
    ) -> str:
        """Draws a text at once, such as the id of each request; moto draws each letter."""
        pool = ascii_letters + digits if include_digits else ascii_letters
        text = "".join(self.choices(pool, k=length))
        return text.lower() if lower_case else text


def close() -> None:
    """Speeds up the answers."""
    patch(ResponseSerializer, Serializer)
    patch(MotoRandom, Random)
