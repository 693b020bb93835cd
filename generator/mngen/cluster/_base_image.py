"""The public images that a bake starts from."""

from __future__ import annotations


def base_image_parameter(base: str, architecture: str) -> str:
    """Returns the name of the public parameter that has the ID of the newest ECS-optimized AMI.

    Args:
        base: The base system as in the spec, such as `amazon-linux-2023`.
        architecture: `x86_64` or `arm64`.

    Source: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/retrieve-ecs-optimized_AMI.html
    """
    system = base if architecture == "x86_64" else f"{base}/{architecture}"
    return f"/aws/service/ecs/optimized-ami/{system}/recommended/image_id"
