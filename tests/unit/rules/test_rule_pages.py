"""The pages in docs/rules are those of the rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from mngen.errors import InputError
from mngen.rules import RULES, page_of, pages, write_pages

DOCS = Path(__file__).resolve().parents[3] / "docs" / "rules"


def test_committed_pages_are_up_to_date() -> None:
    committed = {path.name: path.read_text(encoding="utf-8") for path in DOCS.glob("*.md")}
    assert committed == pages(), "run `mngen rules --out docs/rules`"


def test_writing_again_changes_nothing_and_removes_stale_pages(tmp_path: Path) -> None:
    folder = tmp_path / "rules"
    assert len(write_pages(folder)) == len(RULES) + 1
    assert write_pages(folder) == []

    (folder / "MN999.md").write_text("gone", encoding="utf-8")
    (folder / "notes.md").write_text("mine", encoding="utf-8")

    assert write_pages(folder) == ["MN999.md"]
    assert (folder / "notes.md").read_text(encoding="utf-8") == "mine"


def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write"):
        write_pages(tmp_path / "file" / "rules")


def test_page_shows_what_a_user_sees() -> None:
    page = page_of("MN101")
    assert "error[MN101]: there is no EC2 instance type `r5.12xlrge`" in page
    assert "  --> mngen.yaml:3:15 (environments.r5.instance)" in page
    assert "#!" not in page


def test_page_of_unknown_rule_names_the_nearest() -> None:
    with pytest.raises(InputError) as refused:
        page_of("mn101")
    assert str(refused.value.problems[0].hint).startswith("did you mean `MN101`")
