from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mngen.errors import ToolError
from mngen.terraform import SANDBOX_AMIS, SANDBOX_DIGESTS, sandbox_folder
from tests.support.cli import read_tree

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "deploy" / "terraform"
    (folder / "modules" / "network").mkdir(parents=True)
    (folder / "main.tf").write_text('terraform {\n  backend "s3" {}\n}\n')
    (folder / "modules" / "network" / "main.tf").write_text("# network\n")
    (folder / "amis.auto.tfvars.json").write_text("{}\n")
    (folder / "terraform.tfstate").write_text("the real state")
    (folder / ".terraform.lock.hcl").write_text("the real lock")
    (folder / ".terraform").mkdir()
    (folder / ".terraform" / "terraform.tfstate").write_text("the real backend")
    return folder


def test_the_copy_has_the_configuration_and_nothing_of_the_real_state(
    folder: Path, tmp_path: Path
) -> None:
    real = read_tree(folder)
    copy = sandbox_folder(folder, tmp_path / "home")
    assert copy.parent.parent == tmp_path / "home"
    assert set(read_tree(copy)) == {
        "main.tf",
        "modules/network/main.tf",
        "amis.auto.tfvars.json",
        "zz_sandbox_override.tf",
    }
    assert 'backend "local"' in (copy / "zz_sandbox_override.tf").read_text()
    assert read_tree(folder) == real


def test_the_copy_follows_the_folder_and_keeps_its_own_state(folder: Path, tmp_path: Path) -> None:
    copy = sandbox_folder(folder, tmp_path)
    (copy / "terraform.tfstate").write_text("the sandbox's state")
    (copy / SANDBOX_AMIS).write_text("the sandbox's machine images")
    (copy / SANDBOX_DIGESTS).write_text("the sandbox's container images")
    (copy / ".terraform" / "providers").mkdir(parents=True)
    (copy / ".terraform" / "providers" / "p").write_text("p")
    (folder / "main.tf").write_text("# changed\n")
    (folder / "amis.auto.tfvars.json").unlink()
    (folder / "new.tf").write_text("# new\n")
    assert sandbox_folder(folder, tmp_path) == copy
    assert read_tree(copy).keys() == {
        "main.tf",
        "new.tf",
        "modules/network/main.tf",
        "zz_sandbox_override.tf",
        "terraform.tfstate",
        SANDBOX_AMIS,
        SANDBOX_DIGESTS,
        ".terraform/providers/p",
    }
    assert (copy / "main.tf").read_text() == "# changed\n"
    assert (copy / "terraform.tfstate").read_text() == "the sandbox's state"


def test_an_unchanged_file_is_left_alone(folder: Path, tmp_path: Path) -> None:
    copy = sandbox_folder(folder, tmp_path)
    before = (copy / "main.tf").stat()
    sandbox_folder(folder, tmp_path)
    after = (copy / "main.tf").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_two_folders_have_two_copies_and_one_folder_one(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other" / "terraform"
    other.mkdir(parents=True)
    (other / "main.tf").write_text("")
    assert sandbox_folder(other, tmp_path) != sandbox_folder(folder, tmp_path)
    monkeypatch.chdir(folder.parent)
    assert sandbox_folder(folder.relative_to(folder.parent), tmp_path) == sandbox_folder(
        folder, tmp_path
    )


def test_a_folder_that_cannot_be_copied_is_named(folder: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.write_text("a file")
    with pytest.raises(ToolError, match="cannot copy"):
        sandbox_folder(folder, home)
