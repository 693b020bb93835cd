"""Reads the descriptions of AWS's services that botocore comes with, in a third of its time."""

from __future__ import annotations

import gzip
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from botocore.loaders import JSONFileLoader, Loader


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


def read_once() -> None:
    """Has all that loads descriptions from here on in this process read each file once."""
    Loader.FILE_LOADER_CLASS = Descriptions


@cache
def _read(path: str) -> Any:
    plain, packed = Path(f"{path}.json"), Path(f"{path}.json.gz")
    if plain.is_file():
        return msgspec.json.decode(plain.read_bytes())
    if packed.is_file():
        return msgspec.json.decode(gzip.decompress(packed.read_bytes()))
    return None
