"""Records the state that real Terraform has of another configuration, for tests of the import.

Where the Terraform registry can be reached, `terraform init` fetches the module; else name a folder
with a clone of https://github.com/terraform-aws-modules/terraform-aws-batch at v2.1.0:

    .venv/bin/python scripts/provider_mirror.py --run \
        .venv/bin/python -m tests.support.module_state [FOLDER]

It applies tests/specs/states/module/main.tf to the emulated AWS and writes state.json beside it, as
`terraform show -json` prints it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[1] / "specs" / "states" / "module"
_SOURCE = re.compile(r'source +=.*batch/aws"\n +version.*\n')


def state() -> Any:
    """Returns what was recorded, to be changed at will."""
    return json.loads((FOLDER / "state.json").read_text(encoding="utf-8"))


def record(module: str | None) -> None:
    """Applies the configuration, and writes its state.

    Args:
        module: Folder of the module; None to fetch it.
    """
    from mngen.sandbox import start_sandbox

    with tempfile.TemporaryDirectory() as name, start_sandbox() as sandbox:
        folder = Path(name)
        text = (FOLDER / "main.tf").read_text(encoding="utf-8")
        if module is not None:
            shutil.copytree(module, folder / "module")
            text = _SOURCE.sub('source = "./module"\n', text)
        (folder / "main.tf").write_text(text, encoding="utf-8")
        env = sandbox.environment("eu-west-1", os.environ)
        for command in (["init"], ["apply", "-auto-approve"]):
            subprocess.run(["terraform", *command], cwd=folder, env=env, check=True)
        shown = subprocess.run(
            ["terraform", "show", "-json"], cwd=folder, env=env, check=True, capture_output=True
        )
    found = json.dumps(json.loads(shown.stdout), indent=1, sort_keys=True)
    (FOLDER / "state.json").write_text(found + "\n", encoding="utf-8")


if __name__ == "__main__":
    record(sys.argv[1] if len(sys.argv) > 1 else None)
