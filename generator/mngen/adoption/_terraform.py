"""Reads what another Terraform configuration manages, from its state.

The attributes are those of the AWS provider, and become what the Batch API describes:
https://registry.terraform.io/providers/hashicorp/aws/latest/docs/resources/batch_job_queue
(and batch_compute_environment, batch_job_definition).
"""

from __future__ import annotations

import json
import re
from shlex import quote
from typing import TYPE_CHECKING, Any, TypeGuard

import msgspec

from mngen._json_text import without_nulls
from mngen.adoption._inventory import Inventory, require
from mngen.adoption._item import Item
from mngen.adoption._lines import Place
from mngen.adoption._queues import environments_of
from mngen.errors import InputError
from mngen.spec import MAX_BYTES, read_file

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

# A block ends at a brace in the first column: Terraform's own style.
_QUEUE = re.compile(
    r'^resource\s+"aws_batch_job_queue"\s+"[^"]+"\s*\{\n(.*?)^\}', re.DOTALL | re.MULTILINE
)
_NAME = re.compile(r'^\s*name\s*=\s*"([A-Za-z0-9_-]+)"', re.MULTILINE)
_REVISION = re.compile(r":\d+\Z")
_WORD = re.compile(r"_([a-z])")
# Lists of the provider that are one object in the API.
_SINGLE = frozenset(
    {
        "computeResources",
        "eksConfiguration",
        "launchTemplate",
        "retryStrategy",
        "timeout",
    }
)
# Where the provider's name is not the API's in another spelling.
_RENAMED = {
    "computeResources": {
        "instanceType": "instanceTypes",
        "minVcpus": "minvCpus",
        "maxVcpus": "maxvCpus",
        "desiredVcpus": "desiredvCpus",
    },
    "environments": {"arn": "computeEnvironmentArn", "name": "computeEnvironmentName"},
    "queues": {
        "arn": "jobQueueArn",
        "name": "jobQueueName",
        "jobStateTimeLimitAction": "jobStateTimeLimitActions",
    },
    "definitions": {"arn": "jobDefinitionArn", "name": "jobDefinitionName"},
}
_KINDS = {
    "aws_batch_compute_environment": "environments",
    "aws_batch_job_queue": "queues",
    "aws_batch_job_definition": "definitions",
}
# What the provider adds, or repeats from other attributes.
_OF_TERRAFORM = frozenset(
    {
        "arnPrefix",
        "computeEnvironmentNamePrefix",
        "computeEnvironments",
        "deregisterOnNewRevision",
        "id",
        "namePrefix",
        "region",
        "tagsAll",
        "timeouts",
        "updatePolicy",
    }
)


class _Shown(msgspec.Struct):
    """A resource that `terraform show -json` prints."""

    address: str
    mode: str
    type: str
    values: dict[str, Any] = {}


class _Module(msgspec.Struct):
    resources: list[_Shown] = []
    child_modules: list[_Module] = []


class _Values(msgspec.Struct):
    outputs: dict[str, dict[str, Any]] = {}
    root_module: _Module = msgspec.field(default_factory=_Module)


class _Instance(msgspec.Struct):
    attributes: dict[str, Any] = {}


class _Pulled(msgspec.Struct):
    """A resource that `terraform state pull` prints, with its instances."""

    mode: str
    type: str
    name: str
    instances: list[_Instance] = []
    module: str = ""


class _State(msgspec.Struct):
    """What is read of a file with a state, in either form: see `read_state` and `_resources`."""

    outputs: dict[str, dict[str, Any]] = {}
    values: _Values = msgspec.field(default_factory=_Values)
    resources: list[_Pulled] = []


def read_terraform(
    path: Path, queues: Collection[str] = (), jobs: Collection[str] = ()
) -> Inventory:
    """Reads the state of a Terraform configuration.

    From that of a deployment of mngen comes the spec of the last apply.

    Args:
        path: The folder of the configuration, where Terraform is initialized if it is not; or a
            file that `terraform state pull` or `terraform show -json` printed.
        queues: Names of the queues; none for all.
        jobs: Names of job definitions that must exist.

    Raises:
        InputError: It is neither, or as for `read_state`.
        ToolError: Terraform cannot read the state.
    """
    if path.is_dir():
        return _read_folder(path, queues, jobs)
    source = f"the Terraform state {path}"
    state = _parsed(path)
    outputs = state.get("outputs", state.get("values", {}).get("outputs", {}))
    written = outputs.get("spec", {}).get("value")
    if _is_spec(written):
        return Inventory(source=source, name=written["name"], written=written)
    return read_state(state, source, queues, jobs)


def _parsed(file: Path) -> dict[str, Any]:
    hint = (
        "pass the folder that you run `terraform apply` in, or what `terraform state pull` prints"
    )
    raw = read_file(file, hint=hint)
    if len(raw) > MAX_BYTES:
        raise InputError(f"{file} is larger than 10 MiB", hint="pass the folder")
    try:
        state = json.loads(raw)
        msgspec.convert(state, _State)
    except (ValueError, RecursionError):
        raise InputError(f"{file} is not a Terraform state", hint=hint) from None
    found: dict[str, Any] = state
    if not {"resources", "values"} & set(found):
        raise InputError(f"{file} is not a Terraform state", hint=hint)
    return found


def _read_folder(folder: Path, queues: Collection[str], jobs: Collection[str]) -> Inventory:
    from mngen.terraform import Terraform

    if not any(folder.glob("*.tf")) and not any(folder.glob("*.tf.json")):
        raise InputError(
            f"there is no Terraform configuration in {folder}",
            hint="pass the folder that you run `terraform apply` in",
        )
    terraform = Terraform(folder)
    # mngen keeps the spec of the last apply in an output, which Terraform reads without a provider.
    written = terraform.outputs().get("spec")
    source = f"the Terraform state of {folder}"
    if _is_spec(written):
        return Inventory(source=source, name=written["name"], written=written)
    return read_state(terraform.state(), source, queues, jobs, named=_named(folder))


def _named(folder: Path) -> list[str]:
    """Returns the names of job queues that the configuration in a folder has literally."""
    found: set[str] = set()
    for file in sorted(folder.glob("*.tf")):
        for block in _QUEUE.findall(read_file(file).decode(errors="replace")):
            found.update(_NAME.findall(block)[:1])
    return sorted(found)


def read_state(
    state: dict[str, Any],
    source: str,
    queues: Collection[str] = (),
    jobs: Collection[str] = (),
    *,
    named: Iterable[str] = (),
) -> Inventory:
    """Reads queues, compute environments and job definitions from a state.

    Args:
        state: What `terraform show -json` or `terraform state pull` prints, parsed.
        source: What it is the state of, for the report.
        queues: Names of the queues; none for all.
        jobs: Names of job definitions that must exist.
        named: Names of queues in the configuration, for a state that has none.

    Raises:
        InputError: The state has no job queues, or not what was asked for.
    """
    inventory = Inventory(source=source, exists=True)
    for resource in _resources(state.get("values", {}).get("root_module", {}), state):
        kind = _KINDS.get(resource.get("type", ""))
        if kind is None or resource.get("mode") != "managed":
            continue
        address = str(resource["address"])
        item = Item(_described(kind, resource["values"]), Place(address))
        found: list[Item] = getattr(inventory, kind)
        found.append(item)
    names = {str(each.data["jobQueueName"]) for each in inventory.queues}
    missing = sorted(set(queues) - names)
    if missing or not names:
        what = f'no job queue "{missing[0]}"' if missing else "no job queues"
        raise InputError(
            f"{inventory.source} has {what}",
            hint="if it is kept elsewhere, such as by another workspace or tool: run `terraform "
            "state pull > state.json` where you apply, and pass that file; if it is lost: import "
            f"with --from-account{''.join(f' --queue {quote(each)}' for each in named)}",
        )
    if queues:
        inventory.queues = [
            each for each in inventory.queues if each.data["jobQueueName"] in queues
        ]
        used = {
            each.rpartition("/")[2]
            for queue in inventory.queues
            for each in environments_of(queue.data)
        }
        inventory.environments = [
            each for each in inventory.environments if each.data["computeEnvironmentName"] in used
        ]
    definitions = [str(each.data["jobDefinitionName"]) for each in inventory.definitions]
    require(jobs, "job definition", definitions, f"in {inventory.source}")
    inventory.released = [each.place.file for each in inventory.queues]
    inventory.released += [
        each.place.file for each in inventory.definitions if each.data["jobDefinitionName"] in jobs
    ]
    return inventory


def _is_spec(value: Any) -> TypeGuard[dict[str, Any]]:
    """Returns whether the output of a state is a spec, and not one of others of the same name."""
    needed = {"name", "region", "environments", "queues"}
    return isinstance(value, dict) and needed <= set(value) and isinstance(value["name"], str)


def _resources(module: dict[str, Any], pulled: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields resources in the form of `terraform show -json`.

    Args:
        module: The root module of what that prints.
        pulled: What `terraform state pull` prints. Its format, version 4, is the one that Terraform
            keeps: https://github.com/hashicorp/terraform/blob/main/internal/states/statefile/version4.go
    """
    yield from module.get("resources", [])
    for each in module.get("child_modules", []):
        yield from _resources(each, {})
    for each in pulled.get("resources", []):
        for instance in each.get("instances", []):
            name = f"{each['type']}.{each['name']}"
            key = f"[{json.dumps(instance['index_key'])}]" if "index_key" in instance else ""
            yield {
                "address": ".".join([*filter(None, [each.get("module")]), name]) + key,
                "mode": each["mode"],
                "type": each["type"],
                "values": instance.get("attributes", {}),
            }


def _described(kind: str, values: dict[str, Any]) -> dict[str, Any]:
    data = _camel(values, _RENAMED[kind])
    if kind == "queues" and not data.get("computeEnvironmentOrder"):
        # The older form, which only the AWS provider before 6.0 has.
        data["computeEnvironmentOrder"] = [
            {"order": number, "computeEnvironment": each}
            for number, each in enumerate(data.get("computeEnvironments", []))
        ]
    data = {key: value for key, value in data.items() if key not in _OF_TERRAFORM}
    for key in ("containerProperties", "nodeProperties", "ecsProperties", "eksProperties"):
        if isinstance(data.get(key), str):
            data[key] = without_nulls(json.loads(data[key]))
    # The provider's zeros for what is not set.
    for owner, key in (
        (data, "schedulingPriority"),
        (data.get("computeResources", {}), "bidPercentage"),
    ):
        if not owner.get(key):
            owner.pop(key, None)
    if kind == "definitions":
        data["status"] = "ACTIVE"
        if not _REVISION.search(str(data["jobDefinitionArn"])):
            data["jobDefinitionArn"] = f"{data['jobDefinitionArn']}:{data['revision']}"
    return data


def _camel(values: dict[str, Any], renamed: dict[str, str]) -> dict[str, Any]:
    """Returns attributes with the API's names, without those that have no value."""
    data = {}
    for name, value in values.items():
        key = _WORD.sub(lambda found: found[1].upper(), name)
        key = renamed.get(key, key)
        found = value
        if isinstance(value, list) and value and isinstance(value[0], dict):
            below = [_camel(each, _RENAMED.get(key, {})) for each in value]
            found = below[0] if key in _SINGLE else below
        if found not in (None, "", [], {}):
            data[key] = found
    return data
