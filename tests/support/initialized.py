"""Whether a folder needs `terraform init` before another command.

An `init` that has nothing to install takes as long as a third of a validation. Where this module
does not see that something is missing, Terraform itself refuses the command that follows.

Source: https://developer.hashicorp.com/terraform/cli/commands/init,
https://github.com/hashicorp/terraform/blob/v1.11.4/internal/modsdir/manifest.go,
https://developer.hashicorp.com/terraform/cli/config/environment-variables#tf_data_dir.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_MODULE = re.compile(r'^module "([^"]+)" {\n  source += "([^"]+)"', re.MULTILINE)
_BACKEND = re.compile(r'^  backend "', re.MULTILINE)


def is_initialized(folder: Path, env: Mapping[str, str], *, backend: bool = True) -> bool:
    """Return whether Terraform has installed the modules that the files of a folder call.

    Providers are not looked at: they are attached, or installed with the modules.

    Args:
        folder: The root module, as mngen renders it: its modules call no others.
        env: The environment of the commands, which may name another data directory.
        backend: Whether the backend has to be initialized as well, if there is one.
    """
    data = folder / env.get("TF_DATA_DIR", ".terraform")
    texts = [file.read_text(encoding="utf-8") for file in folder.glob("*.tf")]
    if backend and any(map(_BACKEND.search, texts)) and not (data / "terraform.tfstate").exists():
        return False
    called = {call for text in texts for call in _MODULE.findall(text)}
    return called <= _installed(data / "modules" / "modules.json")


def _installed(manifest: Path) -> set[tuple[str, str]]:
    """Read the name and the source of each module that is installed."""
    if not manifest.exists():
        return set()
    modules = json.loads(manifest.read_text(encoding="utf-8"))["Modules"]
    return {(module["Key"], module["Source"]) for module in modules}
