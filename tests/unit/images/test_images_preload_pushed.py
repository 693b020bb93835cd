"""The container image that an AMI gets, as the emulated ECR knows it."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from mngen.cluster import AmiFile, DigestFile
from mngen.container import Registry
from mngen.errors import InputError
from mngen.images._preload import pushed_digest
from tests.support.sandbox import client
from tests.unit.images.test_images_preload import DIGEST, SITE, SPEC, URL, image_of, loaded

if TYPE_CHECKING:
    from pathlib import Path

    from mngen.sandbox import Sandbox


@pytest.fixture
def registry(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Registry:
    sandbox.reset()
    for variable, value in sandbox.environment().items():
        monkeypatch.setenv(variable, value)
    ecr = client(sandbox, "ecr")
    ecr.create_repository(repositoryName="seismic/mpi", imageTagMutability="IMMUTABLE")
    return Registry(URL, ecr)


def push(registry: Registry, tag: str, gib: float) -> str:
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {"digest": DIGEST, "size": 1, "mediaType": "x"},
        "layers": [{"digest": DIGEST, "size": int(gib * 1024**3), "mediaType": "x"}],
    }
    return registry.put(tag, json.dumps(manifest))


def asked(folder: Path, name: str = "r5.12xlarge") -> str:
    record = AmiFile(folder / "amis.auto.tfvars.json")
    cluster = loaded(SPEC)
    return pushed_digest(cluster, SITE, [image_of(cluster, name)], record)


def test_an_image_that_was_not_pushed_is_refused_with_the_order(
    registry: Registry, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="seismic/mpi has no tag `v1`") as caught:
        asked(tmp_path)
    hint = str(caught.value.problems[0].hint)
    assert "run `mngen container build` and `mngen container push`, then `mngen bake`" in hint
    assert asked(tmp_path, "c5.18xlarge") == ""
    assert push(registry, "v1", 1) == asked(tmp_path)


def test_the_recorded_digest_comes_before_the_tag(registry: Registry, tmp_path: Path) -> None:
    first, second = push(registry, "old", 1), push(registry, "v1", 1.5)
    record = DigestFile(tmp_path / "container.auto.tfvars.json")
    record.record("v1", first)
    assert asked(tmp_path) == first
    record.record("v1", f"sha256:{hashlib.sha256(b'gone').hexdigest()}")
    assert asked(tmp_path) == second
