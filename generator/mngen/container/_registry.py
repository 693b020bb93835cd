"""The deployment's repository in ECR."""

from __future__ import annotations

import base64
import hashlib
import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mngen import _aws
from mngen.errors import InputError, ToolError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from mypy_boto3_ecr import ECRClient
    from mypy_boto3_ecr.type_defs import ImageDetailTypeDef, ImageIdentifierTypeDef


@dataclass(frozen=True, slots=True)
class Stored:
    """An image in the repository.

    Attributes:
        tags: Its tags, sorted; none where it lost them.
        digest: `sha256:…`.
        size: Bytes of its compressed layers.
        pushed: When; None if ECR does not return it.
    """

    tags: tuple[str, ...]
    digest: str
    size: int
    pushed: datetime | None


class Registry:
    """One repository in ECR.

    Args:
        url: What references to its images start with: `<registry>/<repository>`.
        client: A boto3 client of ECR in the repository's region.
    """

    def __init__(self, url: str, client: ECRClient) -> None:
        self.url = url
        self.host, _, self.name = url.partition("/")
        self._client = client

    def login(self) -> tuple[str, str]:
        """Returns a user and a password that the registry takes for twelve hours.

        Source: https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetAuthorizationToken.html

        Raises:
            ToolError: AWS refused.
        """
        with _aws.translated():
            [data] = self._client.get_authorization_token()["authorizationData"]
        user, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
        return user, password

    def images(self) -> list[Stored]:
        """Returns the repository's images, the newest first.

        Raises:
            InputError: The repository is not there.
            ToolError: AWS refused.
        """
        details: list[ImageDetailTypeDef] = []
        with self._explained():
            for page in self._client.get_paginator("describe_images").paginate(
                repositoryName=self.name
            ):
                details += page["imageDetails"]
        found = [_stored(detail) for detail in details]
        found.sort(key=lambda each: (each.pushed.timestamp() if each.pushed else 0, each.digest))
        return found[::-1]

    def find(self, tag: str) -> Stored | None:
        """Returns the image with a tag; None where there is none.

        Raises:
            InputError: The repository is not there.
            ToolError: AWS refused.
        """
        return self._find({"imageTag": tag})

    def find_digest(self, digest: str) -> Stored | None:
        """Returns the image with a digest; None where there is none.

        Raises:
            InputError: The repository is not there.
            ToolError: AWS refused.
        """
        return self._find({"imageDigest": digest})

    def _find(self, identifier: ImageIdentifierTypeDef) -> Stored | None:
        from botocore.exceptions import ClientError

        with self._explained():
            try:
                answer = self._client.describe_images(
                    repositoryName=self.name, imageIds=[identifier]
                )
            except ClientError as error:
                if error.response["Error"]["Code"] == "ImageNotFoundException":
                    return None
                raise
        return _stored(answer["imageDetails"][0])

    def identities(self, stored: Stored) -> set[str]:
        """Returns the digests that an engine may know an image of the repository by.

        They are that of its manifest, and that of its configuration, which is the image's id.
        """
        with self._explained():
            answer = self._client.batch_get_image(
                repositoryName=self.name, imageIds=[{"imageDigest": stored.digest}]
            )
        found = {stored.digest}
        for image in answer["images"]:
            manifest: dict[str, Any] = json.loads(image["imageManifest"])
            config = manifest.get("config")
            if isinstance(config, dict):
                found.add(str(config.get("digest")))
        return found

    def put(self, tag: str, manifest: str) -> str:
        """Puts a manifest without its layers, which is all that the emulated ECR takes.

        Returns:
            The digest of the manifest.
        """
        digest = f"sha256:{hashlib.sha256(manifest.encode()).hexdigest()}"
        with self._explained():
            self._client.put_image(
                repositoryName=self.name,
                imageManifest=manifest,
                imageManifestMediaType=str(
                    json.loads(manifest).get(
                        "mediaType", "application/vnd.oci.image.manifest.v1+json"
                    )
                ),
                imageTag=tag,
                imageDigest=digest,
            )
        return digest

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Within it, a missing repository leaves as an `InputError`, all else translated."""
        try:
            with _aws.translated():
                yield
        except ToolError as error:
            response = getattr(error.__cause__, "response", {})
            if response.get("Error", {}).get("Code") == "RepositoryNotFoundException":
                raise InputError(
                    f"no repository {self.name} in ECR",
                    hint="it was deleted; run `mngen apply`, which creates it again",
                ) from None
            raise


def open_registry(outputs: Mapping[str, object], region: str) -> Registry:
    """Returns the repository of a deployment.

    Args:
        outputs: Terraform's outputs, see `mngen.terraform.Terraform.outputs`.
        region: The deployment's region.

    Raises:
        InputError: The repository does not exist yet, or the image is in another registry.
    """
    if "repository_url" not in outputs:
        raise InputError(
            "the container image has no repository yet",
            hint="run `mngen apply`, which creates it",
        )
    url = outputs["repository_url"]
    if not isinstance(url, str):
        raise InputError(
            "the deployment has no repository: its container image is in another registry",
            hint="remove `container.image` from the spec, then `mngen render` and `mngen apply`",
        )
    return Registry(url, _aws.client("ecr", region))


def _stored(detail: ImageDetailTypeDef) -> Stored:
    digest = detail.get("imageDigest")
    if digest is None:
        raise ToolError("ECR returned an image without a digest")
    return Stored(
        tags=tuple(sorted(detail.get("imageTags", []))),
        digest=digest,
        size=detail.get("imageSizeInBytes", 0),
        pushed=detail.get("imagePushedAt"),
    )
