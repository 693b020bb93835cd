"""Rules about what a deployment shows of itself: the output of its jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.rules._rule import Match
from mngen.rules.spec._rule import SpecRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.rules.spec._subject import Subject


class RetentionOfOwnGroup(SpecRule):
    id = "MN520"
    title = "`logs.retention` excludes `logs.group`"
    why = (
        "CloudWatch Logs deletes output by the retention of its log group. mngen does not change a "
        "log group that exists, since other output may be kept in it."
    )
    remedy = "remove `retention`, and change the group itself: `aws logs put-retention-policy`"
    source_url = (
        "https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/"
        "API_PutRetentionPolicy.html"
    )
    manual_test = (
        "aws logs describe-log-groups --query 'logGroups[].[logGroupName,retentionInDays]'"
    )
    failing = """\
logs:
  group: /aws/batch/job
  retention: 30  #! 30
"""
    passing = """\
logs:
  retention: 30
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        logs = subject.spec.logs
        if logs.group is not None and logs.retention is not None:
            yield Match(
                ("logs", "retention"),
                f"the log group `{logs.group}` exists, and keeps output by its own setting",
            )
