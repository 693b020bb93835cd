"""The state that Terraform keeps in a file: to have Terraform print it takes as long as a start.

Sources: https://github.com/hashicorp/terraform/blob/v1.11.4/internal/states/statefile/version4.go,
for addresses https://github.com/hashicorp/terraform/blob/v1.11.4/internal/addrs/instance_key.go,
for what is printed https://developer.hashicorp.com/terraform/internals/json-format.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

Attributes = dict[str, dict[str, Any]]
"""The attributes of each resource and data source by its address.

Those of an instance that was replaced, and is still to be deleted, where no other is there.
"""


def attributes(state: Mapping[str, Any]) -> Attributes:
    """Return the attributes that a state has."""
    return {
        _address(resource, instance): _values(resource["type"], instance["attributes"])
        for resource in state["resources"]
        for instance in sorted(resource["instances"], key=lambda each: "deposed" not in each)
    }


def resources(state: Mapping[str, Any]) -> list[str]:
    """List the addresses of what is in a state, without data sources."""
    managed = [each for each in state["resources"] if each["mode"] == "managed"]
    return list(attributes({"resources": managed}))


def outputs(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the outputs by name."""
    return {name: output["value"] for name, output in state["outputs"].items()}


def printed_attributes(module: Mapping[str, Any]) -> Attributes:
    """Return the attributes in what `terraform show -json` prints of a module, with those in it."""
    own = sorted(module.get("resources", ()), key=lambda each: "deposed_key" not in each)
    found = {each["address"]: each["values"] for each in own}
    for child in module.get("child_modules", ()):
        found |= printed_attributes(child)
    return found


def _address(resource: Mapping[str, Any], instance: Mapping[str, Any]) -> str:
    data = ["data"] if resource["mode"] == "data" else []
    module = [resource["module"]] if "module" in resource else []
    index = f"[{_key(instance['index_key'])}]" if "index_key" in instance else ""
    return ".".join([*module, *data, resource["type"], resource["name"]]) + index


def _values(kind: str, attributes: dict[str, Any]) -> dict[str, Any]:
    """Return values without their type, which is kept with those that may be of any."""
    if kind != "terraform_data":
        return attributes
    return {
        name: value["value"] if isinstance(value, dict) else value
        for name, value in attributes.items()
    }


def _key(index: str | int) -> str:
    text = json.dumps(index, ensure_ascii=False)
    return text.replace("${", "$${").replace("%{", "%%{")
