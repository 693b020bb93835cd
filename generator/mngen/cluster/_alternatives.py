"""When one compute environment can have instances of several types."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.cluster._base_image import gpus_served

if TYPE_CHECKING:
    from mngen.catalog import InstanceType


def unlike(first: InstanceType, other: InstanceType, base: str) -> str | None:
    """Returns in what a type differs from the first one so that they cannot share an environment.

    All instances of an environment start from one AMI, whose kernel has one CPU limit, and jobs ask
    for one number of vCPUs and GPUs. AWS Batch itself only refuses several architectures.
    Source: https://docs.aws.amazon.com/batch/latest/APIReference/API_ComputeResource.html

    Args:
        first: The type that the environment is described by.
        other: Another type for it.
        base: The base system as in the spec, such as `amazon-linux-2023`.

    Returns:
        A clause such as "has 24 cores, and `m5.24xlarge` has 48"; None if they are alike.
    """
    if other.architecture != first.architecture:
        return f"is {other.architecture}, and `{first.name}` is {first.architecture}"
    counts = (
        ("core", first.cores, other.cores),
        ("vCPU", first.vcpus, other.vcpus),
        ("GPU", gpus_served(first, base), gpus_served(other, base)),
    )
    for what, expected, found in counts:
        if found != expected:
            plural = "" if found == 1 else "s"
            return f"has {found} {what}{plural} for jobs, and `{first.name}` has {expected}"
    return None
