"""A deployment as its user sees it: a spec, the rendered tree, and the real Terraform in it."""

from __future__ import annotations

import json
import re
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

from mngen.render import Deployment, render
from mngen.rules import open_cluster
from mngen.terraform import Terraform
from tests.support.cli import mngen
from tests.support.initialized import is_initialized
from tests.support.provider import attached
from tests.support.states import attributes, outputs, printed_attributes, resources
from tests.support.terraform_program import terraform

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tests.support.states import Attributes

_SECONDS = 900
"""How long a command may take on a busy machine."""

_CHANGES = 2
"""What `terraform plan -detailed-exitcode` exits with where something would change."""

_LUSTRE = """resource "aws_fsx_lustre_file_system" "this" {
  timeouts {
    delete = "1s"
  }
}
"""
"""Limits the wait of provider 5.100 after it asks FSx for a deletion, of ten minutes."""

AMI = "ami-0123456789abcdef{}"

Changes = dict[str, list[str]]
"""Actions by resource address, those without any left out."""

_ACTIONS = {
    "create": ["create"],
    "update": ["update"],
    "delete": ["delete"],
    # Which comes first is not known before it is done.
    "replace": ["create", "delete"],
}


class Stack:
    """One deployment in its own folder, against a sandbox.

    In a `with` statement, one process of the provider serves all commands.

    Args:
        folder: An empty folder.
        env: The environment that finds the provider and leads to the emulated AWS.
        program: How mngen is started; by default as `tests.support.cli.mngen` does.
    """

    def __init__(
        self, folder: Path, env: dict[str, str], program: Sequence[str] | None = None
    ) -> None:
        self.folder = folder
        self.terraform_folder = folder / "deploy" / "terraform"
        self._env = dict(env)
        self._program = program
        self._provider = ExitStack()

    def __enter__(self) -> Self:
        self._env |= self._provider.enter_context(attached(self.folder, self._env))
        return self

    def __exit__(self, *_: object) -> None:
        self._provider.close()

    def mngen(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command as a user does."""
        return mngen(
            *arguments, cwd=self.folder, program=self._program, env=self._env, timeout=_SECONDS
        )

    def render(self, spec: str) -> None:
        """Write the spec and render it for the provider that is installed here."""
        file = self.folder / "mngen.yaml"
        file.write_text(spec, encoding="utf-8")
        Deployment(self.folder / "deploy").write(render(open_cluster(file), provider=5))
        lustre = self.terraform_folder / "modules" / "fsx" / "main.tf"
        override = lustre.with_name("timeouts_override.tf")
        # Rendering again leaves it, and it may only be where the resource is.
        override.unlink(missing_ok=True)
        if lustre.is_file() and _LUSTRE.partition("\n")[0] in lustre.read_text("utf-8"):
            override.write_text(_LUSTRE, encoding="utf-8")

    def record_images(self, *images: str) -> dict[str, str]:
        """Write the record that a bake would leave, and return the AMI of each image."""
        amis = {image: AMI.format(number) for number, image in enumerate(images)}
        self.record_amis(amis)
        return amis

    def record_amis(self, amis: dict[str, str]) -> None:
        """Write the record of AMIs that exist, by the names of their images."""
        record = {image: {"id": ami, "note": "x"} for image, ami in amis.items()}
        file = self.terraform_folder / "amis.auto.tfvars.json"
        file.write_text(json.dumps({"amis": record}), encoding="utf-8")

    def apply(self, *, refresh: bool = True) -> Changes:
        """Apply, and return what was planned; of a replacement, what was done in its order.

        The provider takes seconds to start, so this is one command: Terraform's events show both.

        Args:
            refresh: Whether Terraform first reads again what stands, as it does for a user. What
                differs from the state is then seen; `unchanged` sees it as well.

        Raises:
            AssertionError: What was done is not what was planned.
        """
        self._initialize()
        planned: Changes = {}
        done: Changes = {}
        options = [] if refresh else ["-refresh=false"]
        for line in self._terraform("apply", "-auto-approve", "-json", *options).splitlines():
            event = json.loads(line)
            if event["type"] == "planned_change" and event["change"]["action"] != "read":
                change = event["change"]
                planned[change["resource"]["addr"]] = _ACTIONS[change["action"]]
            elif event["type"] == "apply_start" and event["hook"]["action"] != "read":
                hook = event["hook"]
                done.setdefault(hook["resource"]["addr"], []).append(hook["action"])
        assert {address: set(actions) for address, actions in planned.items()} == {
            address: set(actions) for address, actions in done.items()
        }
        return done

    def unchanged(self) -> bool:
        """Plan, and return whether no resource and no output would change."""
        self._initialize()
        return not self._terraform("plan", "-detailed-exitcode", changes=True)

    def plan(self) -> dict[str, Any]:
        """Plan what would change of what the state knows, and return the plan as data."""
        self._initialize()
        self._terraform("plan", "-refresh=false", "-out=changes.tfplan")
        plan: dict[str, Any] = json.loads(self._terraform("show", "-json", "changes.tfplan"))
        return plan

    def kept(self) -> dict[str, str]:
        """Plan as `mngen plan` does, and return what only gets another address, by its former one.

        Raises:
            AssertionError: Anything else would change.
        """
        self._initialize()
        with Terraform(self.terraform_folder, self._env).plan() as plan:
            assert changes(plan.data) == {}
            return {
                each["previous_address"]: each["address"]
                for each in plan.data["resource_changes"]
                if "previous_address" in each
            }

    def destroy(self) -> None:
        """Destroy everything; Lustre's deletion is not waited for, and found on a second try."""
        self._initialize()
        try:
            self._terraform("destroy", "-auto-approve")
        except TerraformError as error:
            if not re.search(r"for\s+Lustre\s+File\s+System\s+\(\S+\)\s+delete", str(error)):
                raise
            self._terraform("destroy", "-auto-approve")

    def attributes(self) -> Attributes:
        """Return the attributes that the state has."""
        return attributes(self._state())

    def values(self, address: str) -> dict[str, Any]:
        """Return the attributes that the state has of a resource."""
        return self.attributes()[address]

    def printed_attributes(self) -> Attributes:
        """Have Terraform print the attributes that the state has."""
        shown = json.loads(self._terraform("show", "-json"))
        return printed_attributes(shown["values"]["root_module"])

    def outputs(self) -> dict[str, Any]:
        """Return the outputs that the state has."""
        return outputs(self._state())

    def resources(self) -> list[str]:
        """List what is in the state, without data sources."""
        return resources(self._state())

    def _state(self) -> dict[str, Any]:
        """Read the state: its file, or what Terraform has of it in a bucket."""
        folder = self.terraform_folder
        if workspace := self._env.get("TF_WORKSPACE"):
            folder = folder / "terraform.tfstate.d" / workspace
        file = folder / "terraform.tfstate"
        is_local = file.exists()
        text = file.read_text(encoding="utf-8") if is_local else self._terraform("state", "pull")
        state: dict[str, Any] = json.loads(text)
        return state

    def _initialize(self) -> None:
        if not is_initialized(self.terraform_folder, self._env):
            self._terraform("init")

    def _terraform(self, *arguments: str, changes: bool = False) -> str:
        """Run a command; with `changes`, return nothing if there are none."""
        plain = () if "-json" in arguments or arguments[0] == "state" else ("-no-color",)
        done = terraform(self.terraform_folder, self._env, *arguments, *plain, seconds=_SECONDS)
        if done.returncode not in ((0, _CHANGES) if changes else (0,)):
            raise TerraformError(done.stdout[-2000:] + done.stderr[-6000:])
        return "" if changes and done.returncode == 0 else done.stdout


class TerraformError(AssertionError):
    """Terraform failed; the message is its output."""


def changes(plan: Mapping[str, Any]) -> Changes:
    """Return the actions of a plan by address, those that do nothing left out."""
    found = {
        each["address"]: each["change"]["actions"]
        for each in plan["resource_changes"]
        if each["mode"] == "managed"
    }
    return {address: actions for address, actions in found.items() if actions != ["no-op"]}


def only(changes: Changes, action: str) -> Changes:
    """Return the changes that hold an action, such as `delete`."""
    return {address: actions for address, actions in changes.items() if action in actions}
