"""The messages of a deployment that mngen made: its EventBridge rules, and their topic."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mngen.account import subscriptions
from mngen.cluster.names import event_rules, topic

if TYPE_CHECKING:
    from collections.abc import Callable

    Connect = Callable[[str, str], Any]

_KEYS = {"email": "emails", "https": "webhooks"}
_EVENTS = ("failed", "succeeded", "blocked")


def notify_of(name: str, region: str, connect: Connect) -> dict[str, Any]:
    """Returns the section `notify` of a deployment; empty if it sends no messages.

    Addresses that have not confirmed yet are in it, those whose subscription was deleted are not.

    Args:
        name: Name of the deployment.
        region: AWS region.
        connect: Makes a client of a service in a region.

    Raises:
        botocore.exceptions.ClientError: AWS refused a call.
    """
    events = connect("events", region)
    found: set[str] = set()
    arns: set[str] = set()
    for rule in event_rules(name, ("failed", "blocked")):
        try:
            pattern = json.loads(events.describe_rule(Name=rule)["EventPattern"])
        except events.exceptions.ResourceNotFoundException:
            continue
        found |= {each.lower() for each in pattern["detail"].get("status", ["blocked"])}
        arns |= {each["Arn"] for each in events.list_targets_by_rule(Rule=rule)["Targets"]}
    if not found or len(arns) != 1:
        return {}
    section: dict[str, Any] = {}
    if found != {"blocked", "failed"}:
        section["events"] = [each for each in _EVENTS if each in found]
    [arn] = arns
    if not arn.endswith(f":{topic(name)}"):
        return {**section, "topic": arn}
    sns = connect("sns", region)
    for each in subscriptions(sns, arn):
        if each["Protocol"] in _KEYS:
            section.setdefault(_KEYS[each["Protocol"]], []).append(each["Endpoint"])
    key = sns.get_topic_attributes(TopicArn=arn)["Attributes"].get("KmsMasterKeyId")
    return {**section, "kms_key": key} if key else section
