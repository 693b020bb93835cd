"""From a spec's file to a cluster without errors: the one way in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mngen.catalog import load_catalog
from mngen.rules.checks._spec import require
from mngen.spec import load

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from mngen.cluster import Cluster
    from mngen.errors import Problem


def open_cluster(
    file: str | Path,
    *,
    skip: Collection[str] = (),
    warn: Callable[[Problem], None] | None = None,
) -> Cluster:
    """Returns the cluster of a spec's file, with the instance catalog beside it where there is one.

    Args:
        file: The spec, such as `mngen.yaml`.
        skip: Ids of rules to leave out.
        warn: Is called with each warning of the rules, in the order of the file.

    Raises:
        InputError: The spec has errors, or it or its catalog cannot be read; carries all of them.
    """
    path = Path(file)
    return require(load(path), load_catalog(path), skip=skip, warn=warn)
