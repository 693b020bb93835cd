"""Container images that a bake puts into AMIs: which, whether they are pushed, whether they fit.

With the ECS agent's default, every container's image is pulled. Docker then asks the registry for
the manifest, and fetches only what is not in its store: nothing, if the image came with the AMI. So
another or older image never runs. `prefer-cached` would run a tag's old image and switch the
agent's clean-up off; `once` pulls what came with the AMI all the same.
Source: https://github.com/aws/amazon-ecs-agent (agent/engine/docker_task_engine.go,
docker_image_manager.go), https://github.com/moby/moby (distribution/pull_v2.go)
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from mngen.cluster import DIGESTS_FILE, DigestFile, builder_volume, preloaded_images
from mngen.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mngen.cluster import AmiFile, BakedFrom, Cluster, MachineImage
    from mngen.container import Stored
    from mngen.images._site import Site

_LOG = logging.getLogger(__name__)
_GIB = 1024**3
_UNPACKED = 3
"""How many times its compressed size an image takes at most, as a rule: an estimate."""


def pushed_digest(
    cluster: Cluster, site: Site, images: Sequence[MachineImage], record: AmiFile
) -> str:
    """Returns the digest of the deployment's container image, for AMIs that get it.

    It is the one that was recorded at the push, which job definitions run, or else that of the tag.

    Args:
        cluster: The cluster.
        site: What the first apply made.
        images: The AMIs.
        record: The record of AMIs, beside which that of pushed images is.

    Returns:
        The digest; empty if none of the AMIs gets it.

    Raises:
        InputError: It was not pushed yet, or does not fit on the root volume.
        ToolError: AWS refused.
    """
    having = [each for each in images if None in preloaded_images(cluster, each)]
    if not having:
        return ""
    from mngen.container import open_registry

    spec = cluster.spec
    registry = open_registry({"repository_url": site.repository_url}, spec.region)
    recorded = DigestFile(record.path.with_name(DIGESTS_FILE)).read().get(spec.container.tag)
    stored = registry.find_digest(recorded) if recorded else None
    stored = stored or registry.find(spec.container.tag)
    if stored is None:
        raise InputError(
            f"the container image to preload was not pushed yet: {registry.name} has no tag "
            f"`{spec.container.tag}`",
            hint="run `mngen container build` and `mngen container push`, then `mngen bake`; or "
            "remove `image.preload`, and bake without it",
        )
    check_size(stored, min(builder_volume(cluster, each) for each in having))
    return stored.digest


def pulled(made_of: BakedFrom, site: Site) -> list[str]:
    """Returns the references by which a builder pulls the container images of an AMI."""
    return [
        f"{site.repository_url}@{each}" if each.startswith("sha256:") else each
        for each in made_of.preload
    ]


def check_size(stored: Stored, volume: int) -> None:
    """Refuses a container image that does not fit, and reports one that may not.

    Args:
        stored: It.
        volume: Size of the root volume, GiB.

    Raises:
        InputError: Its compressed layers alone are larger.
    """
    size = stored.size / _GIB
    hint = "raise `root_volume` of the environments, or remove `image.preload`"
    if size > volume:
        raise InputError(
            f"the container image to preload has {size:.1f} GiB, compressed, and the root volume "
            f"of nodes {volume} GiB",
            hint=hint,
        )
    # The other half is for the system.
    if size * _UNPACKED > volume / 2:
        _LOG.info(
            "the container image to preload has %.1f GiB, compressed: if the bake reports that "
            "no space is left on the root volume of %d GiB, %s",
            size,
            volume,
            hint,
        )
