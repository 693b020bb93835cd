"""Messages about jobs in the deployer's policy: an SNS topic, and the rules that publish to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.cluster import names
from mngen.policy._statement import Scope, Statement

if TYPE_CHECKING:
    from mngen.spec import Spec


def notify_statements(spec: Spec, scope: Scope) -> list[Statement]:
    """Returns what creating, changing and deleting them needs; or nothing.

    Sources: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsns.html,
    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoneventbridge.html
    """
    notify = spec.notify
    if notify is None:
        return []
    topic = notify.topic or scope.arn("sns", names.topic(scope.name))
    changes = (
        "sns:CreateTopic",
        "sns:DeleteTopic",
        "sns:ListTagsForResource",
        "sns:SetTopicAttributes",
        "sns:TagResource",
        "sns:UntagResource",
    )
    subscribes = bool(notify.emails or notify.webhooks)
    return [
        Statement(
            "NotifyRules",
            (
                "events:DeleteRule",
                "events:DescribeRule",
                "events:ListTagsForResource",
                "events:ListTargetsByRule",
                "events:PutRule",
                "events:PutTargets",
                "events:RemoveTargets",
                "events:TagResource",
                "events:UntagResource",
            ),
            tuple(
                scope.arn("events", f"rule/{name}")
                for name in names.event_rules(scope.name, ("failed", "blocked"))
            ),
        ),
        Statement(
            "NotifyTopic",
            (
                "sns:GetTopicAttributes",
                *(() if notify.topic else changes),
                *(("sns:ListSubscriptionsByTopic", "sns:Subscribe") if subscribes else ()),
            ),
            (topic,),
        ),
        # These take no resources.
        Statement(
            "NotifySubscriptions",
            ("sns:GetSubscriptionAttributes", "sns:Unsubscribe") if subscribes else (),
            ("*",),
            scope.here,
        ),
    ]
