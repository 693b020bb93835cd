"""Finds, reads and searches the catalog."""

from __future__ import annotations

import fnmatch
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from mngen.catalog._beside import path_beside, read_beside
from mngen.catalog._file import decode
from mngen.errors import InputError, Problem, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from mngen.catalog._file import CatalogFile
    from mngen.catalog._types import Architecture, InstanceType

CATALOG_NAME = "mngen-catalog.json"

_SHIPPED = Path(__file__).with_name("instance-types.json")


class Catalog:
    """The instance types known, by name, in natural order.

    Attributes:
        date: The day on which the facts were read.
        source: Where they were read, in words.
        memory_source: Who measured the memory, in words; empty if nothing was measured.
        path: The file that they came from; None for the one that mngen ships.
    """

    __slots__ = ("_types", "date", "memory_source", "path", "source")

    def __init__(
        self,
        types: list[InstanceType],
        *,
        date: date,
        source: str,
        memory_source: str = "",
        path: Path | None = None,
    ) -> None:
        self._types = {each.name: each for each in types}
        self.date = date
        self.source = source
        self.memory_source = memory_source
        self.path = path

    def __len__(self) -> int:
        return len(self._types)

    def __iter__(self) -> Iterator[InstanceType]:
        return iter(self._types.values())

    def __contains__(self, name: object) -> bool:
        return name in self._types

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all types, families in natural order and sizes by vCPUs."""
        return tuple(self._types)

    def get(self, name: str) -> InstanceType | None:
        """Returns the type of exactly this name, or None."""
        return self._types.get(name)

    def require(self, name: str) -> InstanceType:
        """Returns the type of exactly this name.

        Raises:
            InputError: There is none; the hint names the nearest.
        """
        found = self._types.get(name)
        if found is None:
            raise InputError(self.unknown(name))
        return found

    def unknown(self, name: str) -> Problem:
        """Returns the problem to report where `name` is not in the catalog.

        The path and position are the caller's to add.
        """
        return Problem(f"there is no EC2 instance type `{name}`", hint=self._hint(name))

    def match(
        self,
        pattern: str = "*",
        *,
        min_cores: int | None = None,
        max_cores: int | None = None,
        min_memory: int | None = None,
        efa: bool | None = None,
        gpus: bool | None = None,
        disks: bool | None = None,
        architecture: Architecture | None = None,
    ) -> list[InstanceType]:
        """Returns the types that meet every condition given, in natural order.

        Args:
            pattern: A shell pattern of the name (`r5*`, `*.24xlarge`), or a family (`r5`).
            min_cores: Least number of physical cores.
            max_cores: Greatest number of physical cores.
            min_memory: Least memory in MiB.
            efa: Only types with an Elastic Fabric Adapter, or only those without.
            gpus: Only types with whole GPUs, or only those without.
            disks: Only types with NVMe instance-store disks, or only those without.
            architecture: Such as `x86_64` or `arm64`.
        """
        pattern = pattern.lower()
        return [
            each
            for each in self._types.values()
            if (each.family == pattern or fnmatch.fnmatchcase(each.name, pattern))
            and (min_cores is None or each.cores >= min_cores)
            and (max_cores is None or each.cores <= max_cores)
            and (min_memory is None or each.memory >= min_memory)
            and (efa is None or each.efa is efa)
            and (gpus is None or (each.gpus > 0) is gpus)
            and (disks is None or (each.scratch_disks > 0) is disks)
            and (architecture is None or each.architecture == architecture)
        ]

    def no_match(self, pattern: str) -> Problem:
        """Returns the problem to report where `match` found nothing: the name or the filters."""
        count = len(self.match(pattern))
        if count:
            return Problem(
                f"none of the {count} instance types that match `{pattern}` meets all the filters",
                hint="loosen a filter",
            )
        return Problem(
            f"no EC2 instance type matches `{pattern}`", hint=self._hint(pattern.strip("*"))
        )

    def _hint(self, name: str) -> str:
        newer = (
            f"for a type newer than the catalog ({self._origin()}), run "
            "`mngen instances --refresh` and commit the file that it writes"
        )
        near = self._near(name.lower())
        return f"{near} {newer}" if near else newer

    def _near(self, name: str) -> str | None:
        family, _, size = name.partition(".")
        sizes = [each.size for each in self._types.values() if each.family == family]
        if not sizes:
            families = dict.fromkeys(each.family for each in self._types.values())
            return did_you_mean(name, self._types) or did_you_mean(family, families)
        near = did_you_mean(name, [f"{family}.{each}" for each in sizes]) if size else None
        return near or f"`{family}` comes in the sizes {', '.join(sizes)};"

    def _origin(self) -> str:
        return f"{self.path.name if self.path else 'shipped with mngen'}, {self.date}"


def catalog_path(beside: Path) -> Path:
    """Returns where the catalog file of a spec would be: in its folder, by a fixed name.

    Args:
        beside: The spec, or the folder that holds it.
    """
    return path_beside(beside, CATALOG_NAME)


def load_catalog(beside: Path | None = None) -> Catalog:
    """Returns the catalog to use for a spec: the file beside it, or else the one mngen ships.

    The file beside the spec (`mngen-catalog.json`, written by `mngen instances --refresh`) is
    committed with it, and then stands alone: nothing of the shipped catalog is mixed in. There is
    no catalog in a user's home, on purpose: what a spec renders to must not depend on whose machine
    renders it, and a changed fact is a line in a pull request like any other change.

    Args:
        beside: The spec, or the folder that holds it; None for the shipped catalog.

    Raises:
        InputError: The file beside the spec is damaged, unreadable or of another version.
    """
    if beside is None:
        return _shipped()
    return read_beside(catalog_path(beside), _read, _shipped, "instance catalog")


@lru_cache(maxsize=1)
def _shipped() -> Catalog:
    content = decode(_SHIPPED.read_bytes(), str(_SHIPPED))
    return _catalog(content)


@lru_cache(maxsize=4)
def _read(path: Path, mtime_ns: int, size: int) -> Catalog:
    """Reads a file once for as long as it does not change: time and size are the cache's key."""
    del mtime_ns, size
    content = decode(path.read_bytes(), str(path))
    return _catalog(content, path)


def _catalog(content: CatalogFile, path: Path | None = None) -> Catalog:
    return Catalog(
        content.types,
        date=content.date,
        source=content.source,
        memory_source=content.memory_source,
        path=path,
    )
