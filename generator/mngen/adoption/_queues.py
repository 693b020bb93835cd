"""Job queues: from what the Batch API has to the section `queues`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from mngen.adoption._draft import Draft, key_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mngen.adoption._environments import Mapped
    from mngen.adoption._item import Item
    from mngen.adoption._lines import Place

_DESCRIBES = frozenset({"jobQueueArn", "status", "statusReason", "jobQueueType"})
_MOST = 3
_CAPACITY = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"
_MISCONFIGURED = frozenset(
    {
        "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE",
        "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT",
    }
)


class MappedQueue(msgspec.Struct, kw_only=True):
    """A job queue that a spec can describe.

    Attributes:
        name: Its name in AWS.
        key: Its key in the spec.
        arn: Its ARN, if it was seen in an account.
        environments: Its environments that the spec has.
        legacy: ARNs of those that it has in AWS, if it was seen in an account.
    """

    name: str
    key: str
    arn: str
    environments: list[Mapped]
    legacy: list[str]


def map_queue(
    draft: Draft, item: Item, environments: Mapping[str, Mapped | None]
) -> MappedQueue | None:
    """Adds a job queue to the spec, or reports why it cannot.

    Args:
        draft: The spec in the making.
        item: The queue.
        environments: What became of the compute environments, by their names.
    """
    name = str(item.take("jobQueueName", ""))
    key = key_of(name, draft.queues)
    path = f"queues.{key}"
    if item.take("serviceEnvironmentOrder"):
        draft.cannot(
            item.at("serviceEnvironmentOrder"),
            path,
            "a queue of service environments runs no containers",
            "keep it outside mngen",
        )
        return None
    used = _environments(draft, item, path, environments)
    if not used:
        draft.cannot(
            item.at("computeEnvironmentOrder"),
            f"{path}.environments",
            "none of its environments can be written in a spec",
            "see the lines about its environments",
        )
        return None
    legacy = _legacy(draft, item) if draft.inventory.exists else []
    if len(legacy) >= _MOST:
        draft.cannot(
            item.at("computeEnvironmentOrder"),
            f"{path}.legacy",
            f"a queue has at most {_MOST} environments, and {len(legacy)} that exist leave no room "
            "for one of the spec",
            "remove one from the queue before you import it",
        )
        return None
    entry: dict[str, Any] = {
        "environments": _first(draft, item, path, used, _MOST - len(legacy)),
        "aws_name": name,
        "priority": item.take("priority", 1),
    }
    draft.kept(item.at("jobQueueName"), f"{path}.aws_name", f"{name}: scripts can go on using it")
    draft.kept(item.at("priority"), f"{path}.priority", str(entry["priority"]))
    if str(item.take("state", "ENABLED")).upper() != "ENABLED":
        entry["enabled"] = False
        draft.kept(item.at("state"), f"{path}.enabled", "false")
    policy = item.take("schedulingPolicyArn")
    if policy:
        entry["scheduling_policy"] = policy
        draft.kept(
            item.at("schedulingPolicyArn"),
            f"{path}.scheduling_policy",
            f"{policy}; jobs need a share identifier",
        )
    entry["cancel_after"] = limits_of(draft, item, path)
    mapped = MappedQueue(
        name=name,
        key=key,
        arn=str(item.take("jobQueueArn", "")),
        environments=used,
        legacy=legacy,
    )
    if draft.inventory.exists:
        entry["protect"] = True
        entry["legacy"] = legacy
        alone = sorted({each.rpartition("/")[2] for each in legacy} - {each.name for each in used})
        draft.kept(
            item.at("computeEnvironmentOrder"),
            f"{path}.legacy",
            "stay in the queue, behind the environments of the spec, until you remove them",
            f"the spec has nothing in place of {', '.join(alone)}" if alone else "",
        )
    for tag in item.take("tags", {}):
        draft.changed(item.at("tags", tag), "tags", "not carried over", "use `tags`")
    draft.left(item, "mngen's own setting, or AWS's default, applies", silent=_DESCRIBES)
    draft.queues[key] = entry
    return mapped


def add_queue(draft: Draft, mapped: Mapped, place: Place) -> MappedQueue:
    """Adds a queue for an environment, where no queue was read, and returns it.

    Args:
        draft: The spec in the making.
        mapped: The environment.
        place: Where the environment was found.
    """
    key = key_of(mapped.key, draft.queues)
    draft.queues[key] = {"environments": [mapped.key]}
    draft.changed(
        place,
        f"queues.{key}",
        "a new queue: an environment takes jobs only from one",
        "to keep the name of yours, pass its file too",
    )
    return MappedQueue(name=key, key=key, arn="", environments=[mapped], legacy=[])


def environments_of(queue: dict[str, Any]) -> list[str]:
    """Returns the compute environments of a queue, named as Batch describes it, in its order."""
    order = queue.get("computeEnvironmentOrder", [])
    return [
        str(each["computeEnvironment"])
        for each in sorted(order, key=lambda each: int(each.get("order") or 0))
        if each.get("computeEnvironment")
    ]


def _environments(
    draft: Draft, item: Item, path: str, environments: Mapping[str, Mapped | None]
) -> list[Mapped]:
    order = item.children("computeEnvironmentOrder")
    used = []
    for number, each in enumerate(sorted(order, key=lambda each: int(each.take("order", 0)))):
        place = each.at("computeEnvironment")
        name = str(each.take("computeEnvironment", "")).rpartition("/")[2]
        found = environments.get(name)
        if found is not None:
            used.append(found)
            draft.kept(place, f"{path}.environments[{len(used) - 1}]", f"number {number + 1}")
        elif name and name not in environments:
            draft.cannot(
                place,
                f"{path}.environments",
                f"nothing describes the compute environment {name}",
                "pass its file too",
            )
    return used


def _legacy(draft: Draft, item: Item) -> list[str]:
    """Returns the ARNs of the environments in AWS in their order, also of those not in the spec.

    They go behind those of the spec, so that nothing moves at first.
    """
    arns = {
        each.data.get("computeEnvironmentName"): each.data.get("computeEnvironmentArn")
        for each in draft.inventory.environments
    }
    return [str(arns.get(each.rpartition("/")[2]) or each) for each in environments_of(item.data)]


def _first(draft: Draft, item: Item, path: str, used: list[Mapped], room: int) -> list[str]:
    """Returns the keys of the environments that a queue has room for, and reports the others."""
    for each in used[room:]:
        draft.cannot(
            item.at("computeEnvironmentOrder"),
            f"{path}.environments",
            f"{each.key}: a queue has at most {_MOST} environments, and those that exist stay in "
            "`legacy`",
            "add it to the queue when you remove `legacy`",
        )
    return [each.key for each in used[:room]]


def limits_of(draft: Draft, item: Item, path: str) -> dict[str, Any]:
    """Returns `cancel_after`: what the queue has, and nothing that it does not have.

    Args:
        draft: The spec in the making.
        item: The queue.
        path: Path of the queue in the spec.
    """
    limits: dict[str, Any] = {"misconfiguration": None}
    actions = item.children("jobStateTimeLimitActions")
    for each in actions:
        reason, seconds = str(each.take("reason", "")), each.take("maxTimeSeconds")
        key = "capacity" if reason == _CAPACITY else "misconfiguration"
        if reason == _CAPACITY or reason in _MISCONFIGURED:
            before = limits.get(key)
            limits[key] = max(before or 0, seconds or 0) or None
            # The spec has one limit for both reasons of a misconfiguration.
            if before and before != seconds:
                draft.changed(
                    each.place,
                    f"{path}.cancel_after.{key}",
                    f"{limits[key]} seconds, the longer of {before} and {seconds}: a spec has one "
                    "limit for all misconfigurations",
                )
            else:
                draft.kept(each.place, f"{path}.cancel_after.{key}", f"{seconds} seconds")
        else:
            draft.cannot(
                each.place,
                f"{path}.cancel_after",
                f"a spec does not have the reason {reason}",
                "add it in a `*_override.tf` file beside the rendered ones",
            )
    if limits["misconfiguration"] is None:
        draft.kept(
            item.at("jobStateTimeLimitActions"),
            f"{path}.cancel_after.misconfiguration",
            "null: jobs that can never be placed wait, as today",
            "remove the key to have Batch cancel them after ten minutes",
        )
    return limits
