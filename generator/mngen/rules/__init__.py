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

from mngen.rules._aws_check import Answers, aws_calls, check_aws
from mngen.rules._aws_rule import Account, AwsRule
from mngen.rules._check import at_level, check, require
from mngen.rules._pages import page_of, pages, write_pages
from mngen.rules._registry import AWS_RULES, RULES, SPEC_RULES
from mngen.rules._report import Report, check_file
from mngen.rules._rule import Match, Rule, SpecRule
from mngen.rules._sarif import to_sarif

__all__ = [
    "AWS_RULES",
    "RULES",
    "SPEC_RULES",
    "Account",
    "Answers",
    "AwsRule",
    "Match",
    "Report",
    "Rule",
    "SpecRule",
    "at_level",
    "aws_calls",
    "check",
    "check_aws",
    "check_file",
    "page_of",
    "pages",
    "require",
    "to_sarif",
    "write_pages",
]
