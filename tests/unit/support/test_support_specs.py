"""Specs for tests: few choices have every two options of two features together."""

from __future__ import annotations

import itertools

from tests.support.specs import FEATURES, pairwise


def test_every_two_options_meet() -> None:
    choices = pairwise()
    for one, two in itertools.combinations(FEATURES, 2):
        met = {(choice[one], choice[two]) for choice in choices}
        assert met == set(itertools.product(FEATURES[one], FEATURES[two])), (one, two)
    assert all(choice.keys() == FEATURES.keys() for choice in choices)
