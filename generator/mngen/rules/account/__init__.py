"""The rules that ask AWS about the account (MN2xx).

Each is a class in a module of this package, which discovers it.
"""

from mngen.rules._discover import discover
from mngen.rules.account._rule import AwsRule

AWS_RULES = discover(__name__, AwsRule)

__all__ = ["AWS_RULES", "AwsRule"]
