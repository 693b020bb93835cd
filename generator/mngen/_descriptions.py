"""Reads the descriptions of AWS's services that botocore comes with, in a third of its time."""

from __future__ import annotations

import gzip
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from botocore.exceptions import DataNotFoundError
from botocore.loaders import JSONFileLoader, Loader

if TYPE_CHECKING:
    from collections.abc import Iterator

# What `read_once` replaces.
_list_services = Loader.list_available_services


class Descriptions(JSONFileLoader):
    """Reads each file once in a process, into plain dictionaries.

    botocore reads a file for each session, 4 MB for EC2, into dictionaries that take longer to
    fill. As within a session, what it adds to the endpoints that it has looked up stays.
    """

    def load_file(self, file_path: str) -> Any:
        """Returns what a file holds; None where there is none.

        Args:
            file_path: Its path without the extension.

        Raises:
            ValueError: It is not JSON.
        """
        return _read(file_path)


class Catalog(Loader):
    """Finds what describes a service, without looking for that of all others first.

    botocore lists the services, some four hundred folders, before it reads anything of one: 8 ms
    for each kind of description.
    """

    FILE_LOADER_CLASS = Descriptions

    def list_available_services(self, type_name: str) -> Any:
        """Returns the services that have a kind of description; they are listed on iteration.

        Args:
            type_name: The kind, such as `service-2`.
        """
        return _Services(self, type_name)


class _Services:
    def __init__(self, loader: Loader, type_name: str) -> None:
        self._loader = loader
        self._type_name = type_name

    def __contains__(self, service: str) -> bool:
        try:
            self._loader.determine_latest_version(service, self._type_name)
        except DataNotFoundError:
            return False
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(_list_services(self._loader, self._type_name))


def read_once() -> None:
    """Has all loaders of this process, from here on, find and read files as these do."""
    replaced: Any = Loader
    replaced.FILE_LOADER_CLASS = Descriptions
    replaced.list_available_services = Catalog.list_available_services


@cache
def _read(path: str) -> Any:
    plain, packed = Path(f"{path}.json"), Path(f"{path}.json.gz")
    if plain.is_file():
        return msgspec.json.decode(plain.read_bytes())
    if packed.is_file():
        return msgspec.json.decode(gzip.decompress(packed.read_bytes()))
    return None
