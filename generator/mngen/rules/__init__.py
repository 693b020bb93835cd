"""The rules: everything that can be known to be wrong before money is spent.

One class a rule (`SpecRule`: from the spec and the instance catalog; `AwsRule`: AWS is asked;
`SubmissionRule`: a job that is about to be submitted), which carries its own reason, remedy and
source; the pages in docs/rules are made of them. `check` returns every problem; `require` gives the
cluster of a spec without errors; `check_aws` asks AWS; `check_submission` judges a submission.

    >>> from mngen.catalog import load_catalog
    >>> from mngen.rules import check
    >>> from mngen.spec import load_text
    >>> problems = check(load_text(b"name: demo"), load_catalog())
    >>> problems[0].message
    'the spec lacks the key `region`'
"""

from typing import TYPE_CHECKING

from mngen._later import later
from mngen.rules._check import at_level, check, require
from mngen.rules._registry import SPEC_RULES
from mngen.rules._rule import Match, Rule, SpecRule

if TYPE_CHECKING:
    from mngen.rules._aws_check import Answers, aws_calls, check_aws
    from mngen.rules._aws_registry import AWS_RULES, RULES, SUBMISSION_RULES
    from mngen.rules._aws_rule import Account, AwsRule
    from mngen.rules._pages import page_of, pages, write_pages
    from mngen.rules._report import Report, check_file
    from mngen.rules._sarif import to_sarif
    from mngen.rules._submission import Intent, SubmissionRule, Target, container_of
    from mngen.rules._submission_account import (
        differences_of,
        environment_wanted,
        image_wanted,
    )
    from mngen.rules._submission_check import (
        check_submission,
        check_waiting,
        submission_calls,
    )

__all__ = [
    "AWS_RULES",
    "RULES",
    "SPEC_RULES",
    "SUBMISSION_RULES",
    "Account",
    "Answers",
    "AwsRule",
    "Intent",
    "Match",
    "Report",
    "Rule",
    "SpecRule",
    "SubmissionRule",
    "Target",
    "at_level",
    "aws_calls",
    "check",
    "check_aws",
    "check_file",
    "check_submission",
    "check_waiting",
    "container_of",
    "differences_of",
    "environment_wanted",
    "image_wanted",
    "page_of",
    "pages",
    "require",
    "submission_calls",
    "to_sarif",
    "write_pages",
]
# What `render` does without.
__getattr__ = later(
    __name__,
    {
        "AWS_RULES": "_aws_registry",
        "Intent": "_submission",
        "RULES": "_aws_registry",
        "SUBMISSION_RULES": "_aws_registry",
        "SubmissionRule": "_submission",
        "Target": "_submission",
        "Account": "_aws_rule",
        "Answers": "_aws_check",
        "AwsRule": "_aws_rule",
        "Report": "_report",
        "aws_calls": "_aws_check",
        "check_aws": "_aws_check",
        "check_file": "_report",
        "check_submission": "_submission_check",
        "check_waiting": "_submission_check",
        "container_of": "_submission",
        "differences_of": "_submission_account",
        "environment_wanted": "_submission_account",
        "image_wanted": "_submission_account",
        "page_of": "_pages",
        "pages": "_pages",
        "submission_calls": "_submission_check",
        "to_sarif": "_sarif",
        "write_pages": "_pages",
    },
)
