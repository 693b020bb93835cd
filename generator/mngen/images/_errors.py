"""What can go wrong with one image."""

from __future__ import annotations

from mngen.errors import ToolError


class CapacityError(ToolError):
    """The zone has no capacity for the builder now; another one may."""
