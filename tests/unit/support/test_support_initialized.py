"""Terraform's `init` is left out where a folder has all that it would install, and nowhere else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support.initialized import is_initialized

if TYPE_CHECKING:
    from pathlib import Path

_MAIN = 'module "network" {\n  source = "./modules/network"\n\n  name = "x"\n}\n'
_BACKEND = 'terraform {\n  backend "s3" {\n    bucket = "states"\n  }\n}\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A root module with one call, which is installed."""
    (tmp_path / "main.tf").write_text(_MAIN, encoding="utf-8")
    _install(tmp_path / ".terraform")
    return tmp_path


def _install(data: Path) -> None:
    """Write what Terraform 1.11.4 wrote for such a folder."""
    root = {"Key": "", "Source": "", "Dir": "."}
    network = {"Key": "network", "Source": "./modules/network", "Dir": "modules/network"}
    (data / "modules").mkdir(parents=True)
    (data / "modules" / "modules.json").write_text(
        json.dumps({"Modules": [root, network]}), encoding="utf-8"
    )


def test_nothing_is_missing(folder: Path) -> None:
    assert is_initialized(folder, {})


def test_a_folder_without_modules_and_backend_needs_no_init(tmp_path: Path) -> None:
    (tmp_path / "main.tf").write_text('output "x" {\n  value = 1\n}\n', encoding="utf-8")
    assert is_initialized(tmp_path, {})


@pytest.mark.parametrize(
    "text",
    [
        _MAIN.replace('module "network"', 'module "fsx"'),
        _MAIN.replace('"./modules/network"', '"./modules/other"'),
    ],
    ids=["another module", "another source"],
)
def test_a_call_is_missing(folder: Path, text: str) -> None:
    (folder / "more.tf").write_text(text, encoding="utf-8")
    assert not is_initialized(folder, {})


def test_a_backend_is_initialized_unless_it_is_not_used(folder: Path) -> None:
    (folder / "backend.tf").write_text(_BACKEND, encoding="utf-8")
    assert not is_initialized(folder, {})
    assert is_initialized(folder, {}, backend=False)
    (folder / ".terraform" / "terraform.tfstate").write_text("{}", encoding="utf-8")
    assert is_initialized(folder, {})


def test_another_data_directory_counts(folder: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert not is_initialized(folder, {"TF_DATA_DIR": str(data)})
    _install(data)
    assert is_initialized(folder, {"TF_DATA_DIR": str(data)})
