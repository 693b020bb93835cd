"""What several files of end-to-end tests share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support import provider6
from tests.support.deployments import Deployments, deploy_all
from tests.support.narrow_plugin import narrow_environment
from tests.support.needs import skip_without
from tests.support.once import once
from tests.support.stack import Stack
from tests.support.wheel import ROOT, build_wheel, install_wheel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.sandbox import Sandbox


@pytest.fixture(scope="session")
def wheel(shared_folder: Path) -> Path:
    """The wheel of this checkout; the first worker that asks for it builds it."""
    folder = shared_folder / "wheel"
    file = once(shared_folder / "kept-wheel", lambda: os.fsencode(build_wheel(ROOT, folder)))
    return Path(os.fsdecode(file))


@pytest.fixture(scope="session")
def installed(shared_folder: Path, wheel: Path) -> Path:
    """An environment with the wheel, likewise. Nothing may write to it."""
    folder = shared_folder / "installed"
    once(shared_folder / "kept-installed", lambda: os.fsencode(install_wheel(wheel, folder)))
    return folder


@pytest.fixture(scope="session")
def narrow_env(
    terraform_env: dict[str, str],
    requires_provider: None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, str]]:
    """The environment for mngen where it runs Terraform in a sandbox of its own.

    Terraform installs and starts the AWS provider itself; it describes only what mngen uses.
    """
    with narrow_environment(tmp_path_factory.mktemp("narrow"), terraform_env) as env:
        yield env


@pytest.fixture(scope="session")
def provider6_env() -> Iterator[dict[str, str]]:
    """The environment for Terraform with the stand-in of provider 6, one for all tests."""
    skip_without("terraform-program")
    with provider6.provider6() as env:
        yield env


@pytest.fixture(scope="session")
def deployments(
    sandbox: Sandbox,
    terraform_env: dict[str, str],
    requires_provider: None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Deployments:
    """Every example deployed, changed and destroyed. Who asks for it is in `deployments`."""
    return deploy_all(sandbox, terraform_env, tmp_path_factory)


@pytest.fixture
def stack(
    tmp_path: Path, sandbox: Sandbox, terraform_env: dict[str, str], requires_provider: None
) -> Iterator[Stack]:
    """A deployment in us-east-1, in the folder `tmp_path`, with one process of the provider."""
    with Stack(tmp_path, sandbox.environment("us-east-1", terraform_env)) as stack:
        yield stack
