"""Rules about what a deployment shows of itself: output of jobs, messages, costs, a dashboard."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from mngen.cluster import names, queue_name
from mngen.rules._rule import Match
from mngen.rules.spec._rule import SpecRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.rules.spec._subject import Subject
    from mngen.spec import Spec

_TARGETS = "https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-targets.html"
_LONGEST_PATTERN = 2048
"""Characters of a pattern of EventBridge, unless the account's quota was raised.

Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html
"""

_MOST_METRICS = 2500
_MOST_OF_GRAPH = 500
# Lines in `modules/dashboard`, math expressions among them: AWS documents no exception for them.
_OF_QUEUE = 20
_OF_ENVIRONMENT = 4
_OF_THE_REST = 21


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


class NotifySomeone(SpecRule):
    id = "MN521"
    title = "`notify` requires an address"
    why = "A topic of Amazon SNS without subscriptions drops all messages."
    remedy = "write `emails`, `webhooks` or `topic`"
    source_url = (
        "https://docs.aws.amazon.com/sns/latest/dg/sns-create-subscribe-endpoint-to-topic.html"
    )
    manual_test = "aws sns list-subscriptions-by-topic --topic-arn ARN"
    failing = """\
notify:
  events: [failed]  #! [
"""
    passing = """\
notify:
  events: [failed]
  emails: [lab@example.org]
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        notify = subject.spec.notify
        if notify is None or not subject.sound("notify"):
            return
        if not (notify.emails or notify.webhooks or notify.topic):
            yield Match(("notify", "events"), "no one gets these messages")


class TopicAlone(SpecRule):
    id = "MN522"
    title = "`notify.topic` excludes `emails`, `webhooks` and `kms_key`"
    why = (
        "A topic that exists has subscriptions, a policy and perhaps a key that others manage. "
        "mngen only sends messages to it."
    )
    remedy = "remove it, and subscribe the address to the topic: `aws sns subscribe`"
    source_url = "https://docs.aws.amazon.com/sns/latest/api/API_Subscribe.html"
    manual_test = "aws sns get-topic-attributes --topic-arn ARN"
    failing = """\
notify:
  topic: arn:aws:sns:us-east-1:123456789012:lab
  emails: [lab@example.org]  #! [
"""
    passing = """\
notify:
  topic: arn:aws:sns:us-east-1:123456789012:lab
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        notify = subject.spec.notify
        if notify is None or notify.topic is None:
            return
        for key in ("emails", "webhooks", "kms_key"):
            if getattr(notify, key):
                yield Match(("notify", key), "the topic is not managed by this deployment")


class NotifyInRegion(SpecRule):
    id = "MN523"
    title = "The topic and the key of `notify` must be in the region"
    why = (
        "EventBridge sends events to targets in the region of the rule, and Amazon SNS uses keys "
        "of the region of the topic."
    )
    remedy = "name one of the region of the deployment"
    source_url = "https://repost.aws/knowledge-center/sns-not-getting-eventbridge-notification"
    manual_test = "aws sns list-topics"
    failing = """\
name: seismic
region: us-east-1
notify:
  topic: arn:aws:sns:eu-west-1:123456789012:lab  #! arn
"""
    passing = """\
name: seismic
region: us-east-1
notify:
  topic: arn:aws:sns:us-east-1:123456789012:lab
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        notify = subject.spec.notify
        if notify is None or not subject.sound("region"):
            return
        region = subject.spec.region
        here = [names.partition_of(region), region]
        for key, arn in (("topic", notify.topic), ("kms_key", notify.kms_key)):
            if arn is None:
                continue
            _, partition, _, given, *_ = arn.split(":")
            if [partition, given] != here:
                yield Match(
                    ("notify", key),
                    f"the ARN is of {given} ({partition}), the deployment of {region}",
                )


class PatternFits(SpecRule):
    id = "MN524"
    title = "The queues of `notify` must fit into a pattern of EventBridge"
    why = (
        "EventBridge takes patterns of up to 2,048 characters, and the pattern names each queue of "
        "the deployment by its ARN, so that no one gets messages about the queues of others."
    )
    remedy = (
        "shorten the names of queues, split the deployment, or skip this rule if the account's "
        "quota for the size of event patterns was raised to 4,096"
    )
    source_url = "https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html"
    manual_test = "aws service-quotas list-service-quotas --service-code events"
    failing = """\
region: us-east-1
environments:
  r5: {instance: r5.12xlarge, max_nodes: 4}
notify:  #! notify
  emails: [lab@example.org]
queues:
""" + "".join(
        f"  queue-number-{number:02}-of-this-laboratory: {{environments: [r5]}}\n"
        for number in range(25)
    )
    passing = """\
region: us-east-1
environments:
  r5: {instance: r5.12xlarge, max_nodes: 4}
notify:
  emails: [lab@example.org]
queues:
  one: {environments: [r5]}
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        if subject.spec.notify is None or not subject.sound("region"):
            return
        length = len(json.dumps(pattern(subject.spec), separators=(",", ":")))
        if length > _LONGEST_PATTERN:
            yield Match(
                ("notify",),
                f"the pattern with {len(subject.spec.queues)} queues has {length} characters",
                key=True,
            )


def pattern(spec: Spec) -> dict[str, object]:
    """Returns the longest pattern that `modules/notify` makes of a spec, for any account."""
    place = f"arn:{names.partition_of(spec.region)}:batch:{spec.region}:{'0' * 12}:job-queue"
    return {
        "source": ["aws.batch"],
        "detail-type": ["Batch Job State Change"],
        "detail": {
            "jobQueue": [f"{place}/{queue_name(spec, each)}" for each in spec.queues],
            "status": ["FAILED", "SUCCEEDED"],
            "jobId": [{"anything-but": {"wildcard": ["*#*", "*:*"]}}],
        },
    }


class BudgetOffered(SpecRule):
    id = "MN525"
    title = "`budget` requires a region whose partition has AWS Budgets"
    why = (
        "AWS Budgets has no endpoint in AWS GovCloud (US): the costs are billed to the standard "
        "account that the GovCloud account is linked to."
    )
    remedy = "remove `budget`, and create the budget in the standard account"
    source_url = "https://docs.aws.amazon.com/govcloud-us/latest/UserGuide/govcloud-abp.html"
    manual_test = "aws budgets describe-budgets --account-id ACCOUNT"
    besides = ("MN117",)
    failing = """\
region: us-gov-west-1
budget:  #! budget
  monthly: 5000
  emails: [lab@example.org]
"""
    passing = """\
region: us-east-1
budget:
  monthly: 5000
  emails: [lab@example.org]
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        if subject.spec.budget is None or not subject.sound("region"):
            return
        if names.partition_of(subject.spec.region) in names.WITHOUT_BUDGETS:
            yield Match(("budget",), f"there is no AWS Budgets for {subject.spec.region}", key=True)


class DashboardFits(SpecRule):
    id = "MN526"
    title = "The queues and environments of `dashboard` must fit into a dashboard of CloudWatch"
    why = (
        "CloudWatch takes up to 2,500 metrics in a dashboard and 500 in a graph. The dashboard has "
        f"{_OF_QUEUE} for each queue and {_OF_ENVIRONMENT} for each environment."
    )
    remedy = "remove `dashboard`, or split the deployment"
    source_url = (
        "https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_limits.html"
    )
    manual_test = "aws cloudwatch get-dashboard --dashboard-name mngen-NAME-REGION"
    failing = """\
dashboard: true  #! dashboard
environments:
  r5: {instance: r5.12xlarge, max_nodes: 4}
queues:
""" + "".join(f"  q{number}: {{environments: [r5]}}\n" for number in range(124))
    passing = """\
dashboard: true
environments:
  r5: {instance: r5.12xlarge, max_nodes: 4}
queues:
  one: {environments: [r5]}
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        spec = subject.spec
        if not spec.dashboard:
            return
        found = (
            _OF_THE_REST + _OF_QUEUE * len(spec.queues) + _OF_ENVIRONMENT * len(spec.environments)
        )
        # Two graphs share the metrics of environments.
        if found > _MOST_METRICS or _OF_ENVIRONMENT // 2 * len(spec.environments) > _MOST_OF_GRAPH:
            yield Match(
                ("dashboard",),
                f"{len(spec.queues)} queues and {len(spec.environments)} environments have {found} "
                "metrics",
                key=True,
            )
