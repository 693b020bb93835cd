"""Compute environments as AWS has them."""

from __future__ import annotations

import re
from typing import Any

_UNIQUE_SUFFIX = re.compile(r"-[0-9]{8,}[0-9a-f]*\Z|-[0-9a-f]{26}\Z")


def stem_of(environment: Any) -> str:
    """Returns the name of an environment without what Terraform appends to make it unique.

    Args:
        environment: The structure that DescribeComputeEnvironments holds.
    """
    return _UNIQUE_SUFFIX.sub("", environment["computeEnvironmentName"])


def fault_of(described: Any) -> str | None:
    """Returns what keeps an environment or a queue of the account from taking jobs, or None.

    Args:
        described: The structure that DescribeComputeEnvironments or DescribeJobQueues holds.
    """
    if described.get("status") == "INVALID":
        return f"is INVALID: {described.get('statusReason') or 'no reason given'}"
    if described.get("state") == "DISABLED":
        return "is disabled"
    if described.get("status") in ("DELETING", "DELETED"):
        return "is being deleted"
    return None


def image_of(environment: Any) -> str | None:
    """Returns the AMI that an environment of the account names, or None.

    Args:
        environment: The structure that DescribeComputeEnvironments holds.
    """
    resources = environment.get("computeResources", {})
    for each in resources.get("ec2Configuration", []):
        if each.get("imageIdOverride"):
            return str(each["imageIdOverride"])
    image = resources.get("imageId")
    return str(image) if image else None
