"""The rules: everything that can be known to be wrong before money is spent.

One class a rule (`SpecRule`: from the spec and the instance catalog; `AwsRule`: AWS is asked),
which carries its own reason, remedy, source and examples; the pages in docs/rules are made of
them. `check` returns every problem; `require` gives the cluster of a spec without errors;
`check_aws` asks AWS.

    >>> from mngen.catalog import load_catalog
    >>> from mngen.rules import check
    >>> from mngen.spec import load_text
    >>> problems = check(load_text(b"name: demo"), load_catalog())
    >>> problems[0].message
    'the spec lacks the key `region`'
"""

from mngen.rules._check import at_level, check, require
from mngen.rules._registry import RULES, SPEC_RULES
from mngen.rules._rule import Match, Rule, SpecRule

__all__ = [
    "RULES",
    "SPEC_RULES",
    "Match",
    "Rule",
    "SpecRule",
    "at_level",
    "check",
    "require",
]
