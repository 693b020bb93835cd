"""Which image a job definition runs, as real Terraform evaluates what is rendered."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from mngen.cluster import DIGESTS_FILE, DigestFile
from mngen.render import Deployment, render
from tests.support import provider6
from tests.support.specs import FEATURES, make_spec, to_cluster

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PLAIN = {name: options[0] for name, options in FEATURES.items()}
JOBS = {"machines": "mpi", "container": "named"}
DIGEST = f"sha256:{'d' * 64}"


@pytest.fixture
def env(provider6_env: dict[str, str]) -> dict[str, str]:
    return provider6_env


def write(out: Path, tag: str) -> Path:
    data = make_spec(PLAIN | JOBS)
    queue = next(iter(data["queues"]))
    data["container"]["tag"] = tag
    data["jobs"] = {"hello": {"queue": queue, "nodes": 2, "command": ["hostname"]}}
    Deployment(out).write(render(to_cluster(data), provider=6))
    return out / "terraform"


def image(folder: Path, env: Mapping[str, str]) -> str:
    """The image that the job runs, without what the repository's URL is until it is built."""
    assert provider6.apply(folder, env) == []
    (values,) = [
        each
        for address, each in provider6.made(folder).items()
        if "aws_batch_job_definition" in address
    ]
    (ranges,) = json.loads(values["node_properties"])["nodeRangeProperties"]
    return str(ranges["container"]["image"])


def test_the_digest_counts_once_it_is_recorded_and_for_its_tag_alone(
    tmp_path: Path, env: dict[str, str]
) -> None:
    folder = write(tmp_path / "deploy", "v1")
    before = image(folder, env)
    assert before.endswith(":v1")
    DigestFile(folder / DIGESTS_FILE).record("v1", DIGEST)
    assert image(folder, env) == f"{before.removesuffix(':v1')}@{DIGEST}"
    # A new tag in the spec is not pushed yet, and the record stays through the render.
    assert write(tmp_path / "deploy", "v2") == folder
    assert (folder / DIGESTS_FILE).is_file()
    assert image(folder, env) == f"{before.removesuffix(':v1')}:v2"


def test_a_digest_that_is_none_is_refused(tmp_path: Path, env: dict[str, str]) -> None:
    folder = write(tmp_path / "deploy", "v1")
    DigestFile(folder / DIGESTS_FILE).record("v1", "latest")
    said = [str(diagnostic) for diagnostic in provider6.plan(folder, env).diagnostics]
    assert any("A digest is written as in sha256:" in text for text in said), said
