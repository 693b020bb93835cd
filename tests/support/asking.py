"""Which files of tests ask for some fixture, by their text: to import them all takes longer.

A parameter of a test has an annotation: `sandbox: Sandbox`. Other ways have the name in quotes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

_FIXTURE = re.compile(r"^@pytest\.fixture\b.*?^def (\w+)\((.*?)\) ->", re.DOTALL | re.MULTILINE)


def asks(text: str, names: AbstractSet[str]) -> bool:
    """Return whether a text may ask for one of some fixtures.

    Args:
        text: That of a file, or the parameters of a function.
        names: Those of the fixtures.
    """
    alternatives = "|".join(sorted(names))
    return bool(re.search(rf"\b(?:{alternatives}): |[\"'](?:{alternatives})[\"']", text))


def with_askers(text: str, names: AbstractSet[str]) -> frozenset[str]:
    """Return names of fixtures with those of all fixtures that ask for one of them.

    Args:
        text: That of a file with fixtures.
        names: Names of fixtures.
    """
    known = frozenset(names)
    found = {name for name, parameters in _FIXTURE.findall(text) if asks(parameters, known)}
    return known if found <= known else with_askers(text, known | found)
