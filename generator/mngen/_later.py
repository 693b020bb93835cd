"""Names of a package that are imported when they are first asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def later(package: str, places: Mapping[str, str]) -> Callable[[str], Any]:
    """Returns what a package binds to `__getattr__`, to import names out of its modules.

    Args:
        package: The package's `__name__`.
        places: The module of each name.
    """

    def find(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{places[name]}"), name)

    return find
