"""The specs whose rendered trees are kept in tests/golden: all examples, and more of the tests."""

from __future__ import annotations

from pathlib import Path

from mngen import _resources

_TESTS = Path(__file__).resolve().parents[1]

GOLDEN = _TESTS / "golden"
SPECS = sorted([*_resources.examples().glob("*.yaml"), *(_TESTS / "specs").glob("*.yaml")])
