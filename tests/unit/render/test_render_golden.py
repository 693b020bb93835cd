"""Rendered specs, byte for byte; `make golden` rewrites what is expected."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from mngen.render import render
from mngen.rules import open_cluster
from tests.support.cli import read_tree
from tests.support.golden import GOLDEN, SPECS

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("provider", [5, 6])
@pytest.mark.parametrize("spec", SPECS, ids=lambda path: path.stem)
def test_golden_tree(spec: Path, provider: int, *, update_golden: bool) -> None:
    rendered = render(open_cluster(spec), provider=provider, source=spec.name)
    tree = {
        path: text.encode()
        for path, text in rendered.items()
        # The rest is copied as it is, see test_render_static.py.
        if path.startswith(("packer/", "terraform/"))
    }
    expected = GOLDEN / spec.stem / f"provider-{provider}"
    if update_golden:
        shutil.rmtree(expected, ignore_errors=True)
        for path, content in tree.items():
            target = expected / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    assert tree == read_tree(expected)


def test_golden_trees_are_of_specs_that_there_are() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == {path.stem for path in SPECS}
