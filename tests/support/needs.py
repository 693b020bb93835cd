"""Skips: what a test needs, asked of the same table as everything else."""

from __future__ import annotations

import pytest

from mngen.parts import PARTS, missing


def lacking(*names: str) -> str | None:
    """Return which of these needs and parts are missing here, or None.

    Args:
        names: Needs and parts, see `mngen.parts`.
    """
    found = missing(*names)
    if not found:
        return None
    told = [
        f"{PARTS[name].title} ({finding.trouble})" if finding.trouble else PARTS[name].title
        for name, finding in found.items()
    ]
    return f"missing: {', '.join(told)}"


def skip_without(*names: str) -> None:
    """Skip the test where one of these needs and parts is missing."""
    if reason := lacking(*names):
        pytest.skip(reason)
