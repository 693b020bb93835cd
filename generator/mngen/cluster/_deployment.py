"""What follows from a spec for the deployment as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.cluster.names import DEPLOYMENT_TAG

if TYPE_CHECKING:
    from mngen.cluster._resolve import Cluster
    from mngen.spec import Spec


def creates_spot_fleet_role(spec: Spec) -> bool:
    """Returns whether a role for Spot is created: asked for, and with a Spot environment."""
    return spec.roles.spot_fleet == "create" and any(
        environment.purchase == "spot" for environment in spec.environments.values()
    )


def efa_installer(cluster: Cluster) -> str | None:
    """Returns bucket and folder of the EFA installer if a role needs permission to read it."""
    place = cluster.spec.image.efa_installer
    efa = any(image.efa for image in cluster.machine_images)
    created = cluster.spec.roles.instance_profile == "create"
    return place.removeprefix("s3://") if place and efa and created else None


def grants_mount(spec: Spec) -> bool:
    """Returns whether the roles that are created get the permissions to mount the file system."""
    return spec.storage.efs.iam and spec.roles.instance_profile == "create"


def deployment_tags(spec: Spec) -> dict[str, str]:
    """Returns the tags of every resource: the spec's, and the deployment's name."""
    return {**spec.tags, DEPLOYMENT_TAG: spec.name}
