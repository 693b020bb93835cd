"""Container images that are put into AMIs: which ones, and what pulling them needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.cluster._ecr import ecr_repository
from mngen.cluster._properties import credentials_of
from mngen.cluster._resolve import BUILDER_VOLUME
from mngen.spec import JobFromFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.cluster._resolve import Cluster, MachineImage

_CREDENTIALS = "repositoryCredentials"


def preloaded_images(cluster: Cluster, image: MachineImage) -> tuple[str | None, ...]:
    """Returns the container images that jobs run on the nodes of an AMI, each once.

    Args:
        cluster: The cluster.
        image: One of its AMIs.

    Returns:
        References as in the spec, sorted; None, which comes first, stands for the image in the
        deployment's own repository. Images that need registry credentials are left out. Nothing
        unless the spec has `image.preload`.
    """
    found = set(_run_on(cluster, image)) if cluster.spec.image.preload else set()
    return tuple(sorted(found, key=lambda each: each or ""))


def builder_volume(cluster: Cluster, image: MachineImage) -> int:
    """Returns the size of a builder's root volume, which is the least that nodes can have, GiB.

    With container images it is as large as that of the nodes, so that what fits there fits here.
    """
    if not preloaded_images(cluster, image):
        return BUILDER_VOLUME
    served = (each for each in cluster.environments if not each.spec.image)
    return min(each.spec.root_volume for each in served if each.image in image.names)


def pulled_repositories(cluster: Cluster) -> tuple[str, ...]:
    """Returns the repositories of ECR that a role for builders needs permission to pull from.

    Returns:
        ARNs without their partition (`ecr:REGION:…`), or names of those in the deployment's region
        and account, sorted; none where no such role is created.
    """
    if cluster.spec.roles.instance_profile != "create":
        return ()
    images = {each for image in cluster.machine_images for each in preloaded_images(cluster, image)}
    found = {name for each in images for name in ecr_repository(cluster.spec, each)}
    return tuple(sorted(found))


def _run_on(cluster: Cluster, image: MachineImage) -> Iterator[str | None]:
    for job in cluster.jobs:
        served = (each for each in job.queue.environments if not each.spec.image)
        if not any(each.image in image.names for each in served):
            continue
        if isinstance(job.spec, JobFromFile):
            containers = (each for _, each in job.spec.from_file.containers)
            yield from (each["image"] for each in containers if not each.get(_CREDENTIALS))
            continue
        for part in job.parts:
            if credentials_of(cluster.spec, part.spec) is None:
                yield part.spec.image or cluster.spec.container.image
