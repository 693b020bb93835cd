"""From the spec's file to the rendered tree, in one call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.catalog import load_catalog
from mngen.render._render import render
from mngen.rules import require
from mngen.spec import load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mngen.errors import Problem
    from mngen.render._render import Tree


def render_file(
    path: Path,
    *,
    provider: int | None = None,
    warn: Callable[[Problem], None] | None = None,
) -> Tree:
    """Renders the tree of a spec's file.

    Args:
        path: The spec.
        provider: Major version of the AWS provider, 5 or 6; None for the spec's own.
        warn: Is called with each warning of the rules.

    Raises:
        InputError: The spec has errors; carries all of them.
    """
    cluster = require(load(path), load_catalog(path), warn=warn)
    return render(cluster, provider=provider, source=path.name)
