"""Which image a spec asks for: its name, for which processors, with EFA, S3, CUDA or without."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mngen.cluster import repository_name
from mngen.errors import InputError

if TYPE_CHECKING:
    from mngen.cluster import Cluster

_PLATFORMS = {"x86_64": "linux/amd64", "arm64": "linux/arm64"}
_HERE = {"amd64": "x86_64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True)
class ImagePlan:
    """The image that a spec asks for.

    Attributes:
        name: Name of the repository, as in the registry.
        tag: Its tag.
        platform: What it is built for; None where that is this machine's own.
        efa: Whether nodes have an Elastic Fabric Adapter.
        s3: Whether inputs may come through a bucket.
        cuda: Whether jobs that run it have GPUs.
    """

    name: str
    tag: str
    platform: str | None
    efa: bool
    s3: bool
    cuda: bool = False

    @property
    def reference(self) -> str:
        """What the image is called on this machine."""
        return f"localhost/{self.name}:{self.tag}"


def plan_image(
    cluster: Cluster, *, tag: str | None = None, target_platform: str | None = None
) -> ImagePlan:
    """Returns the image that a spec asks for.

    Args:
        cluster: The spec, resolved.
        tag: Another tag than the spec's.
        target_platform: Such as `linux/arm64`; None for that of the spec's instance types.

    Raises:
        InputError: The spec's image is in another registry, or its instance types have two
            architectures.
    """
    spec = cluster.spec
    if spec.container.image:
        raise InputError(
            f"the spec names an image in another registry: {spec.container.image}",
            hint="remove `container.image` from the spec to create a repository for it",
        )
    return ImagePlan(
        name=repository_name(spec),
        tag=tag or spec.container.tag,
        platform=target_platform or _platform(cluster),
        efa=any(environment.spec.efa for environment in cluster.environments),
        s3=spec.storage.bucket is not None,
        cuda=any(
            part.gpus and not part.spec.image and not part.spec.definition
            for job in cluster.jobs
            for part in job.parts
        ),
    )


def _platform(cluster: Cluster) -> str | None:
    wanted = sorted({environment.instance.architecture for environment in cluster.environments})
    if len(wanted) > 1:
        raise InputError(
            f"the instance types of the spec have two architectures: {' and '.join(wanted)}",
            hint="build an image for each: `--platform linux/amd64 --tag …` and "
            "`--platform linux/arm64 --tag …`, and name the second in the jobs' `image`",
        )
    machine = platform.machine().lower()
    here = _HERE.get(machine, machine)
    return None if wanted[0] == here else _PLATFORMS[wanted[0]]
