"""Patches of moto: each names what it replaces and what it adds, and fails if that is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, MutableMapping
    from types import ModuleType


class PatchError(Exception):
    """This version of moto is not the one that a patch was written for."""


def patch(target: type, source: type, *, adds: Collection[str] = ()) -> None:
    """Puts the methods and class attributes of `source` into a class of moto's.

    moto's URL tables name its classes, so a subclass of ours would never be called. A method of
    moto's that was renamed would go on to answer unlike AWS, with ours beside it that is never
    called; one that moto has come to have itself deserves a look. Either is an error.

    Args:
        target: A class of moto's.
        source: A class of ours. What moto has under the same name is replaced.
        adds: Names of `source` that moto does not have.

    Raises:
        PatchError: moto lacks what is to be replaced, or has what is to be added.
    """
    members = {name: each for name, each in vars(source).items() if not name.startswith("__")}
    added = set(adds)
    faults = [f"{source.__name__} has no {name} to add" for name in added - members.keys()]
    faults += [f"it has no {name}" for name in members.keys() - added if not hasattr(target, name)]
    faults += [f"it has a {name} already" for name in members.keys() & added & set(dir(target))]
    _refuse(f"{source.__name__} for {target.__module__}.{target.__qualname__}", faults)
    for name, member in members.items():
        setattr(target, name, member)


def patch_attribute(target: type | ModuleType, name: str, old: Any, new: Any) -> None:
    """Replaces an attribute of a class or a module of moto's.

    Args:
        target: The class or module.
        name: The attribute.
        old: What moto is known to have there.
        new: What belongs there.

    Raises:
        PatchError: moto has something else there.
    """
    found = getattr(target, name, None)
    faults = [] if found == old else [f"it is {found!r}, not {old!r}"]
    is_class = isinstance(target, type)
    place = f"{target.__module__}.{target.__qualname__}" if is_class else target.__name__
    _refuse(f"{place}.{name}", faults)
    setattr(target, name, new)


def patch_table(table: MutableMapping[str, Any], key: str, value: Any) -> None:
    """Adds an entry to a table of moto's.

    Raises:
        PatchError: It has one already.
    """
    _refuse(f"{value} for {key}", [f"the table has {table[key]}"] if key in table else [])
    table[key] = value


def _refuse(what: str, faults: list[str]) -> None:
    if not faults:
        return
    import moto

    reasons = "; ".join(sorted(faults))
    raise PatchError(f"the patch {what} does not fit moto {moto.__version__}: {reasons}")
