"""The digest of the playbooks: what in them decides what is in an AMI."""

from __future__ import annotations

import hashlib
from types import MappingProxyType
from typing import TYPE_CHECKING

from mngen.cluster import PRELOAD_FILES
from mngen.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_NOT_PLAYED = ("README.md", ".ansible-lint")
"""Files at the top that Ansible does not read."""

_COPIED = {"files", "templates"}
"""Folders of a role whose files are installed as they are, comments included."""


def playbooks_digest(
    folder: Path, own: Mapping[str, str] = MappingProxyType({}), *, preload: bool = False
) -> str:
    """Returns the SHA-256 of a folder of playbooks: of all files that are played, with their paths.

    Of a playbook, what YAML makes of it counts, so comments and blank lines do not; of a file that
    is copied to the instance, every byte.

    Args:
        folder: The folder.
        own: The text of further files, by their paths in the folder.
        preload: Whether those count that put container images into an AMI.

    Raises:
        InputError: There is no playbook in it.
    """
    digest = hashlib.sha256()
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    files |= {name: text.encode() for name, text in own.items()}
    if not (folder / "image.yml").is_file():
        raise InputError(f"there are no playbooks in {folder}", hint="run mngen render")
    for name in sorted(files, key=lambda name: name.split("/")):
        if name in _NOT_PLAYED or (name.startswith(PRELOAD_FILES) and not preload):
            continue
        content = files[name]
        if name.endswith((".yml", ".yaml")) and not _COPIED.intersection(name.split("/")):
            content = _played(content)
        digest.update(f"{len(name)} {name} {len(content)} ".encode() + content)
    return digest.hexdigest()


def _played(content: bytes) -> bytes:
    """Returns the content of a playbook's YAML, without comments and layout.

    Events, not values, are compared: they keep the order of keys, tags of Ansible's own, and
    whether a scalar was quoted.
    """
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return "\n".join(_said(event) for event in yaml.parse(content, loader)).encode()
    except yaml.YAMLError:
        return content


def _said(event: object) -> str:
    parts = ("anchor", "tag", "implicit", "value")
    return repr((type(event).__name__, *(getattr(event, part, None) for part in parts)))
