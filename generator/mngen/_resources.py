"""Where mngen's own files are: in the installed package, or in the checkout around it."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

_PACKAGE = Path(__file__).parent


@lru_cache(maxsize=1)
def root() -> Path:
    """Returns the folder that holds `templates/`, `container/`, `playbooks/` and `examples/`."""
    installed = _PACKAGE / "_data"
    return installed if installed.is_dir() else _PACKAGE.parent.parent


def templates() -> Path:
    """Returns the folder of the templates."""
    return root() / "templates"


def container() -> Path:
    """Returns the folder of the container image: the Dockerfile and what it copies."""
    return root() / "container"


def playbooks() -> Path:
    """Returns the folder of the playbooks that make AMIs."""
    return root() / "playbooks"


def examples() -> Path:
    """Returns the folder of the example specs."""
    return root() / "examples"
