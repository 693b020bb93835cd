"""Golden specs apply with the schema of provider 6, and then have nothing more to change.

Of an existing VPC, the rig does not know which subnets are in it: such a spec is validated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mngen.render import render
from mngen.rules import open_cluster
from tests.support import provider6
from tests.support.golden import SPECS

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def env(provider6_env: dict[str, str]) -> dict[str, str]:
    return provider6_env


@pytest.mark.parametrize("spec", SPECS, ids=lambda path: path.stem)
def test_a_spec_applies(spec: Path, tmp_path: Path, env: dict[str, str]) -> None:
    cluster = open_cluster(spec)
    for name, text in render(cluster, provider=6).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    folder = tmp_path / "terraform"
    if cluster.spec.network.subnets:
        assert provider6.validate(folder, env) == []
        return
    # An apply begins with a validation, and returns what that finds.
    provider6.use_local_backend(folder)
    amis = {"amis": {name: {"id": "ami-0123456789abcdef0"} for name in cluster.images}}
    assert provider6.apply(folder, env, amis) == []
    assert provider6.pending(folder, env, amis) == []
    made = provider6.made(folder)
    environments = [each for each in made if "aws_batch_compute_environment" in each]
    assert len(environments) == len(cluster.environments)
    efs = cluster.spec.storage.efs
    allowed = [
        values["policy"]
        for address, values in made.items()
        if address.startswith("module.identity.aws_iam_role_policy.")
        and "elasticfilesystem:ClientMount" in values.get("policy", "")
    ]
    assert len(allowed) == (2 if efs.iam else 0)
    assert all(f":access-point/{efs.access_point}" in each for each in allowed)
