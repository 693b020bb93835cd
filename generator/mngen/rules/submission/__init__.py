"""The rules that judge a submission, and why a submitted job waits (MN3xx).

Each is a class in a module of this package, which discovers it.
"""

from mngen.rules._discover import discover
from mngen.rules.submission._request import LARGEST_OVERRIDES
from mngen.rules.submission._rule import SubmissionRule

SUBMISSION_RULES = discover(__name__, SubmissionRule)

__all__ = ["LARGEST_OVERRIDES", "SUBMISSION_RULES", "SubmissionRule"]
