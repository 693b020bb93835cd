"""The names of container images in Amazon ECR."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mngen.cluster._deployment import repository_name

if TYPE_CHECKING:
    from mngen.spec import Spec

ECR_IMAGE = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?/"
    r"(?P<repository>[^:@]+)(?::(?P<tag>[^@]+))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
"""The parts of the name of an image in ECR."""


def ecr_repository(spec: Spec, image: str | None) -> tuple[str, ...]:
    """Names the repository of a container image for IAM.

    Args:
        spec: The spec.
        image: The image's reference; None for the image in the deployment's own repository.

    Returns:
        The ARN without its partition (`ecr:REGION:…`), or the name of the deployment's repository;
        nothing for an image outside ECR.
    """
    if image is None:
        return (repository_name(spec),)
    found = ECR_IMAGE.match(image)
    if found is None:
        return ()
    return (f"ecr:{found['region']}:{found['account']}:repository/{found['repository']}",)
