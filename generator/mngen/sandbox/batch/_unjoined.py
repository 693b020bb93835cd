"""Instances that an environment starts for a job and that do not join its ECS cluster.

Batch starts EC2 instances through an Auto Scaling group for the job at the head of a queue, and
places the job once they have registered with its ECS cluster. Until then the job stays
RUNNABLE, and the instances cost money. The emulator places jobs at once; here an environment does
what Batch does, and its instances then do what the control asks for (`_control`).

- The tags are those of the launch template and of the compute resources, those of Auto Scaling and
  Batch's own. Batch gives the group the name `AWSBatch-ENVIRONMENT-asg-UUID`.
  Source: https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-tagging.html,
  https://docs.aws.amazon.com/batch/latest/APIReference/API_ComputeResource.html,
  https://docs.aws.amazon.com/aws-managed-policy/latest/reference/BatchServiceRolePolicy.html (the
  prefix), https://github.com/outerbounds/terraform-aws-metaflow/pull/19 (the rest)
- An instance that is not running is unhealthy: the group terminates and replaces it.
  Source: https://docs.aws.amazon.com/autoscaling/ec2/userguide/health-checks-overview.html
- The reason of a termination is that of the last transition, which is the group's call and not
  the shutdown before it.
  Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StateReason.html
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from moto.core.utils import utcnow
from moto.moto_api._internal import mock_random

from mngen.sandbox.batch._interfaces import security_groups

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from moto.batch.models import ComputeEnvironment


@dataclass(slots=True)
class Unjoined:
    """What the instances of an environment do.

    Attributes:
        console: What each of them has written to its console; empty where nothing is posted yet.
        joined: How many of a job's instances join the cluster all the same.
        disconnected: How many of those have an agent that is not connected.
        age: How long each runs already when it is started, in seconds.
        lifetime: After how many seconds each is gone, and replaced; None for never.
        reason: The code of `StateReason` of those that are gone.
        profile: Whether they have the environment's instance profile.
        image: Another AMI than the environment's.
        group: A name for the Auto Scaling group, which is one of this environment's otherwise;
            empty for instances of no group.
        instances: Those that were started so far, as moto has them.
    """

    console: str = ""
    joined: int = 0
    disconnected: int = 0
    age: float = 0.0
    lifetime: float | None = None
    reason: str = "Client.UserInitiatedShutdown"
    profile: bool = True
    image: str | None = None
    group: str | None = None
    instances: list[Any] = field(default_factory=list)

    @property
    def running(self) -> list[Any]:
        """The instances that run."""
        return [each for each in self.instances if each.state == "running"]


def scale_up(backend: Any, environment: ComputeEnvironment, wish: Unjoined, nodes: int) -> bool:
    """Starts instances until a job has as many as it needs; returns whether all have joined.

    Args:
        backend: The Batch of an account and region.
        environment: The environment that has room for the job.
        wish: What its instances do.
        nodes: How many the job needs.
    """
    now = utcnow()
    for each in wish.running:
        lived = now - each.launch_time - timedelta(seconds=wish.age)
        if wish.lifetime is not None and lived >= timedelta(seconds=wish.lifetime):
            each.end_as(wish.reason)
    missing = nodes - len(wish.running)
    if missing > 0:
        wish.instances += _launch(backend, environment, wish, missing, now)
    return wish.joined >= nodes


def drop(wish: Unjoined) -> None:
    """Terminates the instances of an environment that are no longer needed."""
    for each in wish.running:
        each.terminate()


def members(environment: ComputeEnvironment, wish: Unjoined) -> Iterator[dict[str, Any]]:
    """Yields the instances that have joined as ECS describes container instances."""
    prefix = environment.ecs_arn.replace(":cluster/", ":container-instance/")
    for index, each in enumerate(wish.running[: wish.joined]):
        yield {
            "containerInstanceArn": f"{prefix}/{each.id.removeprefix('i-'):0>32}",
            "ec2InstanceId": each.id,
            "status": "ACTIVE",
            "agentConnected": index >= wish.disconnected,
            "runningTasksCount": 0,
            "pendingTasksCount": 0,
        }


def _launch(
    backend: Any, environment: ComputeEnvironment, wish: Unjoined, count: int, now: datetime
) -> list[Any]:
    ec2, resources = backend.ec2_backend, environment.compute_resources
    image = resources["ec2Configuration"][0].get("imageIdOverride")
    group = wish.group
    if group is None:
        group = f"AWSBatch-{environment.name}-asg-{mock_random.uuid4()}"
    template = resources.get("launchTemplate") or {}
    names = {"launchTemplateId": "LaunchTemplateId", "launchTemplateName": "LaunchTemplateName"}
    named = {names[key]: value for key, value in template.items() if key in names}
    reservation = ec2.run_instances(
        wish.image or image,
        count,
        None,
        [],
        instance_type=resources["instanceTypes"][0],
        is_instance_type_default=False,
        region_name=backend.region_name,
        subnet_id=resources["subnets"][0],
        security_group_ids=security_groups(ec2, resources),
        launch_template={**named, "Version": template["version"]} if named else {},
        tags={
            "instance": {
                **(resources.get("tags") or {}),
                "AWSBatchServiceTag": "batch",
                **({"aws:autoscaling:groupName": group} if group else {}),
            }
        },
    )
    instances: list[Any] = list(reservation.instances)
    for each in instances:
        each.console = wish.console
        each.launch_time = now - timedelta(seconds=wish.age)
        if wish.profile:
            _give_profile(ec2, each, resources["instanceRole"])
    return instances


def _give_profile(ec2: Any, instance: Any, profile: str) -> None:
    key = "iam_instance_profile_arn" if profile.startswith("arn:") else "iam_instance_profile_name"
    ec2.associate_iam_instance_profile(instance_id=instance.id, **{key: profile})
