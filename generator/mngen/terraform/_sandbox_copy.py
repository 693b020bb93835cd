"""The copy of the rendered Terraform in which the sandbox works, apart from the real state."""

from __future__ import annotations

import filecmp
import hashlib
import shutil
from pathlib import Path

from mngen.errors import ToolError

_OVERRIDE = "zz_sandbox_override.tf"
# An override file replaces the backend block of the configuration:
# https://developer.hashicorp.com/terraform/language/files/override
_OVERRIDE_TEXT = """\
# The sandbox keeps its state here, regardless of the configured backend.
terraform {
  backend "local" {}
}
"""
SANDBOX_AMIS = "zz_sandbox_amis.auto.tfvars.json"
"""The sandbox's own record of AMIs, in its copy.

Terraform reads it after the real record, whose images the sandbox does not have.
"""
SANDBOX_DIGESTS = "zz_sandbox_container.auto.tfvars.json"
"""The sandbox's own record of container images, likewise."""

_TERRAFORM_FOLDER = ".terraform"
_TERRAFORM_FILES = (".terraform.lock.hcl", ".terraform.tfstate.lock.info", "crash.log")


def sandbox_folder(folder: Path, home: Path) -> Path:
    """Copies a rendered Terraform folder into the sandbox, or updates its copy.

    The copy has a local backend and its own state, providers and lock file, which stay from
    call to call; all else follows the folder, deletions included. The folder is only read.

    Args:
        folder: The rendered folder, such as `deploy/terraform`.
        home: The sandbox's own folder.

    Returns:
        The copy: `<home>/deploy-<hash of the folder's absolute path>/terraform`.

    Raises:
        ToolError: A file cannot be read or written.
    """
    real = folder.resolve()
    digest = hashlib.sha256(str(real).encode()).hexdigest()[:12]
    copy = home / f"deploy-{digest}" / "terraform"
    try:
        _bring_up_to_date(real, copy)
    except OSError as error:
        raise ToolError(
            f"cannot copy {folder} for the sandbox: {error.strerror}: {error.filename}"
        ) from None
    return copy


def _bring_up_to_date(real: Path, copy: Path) -> None:
    wanted = {path for path in _files(real) if path != Path(_OVERRIDE)}
    for path in _files(copy) - wanted:
        (copy / path).unlink()
    for path in wanted:
        target = copy / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if not (target.is_file() and filecmp.cmp(real / path, target, shallow=False)):
            target.unlink(missing_ok=True)
            shutil.copyfile(real / path, target)
    copy.mkdir(parents=True, exist_ok=True)
    (copy / _OVERRIDE).write_text(_OVERRIDE_TEXT)


def _files(folder: Path) -> set[Path]:
    """Lists the files of a configuration, without what is kept beside them (state, records)."""
    return {
        path.relative_to(folder)
        for path in folder.rglob("*")
        if not path.is_dir() and not _is_kept_apart(path.relative_to(folder))
    }


def _is_kept_apart(path: Path) -> bool:
    return (
        _TERRAFORM_FOLDER in path.parts
        or path.name in (*_TERRAFORM_FILES, SANDBOX_AMIS, SANDBOX_DIGESTS)
        or ".tfstate" in path.name
    )
