"""Rules that ask AWS whether messages about jobs arrive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mngen.account import concerns, covers, holds, services, statements, subscriptions
from mngen.cluster import names, queue_name
from mngen.errors import Severity
from mngen.rules._rule import Match
from mngen.rules.account._rule import AwsRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.account import Account

_PENDING = "PendingConfirmation"
"""What Amazon SNS lists in place of the ARN of a subscription that is not confirmed.

Source: https://docs.aws.amazon.com/sns/latest/dg/sns-create-subscribe-endpoint-to-topic.html
"""
_EVENTBRIDGE = "events.amazonaws.com"


class AddressesConfirmed(AwsRule):
    id = "MN260"
    severity = Severity.WARNING
    title = "Every address of `notify` should have confirmed its subscription"
    why = (
        "Amazon SNS sends nothing to an address before it has confirmed, and deletes a "
        "subscription that is not confirmed within 48 hours. A plan does not show that one waits."
    )
    remedy = "open the link in the e-mail of AWS Notifications; look in the spam folder, too"
    source_url = "https://docs.aws.amazon.com/sns/latest/dg/CleanUp.html"
    manual_test = "aws sns list-subscriptions-by-topic --topic-arn ARN"
    calls = ("sns:ListSubscriptionsByTopic",)

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        notify = account.cluster.spec.notify
        if notify is None or notify.topic:
            return
        found = _subscriptions(account)
        if found is None:
            # Nothing is applied yet.
            return
        for key, protocol, addresses in (
            ("emails", "email", notify.emails),
            ("webhooks", "https", notify.webhooks),
        ):
            for index, address in enumerate(addresses):
                arn = found.get((protocol, address))
                if arn == _PENDING:
                    yield Match(("notify", key, index), f"`{address}` has not confirmed yet")
                elif arn is None:
                    yield Match(
                        ("notify", key, index),
                        f"`{address}` has no subscription: it was deleted, never confirmed, or is "
                        "not applied yet",
                        "run `mngen apply`, and confirm within 48 hours",
                    )


class EventRulesEnabled(AwsRule):
    id = "MN261"
    severity = Severity.WARNING
    title = "The EventBridge rules of `notify` should be enabled and have their target"
    why = "Without its rule and the rule's target, a job that fails sends no message."
    remedy = "run `mngen apply`"
    source_url = "https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_DescribeRule.html"
    manual_test = "aws events list-rules --query 'Rules[].[Name,State]'"
    calls = ("batch:DescribeJobQueues", "events:DescribeRule", "events:ListTargetsByRule")

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        spec = account.cluster.spec
        if spec.notify is None or not _has_queues(account):
            return
        events: Any = account.client("events")
        topic = spec.notify.topic or f":{names.topic(spec.name)}"
        for name in names.event_rules(spec.name, spec.notify.events):
            path = ("notify",)
            try:
                state = events.describe_rule(Name=name)["State"]
            except events.exceptions.ResourceNotFoundException:
                yield Match(path, f"there is no EventBridge rule `{name}` in {spec.region}")
                continue
            if state == "DISABLED":
                yield Match(path, f"the EventBridge rule `{name}` is disabled")
            targets = events.list_targets_by_rule(Rule=name)["Targets"]
            if not any(each["Arn"].endswith(topic) for each in targets):
                yield Match(path, f"the EventBridge rule `{name}` does not send to the topic")


class TopicTakesEvents(AwsRule):
    id = "MN262"
    title = "The topic in `notify.topic` must be of the account and let EventBridge publish"
    why = (
        "EventBridge publishes to a topic only if the policy of the topic allows it in a statement "
        "without `Condition`, which AWS does not support there. For a topic of another account it "
        "needs an execution role, which mngen does not create."
    )
    remedy = (
        "add a statement to the policy of the topic: Allow sns:Publish to the service "
        "events.amazonaws.com, without Condition"
    )
    source_url = (
        "https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html"
    )
    manual_test = "aws sns get-topic-attributes --topic-arn ARN --query Attributes.Policy"
    calls = ("sns:GetTopicAttributes", "sts:GetCallerIdentity")

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        notify = account.cluster.spec.notify
        if notify is None or notify.topic is None:
            return
        sns: Any = account.client("sns")
        path = ("notify", "topic")
        own = account.client("sts").get_caller_identity()["Account"]
        given = notify.topic.split(":")[4]
        if given != own:
            # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-service-cross-account.html
            yield Match(
                path,
                f"the topic is of account {given}, the deployment of {own}",
                "name a topic of the deployment's account",
            )
            return
        try:
            policy = sns.get_topic_attributes(TopicArn=notify.topic)["Attributes"]["Policy"]
        except sns.exceptions.NotFoundException:
            yield Match(path, f"there is no topic `{notify.topic}`", "correct the ARN")
            return
        if not any(
            services(each) & {_EVENTBRIDGE, "*"}
            and covers(each, "sns:Publish")
            and concerns(each, notify.topic)
            and not each.get("Condition")
            for each in statements(policy, "Allow")
        ):
            yield Match(
                path,
                f"its policy does not allow {_EVENTBRIDGE} sns:Publish without Condition",
            )


class KeyTakesEvents(AwsRule):
    id = "MN263"
    title = "The policy of `notify.kms_key` must let EventBridge use it"
    why = (
        "EventBridge encrypts what it publishes to the topic with its own permissions, which it "
        "has from the policy of the key alone. AWS does not support conditions on "
        "`aws:SourceAccount`, `aws:SourceArn` or `aws:SourceOrgID` there."
    )
    remedy = (
        "add a statement to the policy of the key: Allow kms:Decrypt and kms:GenerateDataKey* to "
        "the service events.amazonaws.com, without conditions on its source"
    )
    source_url = "https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html"
    manual_test = "aws kms get-key-policy --key-id KEY --policy-name default"
    calls = ("kms:GetKeyPolicy",)

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        notify = account.cluster.spec.notify
        if notify is None or notify.kms_key is None:
            return
        kms: Any = account.client("kms")
        path = ("notify", "kms_key")
        try:
            policy = kms.get_key_policy(KeyId=notify.kms_key, PolicyName="default")["Policy"]
        except kms.exceptions.NotFoundException:
            yield Match(path, f"there is no key `{notify.kms_key}`", "correct the ARN")
            return
        missing = [
            action
            for action in ("kms:Decrypt", "kms:GenerateDataKey")
            if not any(
                covers(each, action) and _is_for_messages(each)
                for each in statements(policy, "Allow")
            )
        ]
        if missing:
            yield Match(
                path, f"the policy of the key allows {_EVENTBRIDGE} no {', '.join(missing)}"
            )


def _is_for_messages(statement: dict[str, Any]) -> bool:
    """Returns whether a statement of a key's policy is for EventBridge that publishes to topics.

    Its calls have none of the keys on the source. What other keys of a condition hold is not known:
    it counts where the statement names EventBridge, which is then meant.

    Source: https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
    """
    held = holds(statement, {"aws:source*": None})
    named = services(statement)
    return (_EVENTBRIDGE in named and held is not False) or ("*" in named and held is True)


def _subscriptions(account: Account) -> dict[tuple[str, str], str] | None:
    """Returns the ARNs of the deployment's subscriptions by protocol and address.

    None without the topic.
    """
    spec = account.cluster.spec
    sns: Any = account.client("sns")
    own = account.client("sts").get_caller_identity()["Account"]
    partition = names.partition_of(spec.region)
    topic = f"arn:{partition}:sns:{spec.region}:{own}:{names.topic(spec.name)}"
    try:
        return {
            (each["Protocol"], each["Endpoint"]): each["SubscriptionArn"]
            for each in subscriptions(sns, topic)
        }
    except sns.exceptions.NotFoundException:
        return None


def _has_queues(account: Account) -> bool:
    """Returns whether the deployment is applied so far that jobs can be submitted."""
    spec = account.cluster.spec
    queues = [queue_name(spec, each) for each in spec.queues]
    return bool(account.client("batch").describe_job_queues(jobQueues=queues)["jobQueues"])
