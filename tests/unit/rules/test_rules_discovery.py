"""Rules are found in their packages, whoever adds one."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from mngen.errors import Severity
from mngen.rules import AWS_RULES, SPEC_RULES, SUBMISSION_RULES, SpecRule
from mngen.rules._discover import discover
from mngen.rules._rule import Waiting

ROOT = Path(__file__).parents[3]
RULE = """
from mngen.rules import SpecRule

class Shared(SpecRule):
    besides = ()

class {name}(Shared):
    id = "{id}"
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "some_rules"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "_late.py").write_text(RULE.format(name="Late", id="MN902"))
    (folder / "_early.py").write_text("from some_rules._late import Late\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("some_rules", "some_rules._late", "some_rules._early", "some_rules._more"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return folder


def test_a_new_module_is_found_and_an_import_is_no_second_rule(package: Path) -> None:
    (package / "_more.py").write_text(RULE.format(name="More", id="MN901"))
    assert [rule.id for rule in discover("some_rules", SpecRule)] == ["MN901", "MN902"]


@pytest.mark.usefixtures("package")
def test_an_id_is_not_used_twice(package: Path) -> None:
    (package / "_more.py").write_text(RULE.format(name="More", id="MN902"))
    with pytest.raises(ValueError, match=r"MN902: .* have the same id"):
        discover("some_rules", SpecRule)


def test_each_kind_has_its_numbers() -> None:
    for rules, first in (
        (SPEC_RULES, ("MN1", "MN4", "MN5")),
        (AWS_RULES, "MN2"),
        (SUBMISSION_RULES, "MN3"),
    ):
        assert [rule.id for rule in rules if not rule.id.startswith(first)] == []
        assert rules


def test_every_page_is_a_rule_and_every_rule_has_its_page() -> None:
    pages = {path.stem for path in (ROOT / "docs" / "rules").glob("MN*.md")}
    assert {rule.id for rule in (*SPEC_RULES, *AWS_RULES, *SUBMISSION_RULES)} == pages


def test_every_title_states_a_requirement() -> None:
    """What must hold where a rule is an error, and should where it warns."""
    strict = r"\b(must|requires?|required|reserved|excludes)\b"
    for rule in (*SPEC_RULES, *AWS_RULES, *SUBMISSION_RULES):
        error = rule.severity is Severity.ERROR
        assert re.search(strict if error else rf"\bshould\b|{strict}", rule.title), rule.id
        assert error or "must" not in rule.title, rule.id


@pytest.mark.parametrize("rule", SUBMISSION_RULES, ids=lambda rule: rule.id)
def test_every_rule_of_a_submission_says_what_it_means_for_a_job_that_waits(rule: type) -> None:
    assert isinstance(vars(rule).get("waiting"), Waiting)
