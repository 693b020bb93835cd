"""What the demo built, as AWS Batch describes it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Built:
    """A compute environment that was built, as AWS Batch describes it.

    Attributes:
        environment: Its name, without the digits that Terraform makes it unique with.
        instance_type: The EC2 instance type.
        max_vcpus: Most vCPUs at a time, as EC2 counts them.
        image: The AMI.
        placement_group: Its placement group, or an empty string.
        queues: Names of the job queues that use it.
        status: Batch's word for its state, `VALID` when all is well.
    """

    environment: str
    instance_type: str
    max_vcpus: int
    image: str
    placement_group: str
    queues: tuple[str, ...]
    status: str


def what_stands(region: str) -> list[Built]:
    """Returns what exists in the AWS Batch that this process sees, sorted by name.

    Args:
        region: AWS region.
    """
    from mngen._aws import client
    from mngen.account import stem_of

    batch = client("batch", region)
    environments = batch.describe_compute_environments()["computeEnvironments"]
    users: dict[str, list[str]] = {}
    for queue in batch.describe_job_queues()["jobQueues"]:
        for place in queue["computeEnvironmentOrder"]:
            users.setdefault(place["computeEnvironment"], []).append(queue["jobQueueName"])
    return [
        Built(
            environment=stem_of(each),
            instance_type=", ".join(each["computeResources"]["instanceTypes"]),
            max_vcpus=each["computeResources"]["maxvCpus"],
            image=each["computeResources"]["ec2Configuration"][0]["imageIdOverride"],
            placement_group=each["computeResources"].get("placementGroup", ""),
            queues=tuple(sorted(users.get(each["computeEnvironmentArn"], []))),
            status=each["status"],
        )
        for each in sorted(environments, key=lambda each: each["computeEnvironmentName"])
    ]
