"""Every program that the code starts or looks for is in the table, or part of any system."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

from mngen.parts import PARTS, Program

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[3]
# In these, a program is the first argument, or the first word of a list that is.
STARTERS = {"Popen", "ask", "run", "run_logged", "which", "found_program", "_answer", "_asked"}
# Files without a call of any of these need not be parsed, which takes long.
STARTED = re.compile(rf"\b(?:{'|'.join(STARTERS)})\(")
# What every system has: the shell, coreutils, and what comes with Debian's apt, where that is asked
# for only to find out whether it is there.
EVERYWHERE = {"/bin/sh", "sh", "apt-cache", "apt-config", "apt-get", "systemctl"}


def sources() -> Iterator[Path]:
    for path in sorted((ROOT / "generator" / "mngen").rglob("*.py")):
        # The programs of emulated instances run in those, which are Debian's.
        if "stand_ins" not in path.parent.parts:
            yield path
    yield from sorted((ROOT / "container" / "mngen_wireup").glob("*.py"))


def words(node: ast.expr, constants: dict[str, ast.expr]) -> str | None:
    """Return the program in an argument: a word, or the first of a list."""
    match node:
        case ast.Constant(value=str(word)):
            return word
        case ast.List(elts=[first, *_]) | ast.Tuple(elts=[first, *_]):
            return words(first.value if isinstance(first, ast.Starred) else first, constants)
        case ast.BinOp(left=left):
            return words(left, constants)
        case ast.Name(id=name) if name in constants:
            known = dict(constants)
            return words(known.pop(name), known)
    return None


def programs(path: Path) -> set[str]:
    """Return the names of the programs that a module starts or looks for."""
    source = path.read_text(encoding="utf-8")
    if not STARTED.search(source):
        return set()
    tree = ast.parse(source)
    constants: dict[str, ast.expr] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            constants.setdefault(node.targets[0].id, node.value)
    found = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else ""
        name = function.id if isinstance(function, ast.Name) else name
        # `ask` also asks people.
        if name in STARTERS and (word := words(node.args[0], constants)) and " " not in word:
            found.add(word)
    return found


def test_every_program_is_in_the_table() -> None:
    known = {
        each.name for part in PARTS.values() for each in part.found_by if isinstance(each, Program)
    }
    used = {path.relative_to(ROOT): programs(path) for path in sources()}
    everything = set().union(*used.values())
    # That the search finds what is known to be there: in a list, a constant, a word.
    assert {"nsenter", "setpriv", "unshare", "ssh-keygen", "mpirun", "sshd"} <= everything
    unknown = {
        str(path): sorted(names - known - EVERYWHERE)
        for path, names in used.items()
        if names - known - EVERYWHERE
    }
    assert unknown == {}
