"""What follows from a spec for the deployment as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from mngen.cluster._properties import credentials_of
from mngen.cluster.names import DEPLOYMENT_TAG, aws_name, log_group

if TYPE_CHECKING:
    from mngen.cluster._resolve import Cluster
    from mngen.spec import DenySubmit, Job, Spec

SHELL_ACTIONS = (
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
)
"""What a job's role must allow so that shells can be opened in its containers.

Source: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html
"""

ZONE_RANGES = 7
"""Zones that a new VPC has a range for; the last eighth of the VPC is left for a public subnet."""


def creates_spot_fleet_role(spec: Spec) -> bool:
    """Returns whether a role for Spot is created: asked for, and with a Spot environment."""
    return spec.roles.spot_fleet == "create" and any(
        environment.purchase == "spot" for environment in spec.environments.values()
    )


def jobs_with_secrets(spec: Spec) -> dict[str, Job]:
    """Returns the jobs of which containers start with an execution role, by name.

    A definition from a file names its own.
    """
    return {
        name: job
        for name, job in spec.jobs.items()
        if any(has_secrets(spec, part) for part in job.parts.values())
    }


def has_secrets(spec: Spec, part: Job) -> bool:
    """Returns whether the containers of a part of a job start with an execution role."""
    return not part.definition and bool(part.secrets or credentials_of(spec, part))


def creates_execution_role(spec: Spec) -> bool:
    """Returns whether an execution role is created: if jobs need one, and the spec names none."""
    return spec.roles.execution == "create" and bool(jobs_with_secrets(spec))


def grants_shell(spec: Spec) -> bool:
    """Returns whether the role that is created for jobs gets the permissions of ECS Exec."""
    return spec.roles.job == "create" and any(
        job.shell and not job.definition and not job.role for job in spec.jobs.values()
    )


def writes_outputs(spec: Spec) -> bool:
    """Returns whether the role that is created for jobs may write their outputs to the bucket."""
    return (
        spec.roles.job == "create"
        and spec.storage.bucket is not None
        and any(job.outputs is not None and not job.role for job in spec.jobs.values())
    )


def creates_roles(spec: Spec) -> bool:
    """Returns whether any IAM role is created."""
    roles = spec.roles
    created = "create" in {roles.job, roles.service, roles.instance_profile}
    return created or creates_spot_fleet_role(spec) or creates_execution_role(spec)


def denied_submitters(spec: Spec) -> DenySubmit | None:
    """Returns who may no longer submit once costs exceed the budget, or None."""
    return spec.budget.deny_submit if spec.budget else None


def efa_installer(cluster: Cluster) -> str | None:
    """Returns bucket and folder of the EFA installer if a role needs permission to read it."""
    place = cluster.spec.image.efa_installer
    efa = any(image.efa for image in cluster.machine_images)
    created = cluster.spec.roles.instance_profile == "create"
    return place.removeprefix("s3://") if place and efa and created else None


def recorded_spec(cluster: Cluster) -> Spec:
    """Returns the spec for its record, in which keys with their default are left out.

    `hyperthreading: false` is the default of an environment whose type has no GPUs for jobs.
    """
    environments = dict(cluster.spec.environments)
    for each in cluster.environments:
        if each.spec.hyperthreading is False and not each.gpus:
            environments[each.name] = msgspec.structs.replace(each.spec, hyperthreading=None)
    return msgspec.structs.replace(cluster.spec, environments=environments)


def grants_mount(spec: Spec) -> bool:
    """Returns whether the roles that are created get the permissions to mount the file system."""
    return spec.storage.efs.iam and spec.roles.instance_profile == "create"


def queue_name(spec: Spec, queue: str) -> str:
    """Returns the name that a queue of the spec has in AWS Batch."""
    return spec.queues[queue].aws_name or aws_name(spec.name, queue)


def policy_name(spec: Spec, queue: str) -> str:
    """Returns the name of the scheduling policy that is made for a queue with `shares`."""
    return aws_name(spec.name, queue)


def definition_name(spec: Spec, job: str) -> str:
    """Returns the name that the job definition of a job of the spec has in AWS Batch."""
    return spec.jobs[job].aws_name or aws_name(spec.name, job)


def repository_name(spec: Spec) -> str:
    """Returns the name of the ECR repository; without meaning beside `container.image`."""
    return spec.container.aws_name or f"{spec.name}/{spec.container.repository}"


def log_group_name(spec: Spec) -> str:
    """Returns the log group of the jobs: the spec's, or that of the deployment."""
    return spec.logs.group or log_group(spec.name)


def deployment_tags(spec: Spec) -> dict[str, str]:
    """Returns the tags of every resource: the spec's, and the deployment's name."""
    return {**spec.tags, DEPLOYMENT_TAG: spec.name}


def zone_numbers(spec: Spec) -> dict[str, int]:
    """Returns which eighth of a new VPC's range each zone gets.

    The number follows from a zone's letter, so that a zone keeps its range, and with it its subnet
    and mount target, if others are added, removed, or named in another order. A Local Zone may have
    the letter of an ordinary one: it gets the first number that is free.
    """
    numbers: dict[str, int] = {}
    for zone in _ordinary_first(spec):
        own = ord(zone[-1]) - ord("a")
        free = (each for each in range(ZONE_RANGES) if each not in numbers.values())
        numbers[zone] = own if own < ZONE_RANGES and own not in numbers.values() else next(free)
    return {zone: numbers[zone] for zone in spec.network.zones}


def nat_zone(spec: Spec) -> str | None:
    """Returns the zone of a new VPC's NAT gateway; None without zones.

    It does not depend on the order in the spec. Many Local Zones have no NAT gateways, and the
    others only take an address of the network border group that they are in.
    Source: https://github.com/aws-ia/terraform-aws-eks-blueprints/pull/1095,
    https://github.com/awslabs/crossplane-on-eks/issues/210
    """
    return next(iter(_ordinary_first(spec)), None)


def _ordinary_first(spec: Spec) -> list[str]:
    """Returns the zones of the network, sorted, with Local Zones, whose names are longer, last."""
    return sorted(spec.network.zones, key=lambda each: (len(each), each))
