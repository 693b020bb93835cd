"""Reads what another Terraform configuration manages, from its state.

The attributes are those of the AWS provider, and become what the Batch API describes:
https://registry.terraform.io/providers/hashicorp/aws/latest/docs/resources/batch_job_queue
(and batch_compute_environment, batch_job_definition).
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from mngen._json_text import without_nulls
from mngen.adoption._inventory import Inventory, require
from mngen.adoption._item import Item
from mngen.adoption._lines import Place
from mngen.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

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


def read_folder(
    folder: Path, queues: Collection[str] = (), jobs: Collection[str] = ()
) -> Inventory:
    """Reads the state of the Terraform configuration in a folder.

    Args:
        folder: The folder; Terraform is initialized there if it is not.
        queues: Names of the queues; none for all.
        jobs: Names of job definitions that must exist.

    Raises:
        InputError: It is not a folder with a Terraform configuration, or as for `read_state`.
        ToolError: Terraform cannot read the state.
    """
    from mngen.terraform import Terraform

    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}")
    if not any(folder.glob("*.tf")) and not any(folder.glob("*.tf.json")):
        raise InputError(
            f"there is no Terraform configuration in {folder}",
            hint="pass the folder that you run `terraform apply` in",
        )
    return read_state(Terraform(folder).state(), str(folder), queues, jobs)


def read_state(
    state: dict[str, Any],
    source: str,
    queues: Collection[str] = (),
    jobs: Collection[str] = (),
) -> Inventory:
    """Reads queues, compute environments and job definitions from a state.

    Args:
        state: What `terraform show -json` prints, parsed.
        source: The folder, for the report.
        queues: Names of the queues; none for all.
        jobs: Names of job definitions that must exist.

    Raises:
        InputError: The state has no job queues, or not what was asked for.
    """
    inventory = Inventory(source=f"the Terraform state of {source}", exists=True)
    for resource in _resources(state.get("values", {}).get("root_module", {})):
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
            hint="run `terraform apply` there first, or import with --from-account",
        )
    if queues:
        inventory.queues = [
            each for each in inventory.queues if each.data["jobQueueName"] in queues
        ]
        used = {
            str(each.get("computeEnvironment")).rpartition("/")[2]
            for queue in inventory.queues
            for each in queue.data.get("computeEnvironmentOrder", [])
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


def _resources(module: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from module.get("resources", [])
    for each in module.get("child_modules", []):
        yield from _resources(each)


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
