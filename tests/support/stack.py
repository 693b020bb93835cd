"""A deployment as its user sees it: a spec, the rendered tree, and the real Terraform in it."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING, Any

from mngen.render import Deployment, render_file

if TYPE_CHECKING:
    from pathlib import Path

    from mngen.sandbox import Sandbox

_MODULE = re.compile(r'^module "([^"]+)"', re.MULTILINE)
_CHANGES = 2
"""What `terraform plan -detailed-exitcode` exits with where something would change."""

AMI = "ami-0123456789abcdef{}"

Changes = dict[str, list[str]]
"""Planned actions by resource address, those without any left out."""


class Stack:
    """One deployment in a folder of its own, against a sandbox.

    Args:
        folder: An empty folder.
        sandbox: The emulated AWS.
        env: The environment that finds the provider.
        region: AWS region.
    """

    def __init__(
        self, folder: Path, sandbox: Sandbox, env: dict[str, str], region: str = "us-east-1"
    ) -> None:
        self.folder = folder
        self.terraform_folder = folder / "deploy" / "terraform"
        self._env = sandbox.environment(region, env)
        self._installed: list[str] = []

    def render(self, spec: str) -> None:
        """Write the spec and render it for the provider that is installed here."""
        file = self.folder / "mngen.yaml"
        file.write_text(spec, encoding="utf-8")
        Deployment(self.folder / "deploy").write(render_file(file, provider=5))

    def record_images(self, *images: str) -> None:
        """Write the record that a bake would leave."""
        amis = {image: {"id": AMI.format(n), "note": "x"} for n, image in enumerate(images)}
        file = self.terraform_folder / "amis.auto.tfvars.json"
        file.write_text(json.dumps({"amis": amis}), encoding="utf-8")

    def ami(self, image: str) -> str:
        """Return the id that is recorded for an image."""
        file = self.terraform_folder / "amis.auto.tfvars.json"
        return str(json.loads(file.read_text(encoding="utf-8"))["amis"][image]["id"])

    def plan(self) -> Changes:
        """Plan, and return what would change."""
        modules = self._modules()
        if modules != self._installed:
            self._terraform("init")
            self._installed = modules
        # Each command starts the provider, for seconds: `show` only where there is a change.
        if not self._terraform("plan", "-out=plan.bin", "-detailed-exitcode", changes=True):
            return {}
        plan = json.loads(self._terraform("show", "-json", "plan.bin"))
        return {
            change["address"]: change["change"]["actions"]
            for change in plan.get("resource_changes", [])
            if change["mode"] == "managed" and change["change"]["actions"] != ["no-op"]
        }

    def apply(self) -> None:
        """Apply exactly the last plan."""
        self._terraform("apply", "plan.bin")

    def destroy(self) -> None:
        """Destroy everything."""
        self._terraform("destroy", "-auto-approve")

    def outputs(self) -> dict[str, Any]:
        """Read the outputs."""
        outputs = json.loads(self._terraform("output", "-json"))
        return {name: output["value"] for name, output in outputs.items()}

    def resources(self) -> list[str]:
        """List what is in the state, without data sources."""
        addresses = self._terraform("state", "list").splitlines()
        return [address for address in addresses if "data." not in address]

    def _modules(self) -> list[str]:
        files = sorted(self.terraform_folder.glob("*.tf"))
        return [name for file in files for name in _MODULE.findall(file.read_text("utf-8"))]

    def _terraform(self, *arguments: str, changes: bool = False) -> str:
        """Run a command; with `changes`, return nothing where it says that there are none."""
        done = subprocess.run(
            ["terraform", *arguments, "-no-color"]
            if arguments[0] != "state"
            else ["terraform", *arguments],
            cwd=self.terraform_folder,
            env=self._env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
        if done.returncode not in ((0, _CHANGES) if changes else (0,)):
            raise TerraformError(done.stdout[-2000:] + done.stderr[-6000:])
        return "" if changes and done.returncode == 0 else done.stdout


class TerraformError(AssertionError):
    """Terraform failed; the message is what it said."""


def only(changes: Changes, action: str) -> Changes:
    """Return the changes that hold an action, such as `delete`."""
    return {address: actions for address, actions in changes.items() if action in actions}
