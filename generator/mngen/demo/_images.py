"""The demo's AMIs: baked if this machine can, copied if it cannot."""

from __future__ import annotations

import logging
import shutil
from typing import TYPE_CHECKING, Any

from mngen import parts
from mngen.cluster import AMIS_FILE, AmiFile, AmiRecord, base_image_parameter
from mngen.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mngen.cluster import Cluster, MachineImage

_LOG = logging.getLogger(__name__)


def make_images(cluster: Cluster, tree: Path, outputs: Mapping[str, Any], *, logs: Path) -> str:
    """Bakes the images of a cluster on the emulated AWS that this process sees.

    What cannot be baked here is a copy of the image that its bake would start from: all of them
    if no machines can run here, and those with EFA, whose software comes from Amazon.

    Args:
        cluster: The cluster.
        tree: The rendered tree.
        outputs: What Terraform put out.
        logs: A folder to be created, for the output of the programs that bake an image.

    Returns:
        What was done, in a line.

    Raises:
        ToolError: An image could not be baked.
    """
    record = AmiFile(tree / AMIS_FILE)
    if found := parts.trouble("demo-bake"):
        _LOG.info("not baked, but copied from their base: %s", found.message)
        baked: list[MachineImage] = []
    else:
        baked = [image for image in cluster.machine_images if not (image.efa or image.gpu)]
        _bake(cluster, tree, outputs, baked, record, logs)
    copied = [image for image in cluster.machine_images if image not in baked]
    record.update({name: _copy(cluster, image) for image in copied for name in image.names})
    done = [("baked", baked), ("copied", copied)]
    return "; ".join(
        f"{word} {', '.join(image.name for image in images)}" for word, images in done if images
    )


def _bake(
    cluster: Cluster,
    tree: Path,
    outputs: Mapping[str, Any],
    images: list[MachineImage],
    record: AmiFile,
    logs: Path,
) -> None:
    from mngen.images import Options, Site, bake, choose_engine, look
    from mngen.sandbox import prepare_machines

    prepare_machines()
    survey = look(cluster, Site.from_outputs(outputs), tree=tree, record=record, images=images)
    result = bake(survey, record=record, engine=choose_engine(), options=Options.for_sandbox())
    logs.mkdir()
    for outcome in result.outcomes:
        if outcome.log is not None:
            shutil.copyfile(outcome.log, logs / f"{outcome.image.name}.log")
    problems = [*result.problems, *(each for one in result.outcomes for each in one.problems)]
    if problems:
        raise ToolError(*problems)


def _copy(cluster: Cluster, image: MachineImage) -> AmiRecord:
    from mngen._aws import client

    region = cluster.spec.region
    parameter = base_image_parameter(cluster.spec.image.base, image.base_kind)
    base = client("ssm", region).get_parameter(Name=parameter)["Parameter"]["Value"]
    copied = client("ec2", region).copy_image(
        Name=f"{cluster.spec.name}-{image.name}", SourceImageId=base, SourceRegion=region
    )
    return AmiRecord(id=copied["ImageId"])
