"""Who gets the messages of a topic of Amazon SNS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_CANCELLED = "Deleted"
"""What SNS lists for some time in place of the ARN of a subscription that its address cancelled.

Source: https://github.com/ansible/ansible/pull/20086
"""


def subscriptions(sns: Any, topic: str) -> Iterator[dict[str, str]]:
    """Yields the subscriptions of a topic, without those that their addresses have cancelled.

    Args:
        sns: A client of SNS in the region of the topic.
        topic: ARN of the topic.

    Raises:
        botocore.exceptions.ClientError: AWS refused a call.
    """
    for page in sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic):
        for each in page["Subscriptions"]:
            if each["SubscriptionArn"] != _CANCELLED:
                yield each
