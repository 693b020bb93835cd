"""Whether messages about jobs arrive, asked of the emulated AWS."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from mngen.adoption._notify import notify_of
from mngen.catalog import load_catalog
from mngen.rules import AWS_RULES, check_aws, require
from mngen.sandbox import ACCOUNT_ID
from mngen.spec import load_text
from tests.support.sandbox import client, make_environment

if TYPE_CHECKING:
    from collections.abc import Callable

    from mngen.sandbox import Sandbox

REGION = "us-east-1"
RULES = {"MN260", "MN261", "MN262", "MN263"}
OTHERS = tuple(each.id for each in AWS_RULES if each.id not in RULES)


class Lab:
    """A deployment in an account of its own."""

    def __init__(self, sandbox: Sandbox) -> None:
        sandbox.reset()
        self._sandbox = sandbox
        self.sns = self.connect("sns", REGION)
        self.events = self.connect("events", REGION)
        self.kms = self.connect("kms", REGION)

    def connect(self, service: str, region: str) -> Any:
        return client(self._sandbox, service, region)

    def ask(self, notify: dict[str, Any]) -> list[tuple[str | None, str, str]]:
        """Judge a spec by the rules about messages alone."""
        data = {
            "name": "lab",
            "region": REGION,
            "environments": {"r5": {"instance": "r5.12xlarge", "max_nodes": 4}},
            "queues": {"mpi": {"environments": ["r5"]}},
            "notify": notify,
        }
        loaded = load_text(json.dumps(data).encode())
        answers = check_aws(
            require(loaded, load_catalog()),
            document=loaded.document,
            skip=OTHERS,
            connect=self.connect,
        )
        assert answers.unanswered == ()
        return [(each.rule, each.path, each.message) for each in answers.problems]

    def make(self, *addresses: str) -> list[str]:
        """Make the topic as an apply does; return the ARNs of the subscriptions."""
        topic = self.sns.create_topic(Name="lab-notify")["TopicArn"]
        return [
            self.sns.subscribe(
                TopicArn=topic,
                Protocol="email" if "@" in each else "https",
                Endpoint=each,
                ReturnSubscriptionArn=True,
            )["SubscriptionArn"]
            for each in addresses
        ]

    def make_queue(self) -> None:
        environment = make_environment(self._sandbox, REGION, "lab-r5")
        self.connect("batch", REGION).create_job_queue(
            jobQueueName="lab-mpi",
            priority=1,
            computeEnvironmentOrder=[{"order": 0, "computeEnvironment": environment}],
        )

    def make_rule(self, name: str, *, state: str = "ENABLED", target: str | None = None) -> None:
        pattern = {"source": ["aws.batch"], "detail": {"status": ["FAILED"]}}
        self.events.put_rule(Name=name, EventPattern=json.dumps(pattern), State=state)
        if target:
            self.events.put_targets(Rule=name, Targets=[{"Id": "topic", "Arn": target}])


@pytest.fixture
def lab(sandbox: Sandbox) -> Lab:
    return Lab(sandbox)


TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT_ID}:lab-notify"
OTHER = f"arn:aws:sns:{REGION}:{ACCOUNT_ID}:department"


def test_before_the_first_apply_there_is_nothing_to_confirm(lab: Lab) -> None:
    assert lab.ask({"emails": ["a@example.org"]}) == []


def test_an_address_that_has_not_confirmed(lab: Lab) -> None:
    first, second = lab.make("a@example.org", "https://hooks.example.org/a")
    notify = {
        "emails": ["b@example.org", "a@example.org"],
        "webhooks": ["https://hooks.example.org/a"],
    }
    unknown = (
        "MN260",
        "notify.emails[0]",
        (
            "`b@example.org` has no subscription: it was deleted, never confirmed, or is not "
            "applied yet"
        ),
    )
    assert lab.ask(notify) == [
        unknown,
        ("MN260", "notify.emails[1]", "`a@example.org` has not confirmed yet"),
        ("MN260", "notify.webhooks[0]", "`https://hooks.example.org/a` has not confirmed yet"),
    ]
    for arn in (first, second):
        topic, _, token = arn.rpartition(":")
        lab.sns.confirm_subscription(TopicArn=topic, Token=token)
    assert lab.ask(notify) == [unknown]


def test_an_address_that_has_cancelled(lab: Lab) -> None:
    """AWS lists it for some time: https://github.com/ansible/ansible/pull/20086."""
    lab.make("a@example.org")
    listed = {
        "SubscriptionArn": "Deleted",
        "Owner": ACCOUNT_ID,
        "Protocol": "email",
        "Endpoint": "a@example.org",
        "TopicArn": TOPIC,
    }
    # Of another protocol, SNS has an address once more.
    confirmed = {**listed, "SubscriptionArn": f"{TOPIC}:1", "Protocol": "email-json"}

    def answer(parsed: dict[str, Any], **_: Any) -> None:
        parsed["Subscriptions"] = [listed, confirmed]

    place = "after-call.sns.ListSubscriptionsByTopic"
    lab.sns.meta.events.register(place, answer)
    try:
        [(rule, path, message)] = lab.ask({"emails": ["a@example.org"]})
        lab.make_rule("mngen-lab-jobs", target=TOPIC)
        imported = notify_of("lab", REGION, lab.connect)
    finally:
        lab.sns.meta.events.unregister(place, answer)
    assert (rule, path) == ("MN260", "notify.emails[0]")
    assert message.startswith("`a@example.org` has no subscription")
    assert imported == {"events": ["failed"]}


def _missing(lab: Lab) -> None:
    """Make no rule."""


def _disabled(lab: Lab) -> None:
    lab.make_rule("mngen-lab-jobs", state="DISABLED", target=TOPIC)


def _without_target(lab: Lab) -> None:
    lab.make_rule("mngen-lab-jobs")


def _elsewhere(lab: Lab) -> None:
    lab.make_rule("mngen-lab-jobs", target=OTHER)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (_missing, "there is no EventBridge rule `mngen-lab-jobs` in us-east-1"),
        (_disabled, "the EventBridge rule `mngen-lab-jobs` is disabled"),
        (_without_target, "the EventBridge rule `mngen-lab-jobs` does not send to the topic"),
        (_elsewhere, "the EventBridge rule `mngen-lab-jobs` does not send to the topic"),
    ],
)
def test_a_rule_that_someone_changed_by_hand(
    made: Callable[[Lab], None], message: str, lab: Lab
) -> None:
    [arn] = lab.make("a@example.org")
    topic, _, token = arn.rpartition(":")
    lab.sns.confirm_subscription(TopicArn=topic, Token=token)
    made(lab)
    notify = {"events": ["failed", "succeeded"], "emails": ["a@example.org"]}
    # Without queues there are no jobs, and the deployment may not be applied yet.
    assert lab.ask(notify) == []
    lab.make_queue()
    assert lab.ask(notify) == [("MN261", "notify", message)]
    lab.make_rule("mngen-lab-jobs", target=TOPIC)
    assert lab.ask(notify) == []


def test_an_existing_topic_lets_eventbridge_publish(lab: Lab) -> None:
    notify = {"topic": OTHER}
    assert lab.ask(notify) == [("MN262", "notify.topic", f"there is no topic `{OTHER}`")]
    lab.sns.create_topic(Name="department")
    # The policy that a topic comes with is for its own account.
    said = "its policy does not allow events.amazonaws.com sns:Publish without Condition"
    assert lab.ask(notify) == [("MN262", "notify.topic", said)]
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sns:Publish",
        "Resource": OTHER,
    }
    refused = [("MN262", "notify.topic", said)]
    own = {"StringEquals": {"aws:SourceAccount": ACCOUNT_ID}}
    changes: list[tuple[dict[str, Any], list[tuple[str, str, str]]]] = [
        ({"Resource": TOPIC}, refused),
        # AWS: "You can't use `Condition` blocks in Amazon SNS topic policies for EventBridge".
        ({"Condition": own}, refused),
        ({"Principal": "*", "Condition": own}, refused),
        ({}, []),
    ]
    for change, problems in changes:
        policy = {"Version": "2012-10-17", "Statement": [statement | change]}
        lab.sns.set_topic_attributes(
            TopicArn=OTHER, AttributeName="Policy", AttributeValue=json.dumps(policy)
        )
        assert lab.ask(notify) == problems


def test_a_topic_of_another_account_is_refused(lab: Lab) -> None:
    """EventBridge takes it as a target only with an execution role.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-service-cross-account.html
    """
    other = f"arn:aws:sns:{REGION}:999999999999:department"
    said = f"the topic is of account 999999999999, the deployment of {ACCOUNT_ID}"
    assert lab.ask({"topic": other}) == [("MN262", "notify.topic", said)]


def test_a_key_lets_eventbridge_use_it(lab: Lab) -> None:
    arn = lab.kms.create_key()["KeyMetadata"]["Arn"]
    notify = {"emails": ["a@example.org"], "kms_key": arn}
    said = "the policy of the key allows events.amazonaws.com no kms:Decrypt, kms:GenerateDataKey"
    assert lab.ask(notify) == [("MN263", "notify.kms_key", said)]
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
        "Resource": "*",
    }
    refused = [("MN263", "notify.kms_key", said)]
    own = {"StringEquals": {"aws:SourceAccount": ACCOUNT_ID}}
    organization = {"StringEquals": {"aws:PrincipalOrgID": "o-1234567890"}}
    context = {"ArnLike": {"kms:EncryptionContext:aws:sns:topicArn": TOPIC}}
    changes: list[tuple[dict[str, Any], list[tuple[str, str, str]]]] = [
        # AWS: not "supported for EventBridge-to-encrypted topics".
        ({"Condition": own}, refused),
        ({"Principal": "*", "Condition": own}, refused),
        ({"Principal": "*", "Condition": organization}, refused),
        ({"Condition": context}, []),
        ({}, []),
    ]
    for change, problems in changes:
        policy = {"Version": "2012-10-17", "Statement": [statement | change]}
        lab.kms.put_key_policy(KeyId=arn, PolicyName="default", Policy=json.dumps(policy))
        assert lab.ask(notify) == problems
    gone = f"arn:aws:kms:{REGION}:{ACCOUNT_ID}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    assert lab.ask({**notify, "kms_key": gone}) == [
        ("MN263", "notify.kms_key", f"there is no key `{gone}`")
    ]


def test_what_the_emulator_does_with_subscriptions(lab: Lab) -> None:
    topic = lab.sns.create_topic(Name="lab-notify")["TopicArn"]
    asked = {"TopicArn": topic, "Protocol": "email", "Endpoint": "a@example.org"}
    assert lab.sns.subscribe(**asked)["SubscriptionArn"] == "pending confirmation"
    arn = lab.sns.subscribe(**asked, ReturnSubscriptionArn=True)["SubscriptionArn"]
    attributes = lab.sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]
    assert attributes["PendingConfirmation"] == "true"
    with pytest.raises(lab.sns.exceptions.InvalidParameterException, match="is pending"):
        lab.sns.unsubscribe(SubscriptionArn=arn)
    with pytest.raises(lab.sns.exceptions.InvalidParameterException, match="Token"):
        lab.sns.confirm_subscription(TopicArn=topic, Token="wrong")
    lab.sns.confirm_subscription(TopicArn=topic, Token=arn.rpartition(":")[2])
    [listed] = lab.sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert listed["SubscriptionArn"] == arn
    lab.sns.unsubscribe(SubscriptionArn=arn)
    assert lab.sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"] == []
