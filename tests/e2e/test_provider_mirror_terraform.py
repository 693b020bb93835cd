"""A real `terraform init` accepts the configuration that is written for a mirror."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from scripts.provider_mirror import (
    CONFIG_VARIABLE,
    PROVIDER,
    read_mirror,
    terraform_platform,
    write_cli_config,
)

if TYPE_CHECKING:
    from pathlib import Path

VERSION = "5.100.0"


def test_terraform_installs_the_provider_from_a_mirror_with_an_awkward_name(
    terraform_env: dict[str, str], tmp_path: Path
) -> None:
    root = tmp_path / 'a "mirror" of ${x} %{y} \\d'
    program = (
        root / PROVIDER / VERSION / terraform_platform() / f"terraform-provider-aws_v{VERSION}"
    )
    program.parent.mkdir(parents=True)
    # Terraform reads all of a provider, and runs none, to install it.
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
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
    assert f"Installed hashicorp/aws v{VERSION}" in done.stdout
