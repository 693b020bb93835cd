"""The rules: everything that can be known to be wrong before money is spent.

One class a rule (`SpecRule`: from the spec and the instance catalog; `AwsRule`: AWS is asked;
`SubmissionRule`: a job that is about to be submitted), which carries its own reason, remedy and
source; the pages in docs/rules are made of them. `open_cluster` gives the cluster of a spec without
errors, `require` that of one already loaded; `check` returns every problem; `check_aws` asks AWS;
`check_submission` judges a submission.

    >>> from mngen.catalog import load_catalog
    >>> from mngen.rules import check
    >>> from mngen.spec import load_text
    >>> problems = check(load_text(b"name: demo"), load_catalog())
    >>> problems[0].message
    'the spec lacks the key `region`'
"""

from typing import TYPE_CHECKING

from mngen._later import later
from mngen.rules._rule import Match, Rule
from mngen.rules.checks._judge import at_level
from mngen.rules.checks._spec import check, require
from mngen.rules.spec import SPEC_RULES, SpecRule

if TYPE_CHECKING:
    from mngen.rules._all import RULES
    from mngen.rules._open import open_cluster
    from mngen.rules._pages import page_of, pages, write_pages
    from mngen.rules._sarif import to_sarif
    from mngen.rules.account import AWS_RULES, AwsRule
    from mngen.rules.checks._account import Answers, aws_calls, check_aws
    from mngen.rules.checks._report import Report, check_file
    from mngen.rules.checks._submission import (
        Obstacle,
        check_submission,
        check_waiting,
        submission_calls,
    )
    from mngen.rules.submission import LARGEST_OVERRIDES, SUBMISSION_RULES, SubmissionRule

__all__ = [
    "AWS_RULES",
    "LARGEST_OVERRIDES",
    "RULES",
    "SPEC_RULES",
    "SUBMISSION_RULES",
    "Answers",
    "AwsRule",
    "Match",
    "Obstacle",
    "Report",
    "Rule",
    "SpecRule",
    "SubmissionRule",
    "at_level",
    "aws_calls",
    "check",
    "check_aws",
    "check_file",
    "check_submission",
    "check_waiting",
    "open_cluster",
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
        "AWS_RULES": "account",
        "Answers": "checks._account",
        "AwsRule": "account",
        "LARGEST_OVERRIDES": "submission",
        "Obstacle": "checks._submission",
        "RULES": "_all",
        "Report": "checks._report",
        "SUBMISSION_RULES": "submission",
        "SubmissionRule": "submission",
        "aws_calls": "checks._account",
        "check_aws": "checks._account",
        "check_file": "checks._report",
        "check_submission": "checks._submission",
        "check_waiting": "checks._submission",
        "open_cluster": "_open",
        "page_of": "_pages",
        "pages": "_pages",
        "submission_calls": "checks._submission",
        "to_sarif": "_sarif",
        "write_pages": "_pages",
    },
)
