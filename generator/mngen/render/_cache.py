"""Keeps compiled templates between runs, as Python keeps compiled modules.

Compiling the templates takes as long as all else that rendering does. The result lives in a
separate folder in the user's cache; bytecode can do anything, so only one that is closed to all
other users is trusted. The folder above may be open for reading: not only mngen makes it. Whatever
is wrong with it, the templates are compiled again, without a message.

A template has one file, whichever installation of mngen it belongs to: two that differ replace each
other's. What templates of older versions left is removed, the oldest first.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2.compiler
from jinja2 import BytecodeCache

from mngen import __version__
from mngen._files import (
    cache_home,
    is_private,
    is_protected,
    make_private,
    write_atomically,
)
from mngen.render import _hcl

if TYPE_CHECKING:
    from jinja2.bccache import Bucket


MOST_FILES = 96
"""How many compiled templates are kept at most; there must not be more templates than this."""


class TemplateCache(BytecodeCache):
    """Compiled templates in a folder, one file each.

    Args:
        folder: The folder; it exists and is the user's alone.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._compiler = _compiler()

    def get_cache_key(self, name: str, filename: str | None = None) -> str:
        """Returns the file's name, the same for a template wherever it lies."""
        return super().get_cache_key(name, None if filename is None else Path(filename).name)

    def get_source_checksum(self, source: str) -> str:
        """Returns a checksum of all that the compiled template follows from."""
        return super().get_source_checksum(f"{self._compiler}\n{source}")

    def load_bytecode(self, bucket: Bucket) -> None:
        """Loads a compiled template, where there is one that is still right."""
        try:
            digest, code = _parted((self._folder / bucket.key).read_bytes())
        except OSError:
            return
        if digest == _digest(code):
            bucket.bytecode_from_string(code)

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Writes a compiled template, whole or not at all."""
        code = bucket.bytecode_to_string()
        with suppress(OSError):
            write_atomically(self._folder / bucket.key, _digest(code) + code, durable=False)
            self._forget_old()

    def _forget_old(self) -> None:
        """Removes what is too much, files of killed processes as well."""
        files = [path for path in self._folder.iterdir() if path.is_file()]
        files.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
        for path in files[MOST_FILES:]:
            path.unlink(missing_ok=True)


def template_cache() -> TemplateCache | None:
    """Returns the user's cache, or None where there is no folder that can be trusted."""
    try:
        folder = cache_home() / "templates"
        make_private(folder)
    except (OSError, RuntimeError):
        return None
    trusted = is_private(folder) and is_protected(folder.parent)
    return TemplateCache(folder) if trusted else None


def _compiler() -> str:
    """Names what compiles: Jinja and our encoding of constants, by file as Python does."""
    files = [Path(module) for module in (jinja2.compiler.__file__, _hcl.__file__)]
    stamps = [(str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in files]
    return repr((__version__, stamps))


def _digest(code: bytes) -> bytes:
    """Returns the checksum that shows whether a file is whole."""
    return hashlib.sha256(code).digest()


def _parted(content: bytes) -> tuple[bytes, bytes]:
    size = hashlib.sha256().digest_size
    return content[:size], content[size:]
