"""Which EC2 instance a node runs on, and its AMI, which Batch does not report.

Batch names the ECS container instance; ECS knows which EC2 instance it is, and forgets it soon
after that has ended. It takes a call for each hundred nodes, so only commands that show nodes do,
and a user without the permission still sees all the rest.
Source: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeContainerInstances.html
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

_DESCRIBED_AT_ONCE = 100


def instances_of(ecs: Any, arns: list[str]) -> dict[str, tuple[str, str | None]]:
    """Returns ids of EC2 instances and their AMIs by the ARNs of container instances.

    Args:
        ecs: A client of ECS.
        arns: ARNs of container instances.

    Returns:
        As far as ECS shows them.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    clusters = defaultdict(list)
    for arn in dict.fromkeys(arns):
        clusters[_cluster(arn)].append(arn)
    # An account that has not opted in to the long ARNs of 2018 names no cluster in them.
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
