"""The choice between the engines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from mngen.images._packer import PackerEngine, find_packer

if TYPE_CHECKING:
    from mngen.images._job import Engine


def choose_engine(name: Literal["packer", "direct"] | None = None) -> Engine:
    """Returns an engine: the one named, or Packer where it is on PATH, or the direct one.

    Raises:
        ToolError: Packer is asked for and not there, or is another program of that name.
    """
    if name == "packer" or (name is None and find_packer()):
        return PackerEngine()
    from mngen.images._direct import DirectEngine

    return DirectEngine()
