"""Every rule's own examples: the failing one fails there, by that rule alone; the other passes."""

from __future__ import annotations

import re

import pytest

from mngen.catalog import load_catalog
from mngen.rules import RULES, SPEC_RULES, SpecRule, check
from mngen.rules.spec._examples import load_example, read_example

by_id = pytest.mark.parametrize("rule", SPEC_RULES, ids=lambda rule: rule.id)


@by_id
def test_failing_example_fails_by_this_rule_alone(rule: type[SpecRule]) -> None:
    example = read_example(rule, rule.failing)
    loaded = load_example(rule, rule.failing)
    assert loaded.problems == ()

    problems = check(loaded, load_catalog(), skip=rule.besides)

    assert {problem.rule for problem in problems} == {rule.id}
    assert problems[0].severity is rule.severity
    assert problems[0].position == example.position


@by_id
def test_passing_example_passes(rule: type[SpecRule]) -> None:
    loaded = load_example(rule, rule.passing)
    assert loaded.problems == ()

    problems = check(loaded, load_catalog(), skip=rule.besides)

    assert problems == []


@by_id
def test_skipped_rule_finds_nothing(rule: type[SpecRule]) -> None:
    loaded = load_example(rule, rule.failing)

    problems = check(loaded, load_catalog(), skip={rule.id})

    assert rule.id not in {problem.rule for problem in problems}


def test_ids_are_unique_and_in_order() -> None:
    ids = [rule.id for rule in RULES]
    assert ids == sorted(set(ids))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_every_rule_explains_itself(rule: type[SpecRule]) -> None:
    assert re.fullmatch(r"MN[12345]\d\d", rule.id)
    assert re.fullmatch(r"https://[a-z.-]+/\S+", rule.source_url)
    assert rule.manual_test.startswith("aws ")
    assert rule.title
    assert not rule.title.endswith(".")
    assert rule.why.endswith(".")
    assert rule.remedy
    assert not rule.remedy.endswith(".")
