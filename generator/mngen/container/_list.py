"""What is in the deployment's repository, and which job definitions run it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from mngen import _aws

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from mypy_boto3_batch import BatchClient

    from mngen.container._registry import Registry


class RegistryImage(msgspec.Struct, frozen=True):
    """An image in the repository.

    Attributes:
        tags: Its tags, sorted.
        digest: `sha256:…`.
        size: Bytes of its compressed layers.
        pushed: When it was pushed.
        used_by: Jobs of the spec whose definition runs it, sorted.
        recorded: Tags under which its digest is recorded beside the rendered Terraform.
    """

    tags: tuple[str, ...]
    digest: str
    size: int
    pushed: datetime | None
    used_by: tuple[str, ...]
    recorded: tuple[str, ...]


def list_images(
    registry: Registry,
    client: BatchClient,
    *,
    job_definitions: Mapping[str, str],
    digests: Mapping[str, str],
) -> list[RegistryImage]:
    """Returns the repository's images, the newest first.

    Args:
        registry: See `open_registry`.
        client: A boto3 client of Batch in the same region.
        job_definitions: Names of the job definitions by job, Terraform's output of that name.
        digests: The recorded digests by tag; see `mngen.cluster.DigestFile`.

    Raises:
        InputError: The repository is not there.
        ToolError: AWS refused.
    """
    stored = registry.images()
    running = dict(_running(client, job_definitions)) if stored else {}
    found = []
    for image in stored:
        names = {f"{registry.url}@{image.digest}", *(f"{registry.url}:{t}" for t in image.tags)}
        found.append(
            RegistryImage(
                tags=image.tags,
                digest=image.digest,
                size=image.size,
                pushed=image.pushed,
                used_by=tuple(sorted(job for job, used in running.items() if used & names)),
                recorded=tuple(sorted(t for t, each in digests.items() if each == image.digest)),
            )
        )
    return found


def _running(
    client: BatchClient, job_definitions: Mapping[str, str]
) -> Iterator[tuple[str, set[str]]]:
    """Yields the images that each job's latest definition runs."""
    for job, name in job_definitions.items():
        with _aws.translated():
            pages = client.get_paginator("describe_job_definitions").paginate(
                jobDefinitionName=name, status="ACTIVE"
            )
            revisions: list[Any] = [each for page in pages for each in page["jobDefinitions"]]
        if revisions:
            latest = max(revisions, key=lambda each: each["revision"])
            yield job, set(_images(latest))


def _images(definition: Mapping[str, Any]) -> Iterator[str]:
    containers = [definition.get("containerProperties")]
    containers += [
        each.get("container")
        for each in definition.get("nodeProperties", {}).get("nodeRangeProperties", [])
    ]
    for container in containers:
        if container:
            yield container["image"]
