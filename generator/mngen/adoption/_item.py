"""A JSON object of which each key is taken once, so that the report misses none."""

from __future__ import annotations

from typing import Any

from mngen._json_text import pointer
from mngen.adoption._lines import Place


class Item:
    """A JSON object with its place; remembers which of its keys were taken.

    Args:
        data: The object.
        place: Where it is.
    """

    def __init__(self, data: dict[str, Any], place: Place) -> None:
        self.data = data
        self.place = place
        self._taken: set[str] = set()

    def take(self, key: str, default: Any = None) -> Any:
        """Returns the value of a key, or the default, and counts it as dealt with."""
        self._taken.add(key)
        found = self.data.get(key)
        return default if found is None else found

    def child(self, key: str) -> Item:
        """Returns the object below a key; an empty one if there is none."""
        return Item(self.take(key, {}), self.at(key))

    def children(self, key: str) -> list[Item]:
        """Returns the objects of the list below a key."""
        return [Item(each, self.at(key, number)) for number, each in enumerate(self.take(key, []))]

    def at(self, *parts: str | int) -> Place:
        """Returns the place of a key, or of something below it."""
        return Place(self.place.file, self.place.pointer + pointer(parts))

    def left(self) -> list[str]:
        """Returns the keys with a value that nothing has taken, in the order of the object."""
        return [
            key
            for key, value in self.data.items()
            if key not in self._taken and value not in (None, [], {})
        ]
