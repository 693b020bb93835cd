"""docs/proof.md cites tests that there are, for each of its promises."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "proof.md").read_text(encoding="utf-8")
CITED = re.compile(r"`(tests/[\w/]+\.py)(?:::([\w:]+))?`")
NAMES = re.compile(r"^\| ([\w ]+?) \|", re.MULTILINE)
ROW = re.compile(r"^\| (?!promise|name|---)(.+?) \| (.+?) \| (.+?) \| (.+?) \|$", re.MULTILINE)


def functions(file: Path) -> set[str]:
    """The tests of a file, those of a class as pytest names them."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    classes = [each for each in tree.body if isinstance(each, ast.ClassDef)]
    return {each.name for each in tree.body if isinstance(each, ast.FunctionDef)} | {
        f"{each.name}::{part.name}"
        for each in classes
        for part in each.body
        if isinstance(part, ast.FunctionDef)
    }


def fault_in(file: str, name: str) -> str | None:
    """What is wrong with a citation."""
    if not (ROOT / file).is_file():
        return f"there is no {file}"
    if name and name not in functions(ROOT / file):
        return f"{file} has no {name}"
    return None


@pytest.mark.parametrize(
    ("file", "name"), sorted(set(CITED.findall(PAGE))), ids=lambda part: part or "file"
)
def test_every_test_that_is_cited_exists(file: str, name: str) -> None:
    assert fault_in(file, name) is None


def test_nothing_that_is_cited_goes_unread() -> None:
    assert len(CITED.findall(PAGE)) == PAGE.count("`tests/")


def test_every_promise_cites_a_test_and_says_what_it_ran_on() -> None:
    what, _, promises = PAGE.partition("## Rendering and applying")
    names = set(NAMES.findall(what)) - {"name"}
    assert {"rule", "emulator", "booted AMI", "nodes"} <= names
    rows = ROW.findall(promises)
    assert len(rows) > 35
    assert [promise for promise, tests, *_ in rows if not CITED.search(tests)] == []
    ran_on = "|".join(sorted(names, key=len, reverse=True))
    assert [row for row in rows if not re.match(rf"(?:{ran_on})\b", row[2])] == []


def test_a_wrong_citation_would_be_found() -> None:
    assert fault_in("tests/e2e/test_nothing.py", "") == "there is no tests/e2e/test_nothing.py"
    here = "tests/unit/docs/test_docs_proof.py"
    assert fault_in(here, "test_nothing") == f"{here} has no test_nothing"
    assert fault_in(here, "TestNothing::test_nothing")
    assert CITED.findall("`tests/a.py::TestB::test_c`") == [("tests/a.py", "TestB::test_c")]
