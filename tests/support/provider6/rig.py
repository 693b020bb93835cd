"""Terraform's own verdict on a folder, with the provider of `server` attached.

Terraform reaches that provider over a unix socket, so that `init` needs no registry and no mirror,
checks no version constraint on it and writes no lock file.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.initialized import is_initialized
from tests.support.states import attributes
from tests.support.terraform_program import terraform

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_ROOT = Path(__file__).resolve().parents[3]
_TIMEOUT = 120.0
_CHANGES = 2
"""What `terraform plan -detailed-exitcode` exits with where something would change."""

_LOCAL_BACKEND = 'terraform {\n  backend "local" {}\n}\n'


class RigError(Exception):
    """The rig itself failed: the message holds what the process printed."""


@dataclass(frozen=True)
class Diagnostic:
    """One problem that Terraform reported.

    Attributes:
        severity: "error" or "warning".
        summary: The headline, such as "Unsupported argument".
        detail: The explanation, with Terraform's guess at what was meant.
        file: The file, relative to the folder; empty where there is none.
        line: Its line, counted from 1; 0 where there is none.
    """

    severity: str
    summary: str
    detail: str
    file: str
    line: int

    def __str__(self) -> str:
        """Returns the diagnostic in one line, for an assertion's message."""
        place = f"{self.file}:{self.line}: " if self.file else ""
        return f"{place}{self.severity}: {self.summary}: {self.detail}"


@dataclass(frozen=True)
class Plan:
    """What Terraform would do.

    Attributes:
        diagnostics: The problems it reported; with an error there are no changes.
        changes: Resource address -> its actions, such as ("create",) or ("delete", "create");
            what stays as it is is left out.
        values: Resource address -> its planned attributes; unknown ones are left out.
        outputs: Output -> its planned value; unknown ones are left out.
    """

    diagnostics: list[Diagnostic]
    changes: dict[str, tuple[str, ...]]
    values: dict[str, dict[str, Any]]
    outputs: dict[str, Any]


@contextlib.contextmanager
def provider6() -> Iterator[dict[str, str]]:
    """Runs the provider; yields the whole environment for `terraform`.

    Nothing of the user's own Terraform or AWS settings is in it.

    Raises:
        RigError: The provider did not start.
    """
    with tempfile.TemporaryDirectory(prefix="provider6-") as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.provider6.server", f"{folder}/socket"],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with process:
            try:
                reattach = process.stdout.readline() if process.stdout else ""
                if not reattach:
                    raise RigError("the provider did not start; its standard error says why")
                cli_config = Path(folder) / "empty.tfrc"
                cli_config.touch()
                yield {
                    **{
                        name: value
                        for name, value in os.environ.items()
                        if not name.startswith(("AWS_", "TF_"))
                    },
                    "CHECKPOINT_DISABLE": "1",
                    "TF_CLI_CONFIG_FILE": str(cli_config),
                    "TF_INPUT": "0",
                    "TF_IN_AUTOMATION": "1",
                    "TF_REATTACH_PROVIDERS": reattach.strip(),
                }
            finally:
                if process.stdin:
                    process.stdin.close()
                try:
                    process.wait(timeout=10)
                except subprocess.TimeoutExpired:
                    process.kill()


def use_local_backend(folder: Path) -> None:
    """Overrides a remote backend of the root module in `folder`, a copy, by a local one.

    `validate` works without; `plan` and `apply` would ask for the remote state.
    """
    (folder / "provider6_rig_override.tf").write_text(_LOCAL_BACKEND, encoding="utf-8")


def validate(folder: Path, env: Mapping[str, str]) -> list[Diagnostic]:
    """Runs `init -backend=false` if needed, then `validate`; returns what it reports.

    Raises:
        RigError: Terraform could not start, or `init` failed for another reason than the
            configuration's own errors.
    """
    problems = _init(folder, env, backend=False)
    if problems:
        return problems
    result = _terraform(folder, env, "validate", "-json")
    try:
        report = json.loads(result.stdout)
    except ValueError:
        raise _failure(result) from None
    return [_diagnostic(entry) for entry in report["diagnostics"]]


def plan(
    folder: Path, env: Mapping[str, str], variables: Mapping[str, object] | None = None
) -> Plan:
    """Runs `init` if needed and `plan`; the state is in `folder`, where `apply` keeps it.

    Args:
        folder: The root module, a copy that may be written to.
        env: What `provider6` yields.
        variables: Input variables, as JSON-ready values.

    Raises:
        RigError: Terraform failed without saying why.
    """
    problems = _init(folder, env)
    if problems:
        return Plan(problems, {}, {}, {})
    with tempfile.TemporaryDirectory() as scratch:
        saved = f"{scratch}/plan"
        result = _terraform(
            folder, env, "plan", "-json", f"-out={saved}", *_variable_file(scratch, variables)
        )
        diagnostics = _streamed(result)
        if result.returncode != 0:
            if not diagnostics:
                raise _failure(result)
            return Plan(diagnostics, {}, {}, {})
        shown = _terraform(folder, env, "show", "-json", saved)
    if shown.returncode != 0:
        raise _failure(shown)
    planned = json.loads(shown.stdout)
    return Plan(
        diagnostics,
        {
            change["address"]: tuple(change["change"]["actions"])
            for change in planned.get("resource_changes", [])
            if change["change"]["actions"] != ["no-op"]
        },
        dict(_resource_values(planned.get("planned_values", {}).get("root_module", {}))),
        {
            name: output["value"]
            for name, output in planned.get("planned_values", {}).get("outputs", {}).items()
            if "value" in output
        },
    )


def apply(
    folder: Path, env: Mapping[str, str], variables: Mapping[str, object] | None = None
) -> list[Diagnostic]:
    """Runs `init` if needed and `apply`, with nothing asked; returns what Terraform reports.

    Args:
        folder: The root module, a copy that may be written to; it holds the state afterwards.
        env: What `provider6` yields.
        variables: Input variables, as JSON-ready values.

    Raises:
        RigError: Terraform failed without saying why.
    """
    return _change(folder, env, variables, "apply")


def destroy(
    folder: Path, env: Mapping[str, str], variables: Mapping[str, object] | None = None
) -> list[Diagnostic]:
    """Runs `init` if needed and `destroy`, with nothing asked; the rest is as for `apply`."""
    return _change(folder, env, variables, "destroy")


def pending(
    folder: Path, env: Mapping[str, str], variables: Mapping[str, object] | None = None
) -> list[str]:
    """Plans after an apply; returns what Terraform reports or would change, which must be nothing.

    The arguments are those of `apply`.

    Raises:
        RigError: Terraform failed without saying why.
    """
    with tempfile.TemporaryDirectory() as scratch:
        options = _variable_file(scratch, variables)
        result = _terraform(folder, env, "plan", "-json", "-detailed-exitcode", *options)
    found = [str(each) for each in _streamed(result)]
    found += [
        f"{event['change']['action']} {event['change']['resource']['addr']}"
        for event in _events(result)
        if event["type"] == "planned_change"
    ]
    if result.returncode == _CHANGES and not found:
        found.append("outputs change")
    if result.returncode != 0 and not found:
        raise _failure(result)
    return found


def made(folder: Path) -> dict[str, dict[str, Any]]:
    """Returns the attributes that the state has of each resource and data source, by address."""
    return attributes(json.loads((folder / "terraform.tfstate").read_text(encoding="utf-8")))


def outputs(folder: Path, env: Mapping[str, str]) -> dict[str, Any]:
    """Returns the outputs of what was applied in `folder`: {name: value}.

    Raises:
        RigError: There is no readable state.
    """
    result = _terraform(folder, env, "output", "-json")
    if result.returncode != 0:
        raise _failure(result)
    return {name: output["value"] for name, output in json.loads(result.stdout).items()}


def _change(
    folder: Path, env: Mapping[str, str], variables: Mapping[str, object] | None, command: str
) -> list[Diagnostic]:
    problems = _init(folder, env)
    if problems:
        return problems
    with tempfile.TemporaryDirectory() as scratch:
        result = _terraform(
            folder, env, command, "-json", "-auto-approve", *_variable_file(scratch, variables)
        )
    diagnostics = _streamed(result)
    if result.returncode != 0 and not diagnostics:
        raise _failure(result)
    return diagnostics


def _init(folder: Path, env: Mapping[str, str], *, backend: bool = True) -> list[Diagnostic]:
    if is_initialized(folder, env, backend=backend):
        return []
    result = _terraform(folder, env, "init", "-json", *([] if backend else ["-backend=false"]))
    if result.returncode == 0:
        return []
    diagnostics = _streamed(result)
    if not diagnostics:
        raise _failure(result)
    return diagnostics


def _variable_file(scratch: str, variables: Mapping[str, object] | None) -> list[str]:
    if not variables:
        return []
    path = Path(scratch) / "rig.tfvars.json"
    path.write_text(json.dumps(variables), encoding="utf-8")
    return [f"-var-file={path}"]


def _terraform(
    folder: Path, env: Mapping[str, str], *arguments: str
) -> subprocess.CompletedProcess[str]:
    return terraform(folder, env, *arguments, "-no-color", seconds=_TIMEOUT)


def _failure(result: subprocess.CompletedProcess[str]) -> RigError:
    return RigError(f"{' '.join(result.args)}: {result.stdout}{result.stderr}")


def _streamed(result: subprocess.CompletedProcess[str]) -> list[Diagnostic]:
    """Returns the diagnostics among the JSON lines that `init`, `plan` and `apply` print."""
    return [
        _diagnostic(event["diagnostic"])
        for event in _events(result)
        if event["type"] == "diagnostic"
    ]


def _events(result: subprocess.CompletedProcess[str]) -> Iterator[dict[str, Any]]:
    for line in result.stdout.splitlines():
        with contextlib.suppress(ValueError):
            yield json.loads(line)


def _diagnostic(entry: dict[str, Any]) -> Diagnostic:
    place = entry.get("range") or {}
    return Diagnostic(
        severity=entry["severity"],
        summary=entry["summary"],
        detail=entry.get("detail", ""),
        file=place.get("filename", ""),
        line=place.get("start", {}).get("line", 0),
    )


def _resource_values(module: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for resource in module.get("resources", []):
        yield resource["address"], resource.get("values", {})
    for child in module.get("child_modules", []):
        yield from _resource_values(child)
