"""The arguments of the module that registers a job definition as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mngen.render._hcl import Hcl, expression

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mngen.spec import JobDefinition

_ARGUMENTS = {
    "type": "type",
    "parameters": "parameters",
    "platformCapabilities": "platform_capabilities",
    "propagateTags": "propagate_tags",
    "schedulingPriority": "scheduling_priority",
    "tags": "tags",
}
_JSON = {"containerProperties": "container_properties", "nodeProperties": "node_properties"}
_CONDITION = {
    "action": "action",
    "onExitCode": "on_exit_code",
    "onReason": "on_reason",
    "onStatusReason": "on_status_reason",
}


def provider_conditions(conditions: Iterable[Mapping[str, str]]) -> list[dict[str, str]]:
    """Returns the conditions of a retry strategy in the words of the AWS provider."""
    return [{_CONDITION[key]: value for key, value in each.items()} for each in conditions]


def registered(definition: JobDefinition) -> dict[str, Any]:
    """Returns the arguments of the module for a definition, those that it does not have left out.

    All of the definition is in them, since the spec has refused what the provider cannot register.
    """
    content = definition.content
    found: dict[str, Any] = {
        argument: content[key] for key, argument in _ARGUMENTS.items() if key in content
    }
    retries = content.get("retryStrategy", {})
    if "attempts" in retries:
        found["attempts"] = retries["attempts"]
    if retries.get("evaluateOnExit"):
        found["evaluate_on_exit"] = provider_conditions(retries["evaluateOnExit"])
    if "timeout" in content:
        found["timeout_seconds"] = content["timeout"]["attemptDurationSeconds"]
    for key, argument in _JSON.items():
        if key in content:
            found[argument] = Hcl(f"jsonencode({expression(content[key])})")
    return found
