"""Callbacks get data; a line that is only meant to be read is logged."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import mngen

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(mngen.__file__).parent
# What takes lines as data: a program's output to be parsed, a node's to be kept, the state of an
# emulated instance. `_log` takes what is logged.
TAKE_LINES = {
    "_log.py",
    "_process.py",
    "cli/_log.py",
    "images/_children.py",
    "sandbox/machines/_machines.py",
    "selftest/_here.py",
}


def line_callbacks(source: str) -> Iterator[str]:
    """Parameters and attributes that are functions of a text which return nothing."""
    # To parse a file takes long.
    if "Callable" not in source:
        return
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.arg) and node.annotation:
            name, annotation = node.arg, ast.unparse(node.annotation)
        elif isinstance(node, ast.AnnAssign):
            name, annotation = ast.unparse(node.target), ast.unparse(node.annotation)
        else:
            continue
        if annotation.startswith("Callable[[str], None]"):
            yield name


def test_no_line_is_passed_through_signatures() -> None:
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if any(line_callbacks(path.read_text(encoding="utf-8")))
    }
    assert found == TAKE_LINES


def test_such_callbacks_are_found() -> None:
    source = (
        "def f(a: int, *, say: Callable[[str], None] | None = None): pass\n"
        "class C:\n    report: Callable[[str], None]\n    stage: Callable[[str, str], None]\n"
    )
    assert sorted(line_callbacks(source)) == ["report", "say"]
