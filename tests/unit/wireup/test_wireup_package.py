"""The package of the wire-up: plain Python 3.9 with nothing beside it, and quick to import."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING

import pytest

from tests.support.wireup import CONTAINER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PACKAGE = sorted((CONTAINER / "mngen_wireup").glob("*.py"))
PROGRAMS = [
    CONTAINER / name for name in ("wireup.py", "bucket.py", "fetch_inputs.py", "upload_outputs.py")
]


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))


def imports(node: ast.AST) -> Iterator[str]:
    """Yield the modules that are imported at run time, also inside functions."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0
            assert child.module is not None
            yield child.module
        yield from imports(child)


def loaded(code: str) -> set[str]:
    """Return what a fresh Python has imported after some code."""
    path = f"import sys; sys.path.insert(0, {str(CONTAINER)!r})"
    done = subprocess.run(
        [sys.executable, "-IS", "-c", f"{path}; {code}; print(*sys.modules)"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return set(done.stdout.split())


def test_the_package_is_found() -> None:
    names = {path.stem for path in PACKAGE}
    assert {"__init__", "child", "main", "node", "plan"} <= names


@pytest.mark.parametrize("path", [*PACKAGE, *PROGRAMS], ids=lambda path: path.stem)
def test_it_is_python_3_9(path: Path) -> None:
    tree = parse(path)
    # Newer types may stand in annotations alone, which Python 3.9 must not evaluate.
    if any(isinstance(node, ast.FunctionDef) for node in ast.walk(tree)):
        assert "__future__" in imports(tree)


@pytest.mark.parametrize("path", [*PACKAGE, PROGRAMS[0]], ids=lambda path: path.stem)
def test_it_needs_the_standard_library_alone(path: Path) -> None:
    found = {name.partition(".")[0] for name in imports(parse(path))}
    assert found - sys.stdlib_module_names <= {"mngen_wireup"}


def test_no_module_imports_itself_in_a_circle() -> None:
    graph = {
        f"mngen_wireup.{path.stem}": [
            name for name in imports(parse(path)) if name.startswith("mngen_wireup.")
        ]
        for path in PACKAGE
    }
    order = list(TopologicalSorter(graph).static_order())
    assert order.index("mngen_wireup.errors") < order.index("mngen_wireup.start")
    assert set(order) == set(graph)


@pytest.mark.parametrize("path", PACKAGE, ids=lambda path: path.stem)
def test_clock_of_the_day_is_never_read(path: Path) -> None:
    """Nodes whose clocks differ must not notice it."""
    used = {
        node.attr
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in ("time", "datetime")
    }
    assert used <= {"monotonic"}
    assert "datetime" not in imports(parse(path))


@pytest.mark.parametrize("kind", ["main", "child"])
def test_what_takes_long_to_import_is_not_imported(kind: str) -> None:
    found = loaded(f"import mngen_wireup.start, mngen_wireup.{kind}")
    assert f"mngen_wireup.{kind}" in found
    assert found.isdisjoint({"typing", "json", "re", "ctypes", "enum", "collections", "functools"})
    assert found.isdisjoint({"socket", "signal", "selectors", "hmac", "hashlib", "_hashlib"})


def test_a_child_does_not_import_what_the_main_node_needs() -> None:
    found = {name for name in loaded("import mngen_wireup.child") if "mngen_wireup." in name}
    others = {"main", "rendezvous", "launchers", "inputs", "secret"}
    assert found.isdisjoint(f"mngen_wireup.{name}" for name in others)
    assert "mngen_wireup.torchrun" not in found
    assert loaded("import mngen_wireup.main") >= {f"mngen_wireup.{name}" for name in others}
