"""The spec while it is being made, with a line for each value that goes into it or does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mngen._text import printable
from mngen.adoption._lines import Line, Outcome

if TYPE_CHECKING:
    from collections.abc import Collection

    from mngen.adoption._inventory import Inventory
    from mngen.adoption._item import Item
    from mngen.adoption._lines import Place
    from mngen.catalog import Catalog

_NAME_LENGTH = 64


class Draft:
    """A spec in the making.

    Attributes:
        inventory: What there is.
        catalog: The instance types.
        lines: The report so far.
        environments: The section `environments`.
        queues: The section `queues`.
        jobs: The section `jobs`.
        files: Texts of the files that jobs name, by their paths from the spec.
        notes: Lines of comment above a key, by the key's path.
    """

    def __init__(self, inventory: Inventory, catalog: Catalog) -> None:
        self.inventory = inventory
        self.catalog = catalog
        self.lines: list[Line] = list(inventory.lines)
        self.environments: dict[str, dict[str, Any]] = {}
        self.queues: dict[str, dict[str, Any]] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.files: dict[str, str] = {}
        self.notes: dict[tuple[str, ...], list[str]] = {}

    def kept(self, place: Place, spec: str, why: str, todo: str = "") -> None:
        """Reports a value that means the same in the spec."""
        self._add(Outcome.KEPT, place, spec, why, todo)

    def changed(
        self, place: Place, spec: str, why: str, todo: str = "", *, breaks: bool = False
    ) -> None:
        """Reports a value that is different from now on, or that mngen decides."""
        self._add(Outcome.CHANGED, place, spec, why, todo, breaks=breaks)

    def cannot(
        self, place: Place, spec: str, why: str, todo: str = "", *, breaks: bool = False
    ) -> None:
        """Reports a value that a spec has no word for."""
        self._add(Outcome.CANNOT, place, spec, why, todo, breaks=breaks)

    def note(self, path: tuple[str, ...], text: str) -> None:
        """Adds a line of comment above a key of the spec."""
        self.notes.setdefault(path, []).append(printable(text))

    def left(self, item: Item, where: str, *, silent: Collection[str] = ()) -> None:
        """Reports every key of an object that nothing has taken.

        Args:
            item: The object.
            where: What decides instead, in words.
            silent: Keys that only describe the object.
        """
        for key in item.left():
            if key not in silent:
                self.changed(item.at(key), "", f"not carried over: {where}")

    def _add(
        self,
        outcome: Outcome,
        place: Place,
        spec: str,
        why: str,
        todo: str,
        *,
        breaks: bool = False,
    ) -> None:
        self.lines.append(
            Line(outcome=outcome, place=place, spec=spec, why=why, todo=todo, breaks=breaks)
        )


def key_of(name: str, taken: Collection[str]) -> str:
    """Returns a key of the spec for a name of AWS: itself, cut to what a key may have."""
    key = name[:_NAME_LENGTH]
    number = 2
    while key in taken:
        suffix = f"-{number}"
        key = name[: _NAME_LENGTH - len(suffix)] + suffix
        number += 1
    return key


def count(number: int, word: str) -> str:
    """Returns a number with its word: `1 node`, `2 nodes`."""
    return f"{number} {word}" + ("" if number == 1 else "s")
