"""The public images that a bake starts from, and what AWS Batch calls them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mngen.catalog import InstanceType

_GPU = "-gpu"

_UNSERVED = {
    # Batch's own list. P2 and G2 are older still, and no AMI has had their driver since 2023.
    "amazon-linux-2023": ("g2", "g3", "p2", "p3"),
    # Its AMI loads NVIDIA's proprietary modules, which have no Blackwell.
    "amazon-linux-2": ("g2", "p2", "g7", "p6"),
}
"""The starts of families of NVIDIA's GPUs that an ECS GPU-optimized AMI does not serve.

Source: https://docs.aws.amazon.com/batch/latest/APIReference/API_Ec2Configuration.html,
https://docs.aws.amazon.com/batch/latest/userguide/batch-gpu-ami.html,
https://github.com/aws/amazon-ecs-ami (scripts/enable-ecs-agent-gpu-support.sh) and
https://developer.nvidia.com/blog/nvidia-transitions-fully-towards-open-source-gpu-kernel-modules/
"""

_IMAGE_TYPES = {"amazon-linux-2023": "ECS_AL2023", "amazon-linux-2": "ECS_AL2"}


def gpus_served(instance: InstanceType, base: str) -> int:
    """Returns how many GPUs of an instance a job can have: those that the GPU AMI serves.

    Its drivers are NVIDIA's, and it exists for x86_64 only.

    Args:
        instance: The type.
        base: The base system as in the spec, such as `amazon-linux-2023`.

    Source: https://docs.aws.amazon.com/batch/latest/userguide/gpu-jobs.html
    """
    served = (
        instance.gpu_maker == "NVIDIA"
        and instance.architecture == "x86_64"
        and not instance.family.startswith(_UNSERVED[base])
    )
    return instance.gpus if served else 0


def base_kind(architecture: str, *, gpu: bool) -> str:
    """Returns the kind of a base image: `x86_64`, `arm64`, or `x86_64-gpu` with GPU drivers."""
    return architecture + (_GPU if gpu else "")


def base_image_parameter(base: str, kind: str) -> str:
    """Returns the name of the public parameter that has the ID of the newest ECS-optimized AMI.

    Args:
        base: The base system as in the spec, such as `amazon-linux-2023`.
        kind: Its kind, see `base_kind`.

    Source: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/retrieve-ecs-optimized_AMI.html
    """
    architecture = kind.removesuffix(_GPU)
    system = base if architecture == "x86_64" else f"{base}/{architecture}"
    if architecture != kind:
        system += "/gpu"
    return f"/aws/service/ecs/optimized-ami/{system}/recommended/image_id"


def batch_image_type(base: str, *, gpu: bool) -> str:
    """Returns what AWS Batch calls a kind of image (`imageType`), such as `ECS_AL2023_NVIDIA`.

    Source: https://docs.aws.amazon.com/batch/latest/APIReference/API_Ec2Configuration.html
    """
    return _IMAGE_TYPES[base] + ("_NVIDIA" if gpu else "")
