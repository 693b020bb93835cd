"""A real `terraform init` accepts the configuration that is written for a mirror."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from scripts.provider_mirror import (
    CONFIG_VARIABLE,
    PROVIDER,
    find_mirror,
    read_mirror,
    terraform_platform,
    write_cli_config,
)

if TYPE_CHECKING:
    from pathlib import Path


def test_terraform_installs_the_provider_from_a_mirror_with_an_awkward_name(
    terraform_env: dict[str, str], tmp_path: Path
) -> None:
    found = find_mirror()
    if found is None:
        pytest.skip("no filesystem mirror of hashicorp/aws on this machine")
    binary = found.root / PROVIDER / found.version / terraform_platform()
    if not binary.is_dir():
        pytest.skip("the mirror of hashicorp/aws on this machine is packed")
    root = tmp_path / 'a "mirror" of ${x} %{y} \\d'
    (root / PROVIDER / found.version).mkdir(parents=True)
    (root / PROVIDER / found.version / terraform_platform()).symlink_to(binary)
    mirror = read_mirror(root)
    assert mirror is not None
    write_cli_config(mirror, tmp_path / "terraform.rc")
    module = tmp_path / "module"
    module.mkdir()
    (module / "main.tf.json").write_text(
        '{"terraform": {"required_providers": {"aws": {"source": "hashicorp/aws"}}}}',
        encoding="utf-8",
    )
    done = subprocess.run(
        ["terraform", "init", "-no-color"],
        cwd=module,
        env={**terraform_env, CONFIG_VARIABLE: os.fspath(tmp_path / "terraform.rc")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"Installed hashicorp/aws v{found.version}" in done.stdout
