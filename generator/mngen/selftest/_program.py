"""The program of the nodes, as a command.

It is put into the command itself. The shared file system or the bucket may be what is broken, and
an image that was pushed before has no such program: neither can be how it gets there. ECS takes
8192 characters of overrides, so what the interpreter does not need is left out, and the rest is
compressed.
"""

from __future__ import annotations

import ast
import base64
import re
import zlib
from functools import lru_cache
from pathlib import Path

_LOADER = "import base64,zlib;exec(zlib.decompress(base64.b64decode('{}')))"
PREFIX = "mngen-selftest "
"""What each line of the program begins with."""


def command(mount: str, seconds: float, limit: int, lustre: str = "") -> tuple[str, ...]:
    """Returns the job's command.

    Args:
        mount: Where the shared file system should be.
        seconds: How long each measurement may take.
        limit: Seconds after which a rank that hangs ends itself.
        lustre: Where FSx for Lustre should be; empty for none.
    """
    mounts = f"{mount}:{lustre}" if lustre else mount
    return ("python3", "-c", _LOADER.format(_packed()), mounts, f"{seconds:g}", str(limit))


@lru_cache(maxsize=1)
def _packed() -> str:
    source = Path(__file__).with_name("_on_nodes.py").read_text("utf-8")
    return base64.b64encode(zlib.compress(bare(source).encode(), 9)).decode()


def bare(source: str) -> str:
    """Returns a program without comments, docstrings and annotations, indented by single spaces."""
    tree = _Barer().visit(ast.parse(source))
    return _narrow(ast.unparse(ast.fix_missing_locations(tree)))


def _narrow(source: str) -> str:
    return re.sub(
        "^(?: {4})+", lambda found: " " * (len(found[0]) // 4), source, flags=re.MULTILINE
    )


class _Barer(ast.NodeTransformer):
    def visit_Module(self, node: ast.Module) -> ast.AST:
        node.body = _without_docstring(node.body)
        return self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.body = _without_docstring(node.body) or [ast.Pass()]
        node.returns = None
        return self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.body = _without_docstring(node.body) or [ast.Pass()]
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        if node.value is None:
            return None
        return self.generic_visit(ast.Assign([node.target], node.value))


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    match body[:1]:
        case [ast.Expr(value=ast.Constant(value=str()))]:
            return body[1:]
    return body
