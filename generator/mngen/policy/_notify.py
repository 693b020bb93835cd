"""Messages about jobs in the deployer's policy: an SNS topic, and the rules that publish to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.policy._shared import event_rules, topic
from mngen.policy._statement import Scope, Statement

if TYPE_CHECKING:
    from mngen.spec import Spec


def notify_statements(spec: Spec, scope: Scope) -> list[Statement]:
    """Returns what creating, changing and deleting them needs besides looking at them; or nothing.

    IAM knows no resource of a subscription: with `emails` or `webhooks`, any of the region can be
    looked at and deleted.

    Sources: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsns.html,
    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoneventbridge.html
    """
    notify = spec.notify
    if notify is None:
        return []
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
                "events:ListTagsForResource",
                "events:PutRule",
                "events:PutTargets",
                "events:RemoveTargets",
                "events:TagResource",
                "events:UntagResource",
            ),
            event_rules(scope),
        ),
        Statement(
            "NotifyTopic",
            (*(() if notify.topic else changes), *(("sns:Subscribe",) if subscribes else ())),
            (topic(spec, scope),),
        ),
        # These take no resources.
        Statement(
            "NotifySubscriptions",
            ("sns:GetSubscriptionAttributes", "sns:Unsubscribe") if subscribes else (),
            ("*",),
            scope.here,
        ),
    ]
