"""The state that Terraform keeps in a file: to have Terraform print it takes as long as a start.

Source: https://github.com/hashicorp/terraform/blob/v1.11.4/internal/states/statefile/version4.go.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def attributes(state: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the attributes of each resource and data source by its address."""
    return {
        _address(resource, instance): instance["attributes"]
        for resource in state["resources"]
        for instance in resource["instances"]
    }


def outputs(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the outputs by name."""
    return {name: output["value"] for name, output in state["outputs"].items()}


def _address(resource: Mapping[str, Any], instance: Mapping[str, Any]) -> str:
    data = ["data"] if resource["mode"] == "data" else []
    module = [resource["module"]] if "module" in resource else []
    index = f"[{json.dumps(instance['index_key'])}]" if "index_key" in instance else ""
    return ".".join([*module, *data, resource["type"], resource["name"]]) + index
