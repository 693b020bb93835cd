"""Which EC2 instance a node runs on, and its AMI, which Batch does not tell.

Batch names the ECS container instance; ECS knows which EC2 instance it is, and forgets it soon
after that has ended. It takes a call for each hundred nodes, so it is asked where a person looks,
and whoever has no right to ask still sees all the rest.
Source: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeContainerInstances.html
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

    from mngen.jobs._types import JobStatus

_DESCRIBED_AT_ONCE = 100


def with_instances(status: JobStatus, connect: Callable[[], Any]) -> JobStatus:
    """Returns a job with the EC2 instances of its nodes, as far as ECS tells.

    Args:
        status: The job as Batch tells of it.
        connect: Makes a client of ECS; is called only where there is something to ask.
    """
    arns = [each.container_instance for each in status.nodes if each.container_instance]
    if not arns:
        return status
    found = _instances(connect(), arns)
    nodes = []
    for each in status.nodes:
        instance, ami = found.get(each.container_instance or "", (None, None))
        nodes.append(msgspec.structs.replace(each, instance=instance, ami=ami))
    return msgspec.structs.replace(status, nodes=tuple(nodes))


def _instances(ecs: Any, arns: list[str]) -> dict[str, tuple[str, str | None]]:
    """Returns ids of EC2 instances and their AMIs by the ARNs of container instances."""
    from botocore.exceptions import BotoCoreError, ClientError

    clusters = defaultdict(list)
    for arn in dict.fromkeys(arns):
        clusters[_cluster(arn)].append(arn)
    # An account that never took to the long ARNs of 2018 names no cluster in them.
    clusters.pop("", None)
    found: dict[str, tuple[str, str | None]] = {}
    try:
        for cluster, members in clusters.items():
            for first in range(0, len(members), _DESCRIBED_AT_ONCE):
                answer = ecs.describe_container_instances(
                    cluster=cluster,
                    containerInstances=members[first : first + _DESCRIBED_AT_ONCE],
                )
                found |= {
                    each["containerInstanceArn"]: (each["ec2InstanceId"], _ami(each))
                    for each in answer["containerInstances"]
                    if "ec2InstanceId" in each
                }
    except (BotoCoreError, ClientError):
        # Denied, unreachable, or the cluster went with its environment: the rest would be, too.
        return found
    return found


def _ami(instance: dict[str, Any]) -> str | None:
    """Returns the AMI of a container instance, which the agent registers as an attribute.

    Source: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-placement-constraints.html
    """
    attributes = instance.get("attributes", [])
    return next((each.get("value") for each in attributes if each["name"] == "ecs.ami-id"), None)


def _cluster(arn: str) -> str:
    """Returns the name of the cluster in `…:container-instance/CLUSTER/ID`."""
    return arn.partition("/")[2].rpartition("/")[0]
