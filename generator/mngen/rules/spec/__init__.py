"""The rules that the spec and the instance catalog suffice to judge (MN1xx, MN4xx, MN5xx).

Each is a class in a module of this package, which discovers it.
"""

from mngen.rules._discover import discover
from mngen.rules.spec._rule import SpecRule

SPEC_RULES = discover(__name__, SpecRule)

__all__ = ["SPEC_RULES", "SpecRule"]
