"""Amazon SNS: moto confirms every subscription itself, and lets each be deleted.

Here a subscription of an e-mail address or a URL waits for its confirmation: it is listed with
`PendingConfirmation` in place of its ARN, gets no messages, and cannot be deleted. The token of
ConfirmSubscription, which AWS sends to the address, is here the last part of the ARN that Subscribe
returns on request.

Not here: that AWS deletes such a subscription after 48 hours.

Source: https://docs.aws.amazon.com/sns/latest/api/API_Subscribe.html (ReturnSubscriptionArn),
API_ConfirmSubscription.html; https://docs.aws.amazon.com/sns/latest/dg/CleanUp.html ("You can't
delete a pending confirmation"); the message of that error as
https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/sns/topic_subscription.go
expects it; `PendingConfirmation` as
https://docs.aws.amazon.com/cli/latest/reference/sns/list-subscriptions-by-topic.html shows it.
"""

from __future__ import annotations

from typing import Any

from moto.core.responses import ActionResult
from moto.sns.exceptions import SNSInvalidParameter
from moto.sns.models import SNSBackend, Subscription
from moto.sns.responses import SNSResponse

from mngen.sandbox.emulator._patch import patch

_SUBSCRIBE: Any = SNSBackend.subscribe
_UNSUBSCRIBE: Any = SNSBackend.unsubscribe
_PUBLISH: Any = Subscription.publish
_ANSWER_TO_SUBSCRIBE: Any = SNSResponse.subscribe

_CONFIRMED_BY_HAND = frozenset({"email", "email-json", "http", "https"})


class Backend:
    """What SNS keeps of subscriptions."""

    subscriptions: Any
    _find_subscription: Any

    def subscribe(self, topic_arn: str, endpoint: str, protocol: str) -> Any:
        """Subscribes an address, which has to confirm."""
        known = self._find_subscription(topic_arn, endpoint, protocol)
        made = _SUBSCRIBE(self, topic_arn, endpoint, protocol)
        if known is None and protocol in _CONFIRMED_BY_HAND:
            made.attributes |= {"PendingConfirmation": True, "ConfirmationWasAuthenticated": False}
        return made

    def unsubscribe(self, subscription_arn: str) -> None:
        """Deletes a subscription, unless it waits for its confirmation."""
        found = self.subscriptions.get(subscription_arn)
        if found is not None and _is_pending(found):
            raise SNSInvalidParameter(
                "Invalid parameter: SubscriptionArn Reason: Cannot unsubscribe a subscription that "
                "is pending confirmation"
            )
        _UNSUBSCRIBE(self, subscription_arn)


class Delivery:
    """How a message gets to an address."""

    def publish(self, *arguments: Any, **named: Any) -> None:
        """Sends a message, unless the address has not confirmed."""
        if not _is_pending(self):
            _PUBLISH(self, *arguments, **named)


class Answers:
    """What SNS answers."""

    backend: Any
    _get_param: Any

    def subscribe(self) -> Any:
        """Answers with the ARN of a subscription that waits only if it is asked for."""
        answer = _ANSWER_TO_SUBSCRIBE(self)
        found = self.backend.subscriptions[answer.result["SubscriptionArn"]]
        wanted = str(self._get_param("ReturnSubscriptionArn")).lower() == "true"
        if _is_pending(found) and not wanted:
            return ActionResult({"SubscriptionArn": "pending confirmation"})
        return answer

    def list_subscriptions_by_topic(self) -> Any:
        """Lists the subscriptions of a topic, page by page."""
        found, token = self.backend.list_subscriptions_by_topic(
            self._get_param("TopicArn"), next_token=self._get_param("NextToken")
        )
        listed = [_listed(each) for each in found]
        return ActionResult({"Subscriptions": listed, "NextToken": token})

    def confirm_subscription(self) -> Any:
        """Confirms the subscription whose token is sent."""
        arn = f"{self._get_param('TopicArn')}:{self._get_param('Token')}"
        found = self.backend.subscriptions.get(arn)
        if found is None:
            raise SNSInvalidParameter("Invalid parameter: Token")
        found.attributes["PendingConfirmation"] = False
        return ActionResult({"SubscriptionArn": arn})


def _listed(subscription: Any) -> dict[str, str]:
    return {
        "SubscriptionArn": (
            "PendingConfirmation" if _is_pending(subscription) else subscription.arn
        ),
        "Owner": subscription.owner,
        "Protocol": subscription.protocol,
        "Endpoint": subscription.endpoint,
        "TopicArn": subscription.topic.arn,
    }


def _is_pending(subscription: Any) -> bool:
    return bool(subscription.attributes.get("PendingConfirmation"))


def close() -> None:
    """Puts these in the place of moto's own."""
    patch(SNSBackend, Backend)
    patch(Subscription, Delivery)
    patch(SNSResponse, Answers)
