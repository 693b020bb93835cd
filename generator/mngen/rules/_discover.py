"""Finds the rules of a package: none has to be registered."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from mngen.rules._rule import Rule

_RuleT = TypeVar("_RuleT", bound="Rule")


def discover(package: str, base: type[_RuleT]) -> tuple[type[_RuleT], ...]:
    """Returns the rules of a package, in the order of their ids.

    A rule is a subclass of the base that has an id, defined in any module of the package.

    Args:
        package: The package's `__name__`.
        base: The kind of rule.

    Raises:
        ValueError: Two rules have the same id.
    """
    found: dict[str, type[_RuleT]] = {}
    for each in iter_modules(import_module(package).__path__, f"{package}."):
        for member in vars(import_module(each.name)).values():
            if not (isinstance(member, type) and issubclass(member, base)):
                continue
            if member.__module__ != each.name or "id" not in vars(member):
                continue
            if found.setdefault(member.id, member) is not member:
                raise ValueError(f"{member.id}: {found[member.id]} and {member} have the same id")
    return tuple(found[key] for key in sorted(found))
