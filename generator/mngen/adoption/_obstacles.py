"""What must hold before an old compute environment is deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from mngen.adoption._draft import count
from mngen.adoption._queues import environments_of
from mngen.cluster import DEPLOYMENT_TAG, queue_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.adoption._record import OldEnvironment, Record
    from mngen.errors import Problem
    from mngen.spec import Document, Spec

# CloudFormation gives all that it creates this tag.
# Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-resource-tags.html
_STACK_TAG = "aws:cloudformation:stack-name"


class Seen(msgspec.Struct, kw_only=True):
    """What AWS shows.

    Attributes:
        queues: Job queues by name, all of the region.
        environments: Compute environments by ARN: the old ones and those of the spec's queues.
        clusters: ECS clusters of the old ones by ARN.
    """

    queues: dict[str, dict[str, Any]]
    environments: dict[str, dict[str, Any]]
    clusters: dict[str, dict[str, Any]]


def obstacles(record: Record, spec: Spec, document: Document, seen: Seen) -> Iterator[Problem]:
    """Yields what keeps the old environments from being deleted, at its line of the spec."""
    keys = {queue_name(spec, key): key for key in spec.queues}
    for old in record.environments:
        yield from _listed(old, spec, document, seen, keys)
    replaced: dict[str, list[str]] = {}
    for old in record.environments:
        if old.arn in seen.environments and not reason_to_keep(old, seen):
            for name in old.queues:
                replaced.setdefault(name, []).append(old.name)
    for name, olds in replaced.items():
        # A queue that the spec no longer has needs nothing in its place.
        if name in keys:
            yield from _replacement(name, olds, document, seen, keys[name])


def reason_to_keep(old: OldEnvironment, seen: Seen) -> str:
    """Returns why an environment that exists is not mngen's to delete; empty if it is."""
    found = seen.environments[old.arn]
    tags = found.get("tags", {})
    if old.managed_elsewhere:
        return "another Terraform configuration manages it: take it out of its files, and apply"
    if _STACK_TAG in tags:
        return f"the CloudFormation stack {tags[_STACK_TAG]} manages it: remove it there"
    if DEPLOYMENT_TAG in tags:
        return f"mngen created it for the deployment {tags[DEPLOYMENT_TAG]}"
    uuid = found.get("uuid")
    if old.uuid and uuid and uuid != old.uuid:
        return "it is not the one that was imported: it was created again since"
    return ""


def activity(old: OldEnvironment, seen: Seen) -> str:
    """Returns what still happens in an environment, in words; empty if nothing does.

    Some minutes after their last job, Batch terminates idle instances down to `minvCpus`, but none
    in part: an environment with `minvCpus` 4 may keep one of 96 vCPUs.
    Source: https://docs.aws.amazon.com/batch/latest/APIReference/API_ComputeEnvironmentDetail.html
    """
    found = seen.environments[old.arn]
    resources = found.get("computeResources", {})
    cluster = seen.clusters.get(str(found.get("ecsClusterArn")), {})
    containers = cluster.get("runningTasksCount", 0) + cluster.get("pendingTasksCount", 0)
    desired = resources.get("desiredvCpus") or 0
    said = []
    if found.get("status") in ("CREATING", "UPDATING"):
        said.append(f"it is {found['status']}")
    if containers:
        said.append(f"{count(containers, 'container')} of jobs")
    if containers or (desired and not resources.get("minvCpus")):
        said.append(f"{count(desired, 'vCPU')}")
    if said and found.get("status") == "INVALID":
        # Batch may be unable to terminate instances then; without the reason, a user only waits.
        said.append(f"it is INVALID: {found.get('statusReason', 'no reason given')}")
    return ", ".join(said)


def _listed(
    old: OldEnvironment, spec: Spec, document: Document, seen: Seen, keys: dict[str, str]
) -> Iterator[Problem]:
    """Yields each line of the spec and each queue in AWS that still lists an environment."""
    using = {
        name
        for name, queue in seen.queues.items()
        if old.arn in environments_of(queue) and queue.get("status") != "DELETED"
    }
    for key, queue in sorted(spec.queues.items()):
        if old.arn in queue.legacy:
            name = queue_name(spec, key)
            using.discard(name)
            yield document.problem(
                f"the job queue {name} still has the old environment {old.name}",
                ("queues", key, "legacy", queue.legacy.index(old.arn)),
                hint="remove this entry, then run mngen apply",
            )
    for name in sorted(using):
        message = f"the job queue {name} still has the old environment {old.name} in AWS"
        if name in keys:
            yield document.problem(
                message, ("queues", keys[name]), key=True, hint="run mngen apply"
            )
        else:
            yield document.problem(
                f"{message}, and is not in the spec",
                ("queues",),
                key=True,
                hint="import it with mngen import --from-account --queue, or replace the "
                "environment in it: `aws batch update-job-queue`",
            )


def _replacement(
    name: str, olds: list[str], document: Document, seen: Seen, key: str
) -> Iterator[Problem]:
    """Yields a problem if a queue has no environment that takes the place of the old ones."""
    text = " and ".join(olds)
    queue = seen.queues.get(name)
    if queue is None:
        yield document.problem(
            f"there is no job queue {name} in AWS: nothing has taken the place of {text}",
            ("queues", key),
            key=True,
            hint="run mngen bake and mngen apply",
        )
        return
    own = [seen.environments[arn] for arn in environments_of(queue) if arn in seen.environments]
    if any(each["state"] == "ENABLED" and each["status"] in ("VALID", "UPDATING") for each in own):
        return
    states = "; ".join(
        f"{each['computeEnvironmentName']} is {each['state']} and {each['status']}: "
        f"{each.get('statusReason', 'no reason given')}"
        for each in own
    )
    yield document.problem(
        f"nothing can run the jobs of the queue {name} in place of {text}: {states}",
        ("queues", key, "environments"),
        key=True,
        hint="run mngen check --aws, and mngen apply",
    )
