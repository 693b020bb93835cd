"""The demo's container image: built if there is an engine and little has to be downloaded."""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mngen.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mngen.cluster import Cluster
    from mngen.container import Engine, ImagePlan, Registry

_LOG = logging.getLogger(__name__)
# A build downloads packages: this is enough on any line that is fit for a demo.
_BUILD_SECONDS = 600.0
# A reason is shown in a table.
_REASON_WIDTH = 120
_MANIFEST = {
    "schemaVersion": 2,
    "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "config": {
        "mediaType": "application/vnd.oci.image.config.v1+json",
        "digest": f"sha256:{'0' * 64}",
        "size": 2,
    },
    "layers": [],
}


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the user wants of the container image.

    Attributes:
        build: Whether to build it; None for where its base is on this machine already.
        keep: Whether it stays when the demo has ended.
    """

    build: bool | None = None
    keep: bool = False


def make_container_image(
    cluster: Cluster,
    tree: Path,
    outputs: Mapping[str, object],
    options: DemoOptions,
) -> str:
    """Builds the container image, and puts it into the emulated registry.

    The emulated registry keeps manifests and no layers, and the emulated Batch runs jobs as data:
    if the image cannot be built, it is there by name alone, and the demo goes on. It has
    another name than the user's own, and lacks the EFA software, which comes from Amazon.

    Args:
        cluster: The cluster.
        tree: The rendered tree; the digest is recorded in its Terraform folder.
        outputs: What Terraform put out.
        options: What the user wants.

    Returns:
        What was built, or why nothing was, in a line.

    Raises:
        InterruptedRunError: The user interrupted; the engine has ended.
    """
    from mngen.container import find_engine, open_registry, plan_image

    spec = cluster.spec
    registry = open_registry(outputs, spec.region)
    planned = replace(plan_image(cluster), name=f"mngen-demo/{spec.container.repository}")
    try:
        engine = None if options.build is False else find_engine()
        reason = _reason_against(engine, tree / "container", options)
        if engine is not None and reason is None:
            return _build(planned, engine, registry, tree, keep=options.keep)
    except ToolError as error:
        reason = " ".join(str(error).split())
    _LOG.info("not built: %s", reason)
    registry.put(spec.container.tag, json.dumps(_MANIFEST))
    return f"not built: {_shortened(reason or '')}"


def reason_against_building(context: Path) -> str | None:
    """Returns why no image is built on this machine unless that is asked for, or None.

    Args:
        context: The folder with the Dockerfile.
    """
    from mngen.container import find_engine

    try:
        return _reason_against(find_engine(), context, DemoOptions())
    except ToolError as error:
        return " ".join(str(error).split())


def _reason_against(engine: Engine | None, context: Path, options: DemoOptions) -> str | None:
    """Returns why nothing is to be built, or None."""
    from mngen.container import base_image

    if engine is None:
        return "not asked for"
    base = base_image(context)
    if options.build or (base is not None and engine.image_id(base) is not None):
        return None
    return f"{engine.name} has no {base} yet; --container downloads it, and packages"


def _build(
    planned: ImagePlan, engine: Engine, registry: Registry, tree: Path, *, keep: bool
) -> str:
    from mngen.cluster import DIGESTS_FILE, DigestFile
    from mngen.container import EngineError, build_image, push_image

    _LOG.info(
        "building with %s, packages are downloaded; --no-container leaves this out", engine.name
    )
    try:
        build_image(
            planned,
            tree / "container",
            engine,
            build_args={"EFA": "no"},
            seconds=_BUILD_SECONDS,
        )
        pushed = push_image(planned, registry, engine, emulated=True)
    except ToolError as error:
        failure = str(error).replace(planned.reference, "it")
        last = error.last.strip() if isinstance(error, EngineError) else ""
        raise ToolError(f"{failure}: {last}" if last else failure) from None
    finally:
        if not keep:
            # What cannot be removed must not cause a failure.
            with suppress(ToolError):
                engine.remove(planned.reference)
    DigestFile(tree / "terraform" / DIGESTS_FILE).record(pushed.tag, pushed.digest)
    name = f"{planned.reference} " if keep else ""
    return f"built {name}with {engine.name}: {pushed.digest[:19]}"


def _shortened(text: str) -> str:
    return text if len(text) <= _REASON_WIDTH else f"{text[: _REASON_WIDTH - 1]}…"
