"""The page for those who come from ParallelCluster leaves none of its commands and settings out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mngen.adoption._cluster import _UNSAYABLE

PAGE = Path(__file__).resolve().parents[3] / "docs" / "parallelcluster.md"
OPTIONS = {
    "awsbsub": "-jn -c -cf -w -pw -if -p -m -e -eb -r -t -n -a -d",
    "awsbstat": "-s -e -d",
    "awsbout": "-hd -t -s",
    "awsbkill": "-r",
    "awsbqueues": "",
    "awsbhosts": "",
}
"""Commands and options of ParallelCluster's command line, except what only changes the display.

Source: `_get_parser` of awsbatch-cli/src/awsbatch/*.py in
https://github.com/aws/aws-parallelcluster at 15872fb1daa74a5932bdf5a1ea032fa1239cdbef (awsbsub,
awsbout), 14a24ffecab456d67740758a8e49f88173ea71c1 (awsbstat) and
ff0a17101e96a5920da228d1fe7fffb320a048c6 (awsbkill).
"""


def rows() -> list[tuple[str, str]]:
    text = PAGE.read_text(encoding="utf-8").partition("## Commands")[2].partition("\n## ")[0]
    cells = [line.split("|")[1:3] for line in text.splitlines() if line.startswith("| `")]
    return [(theirs, ours.strip()) for theirs, ours in cells]


@pytest.mark.parametrize("command", OPTIONS)
def test_each_option_of_its_commands_has_an_answer(command: str) -> None:
    mine = [(theirs, ours) for theirs, ours in rows() if f"`{command}" in theirs]
    assert mine
    named: set[str] = set()
    for theirs, ours in mine:
        named |= set(re.findall(r"(?<=[ `])-[a-z]+\b", theirs))
        assert ours.startswith(("`mngen ", "none: ")), (theirs, ours)
    assert named == set(OPTIONS[command].split())


def test_what_the_import_refuses_is_on_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert [key for key in _UNSAYABLE if f"`{key}`" not in text] == []


def test_the_data_comes_before_all_else() -> None:
    text = PAGE.read_text(encoding="utf-8")
    first = text.index("DeletionPolicy: Retain")
    assert text.index("pcluster update-cluster") < text.index("mngen import --from-pcluster")
    assert first < text.index("mngen import --from-pcluster")
