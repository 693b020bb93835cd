"""The digest of the playbooks: what in them decides what is in an AMI."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from mngen.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

_NOT_PLAYED = ("README.md", ".ansible-lint")
"""Files at the top that Ansible does not read."""

_COPIED = {"files", "templates"}
"""Folders of a role whose files are installed as they are, comments included."""


def playbooks_digest(folder: Path) -> str:
    """Returns the SHA-256 of a folder of playbooks: of all files that are played, with their paths.

    Of a playbook, what YAML makes of it counts, so comments and blank lines do not; of a file that
    is copied to the instance, every byte.

    Raises:
        InputError: There is no playbook in it.
    """
    digest = hashlib.sha256()
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if not (folder / "image.yml").is_file():
        raise InputError(f"there are no playbooks in {folder}", hint="run mngen render")
    for path in files:
        name = path.relative_to(folder).as_posix()
        if name in _NOT_PLAYED:
            continue
        content = path.read_bytes()
        if path.suffix in (".yml", ".yaml") and not _COPIED.intersection(name.split("/")):
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
