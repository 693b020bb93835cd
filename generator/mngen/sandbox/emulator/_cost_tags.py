"""Cost allocation tags of AWS Billing, which moto's Cost Explorer does not have.

Which keys Billing knows is set by the control of the sandbox: on AWS, one takes up to 24 hours
after the first resource has it. Accounts of an organization that do not pay are refused. The
sandbox's account is one in use, where the tag of deployments is active.

Source: the model `ce` of botocore 1.44 and the API reference that is made from it,
https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_ListCostAllocationTags.html,
API_UpdateCostAllocationTagsStatus.html; the refusal as printed in
https://github.com/hashicorp/terraform-provider-aws/issues/37636.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from moto.ce.models import CostExplorerBackend
from moto.ce.responses import CostExplorerResponse
from moto.core.exceptions import JsonRESTError

from mngen.cluster import DEPLOYMENT_TAG
from mngen.sandbox.emulator._patch import patch

if TYPE_CHECKING:
    from collections.abc import Mapping


class CostTags:
    """What Billing knows of tags."""

    def billed_tags(self) -> dict[str, str]:
        """Returns the states of the keys that it knows."""
        tags: dict[str, str] = vars(self).setdefault("cost_tags", {DEPLOYMENT_TAG: "Active"})
        return tags


class CostTagActions:
    """The actions of Cost Explorer about them."""

    ce_backend: Any
    body: Any

    def list_cost_allocation_tags(self) -> str:
        """Lists keys, those that are asked for, with their states."""
        asked = json.loads(self.body)
        self._require_payer("list")
        found = [
            {"TagKey": key, "Type": "UserDefined", "Status": status}
            for key, status in self.ce_backend.billed_tags().items()
            if key in asked.get("TagKeys", [key]) and status == asked.get("Status", status)
        ]
        return json.dumps({"CostAllocationTags": found})

    def update_cost_allocation_tags_status(self) -> str:
        """Activates keys or deactivates them."""
        self._require_payer("update")
        known = self.ce_backend.billed_tags()
        errors = []
        for each in json.loads(self.body)["CostAllocationTagsStatus"]:
            if each["TagKey"] in known:
                known[each["TagKey"]] = each["Status"]
            else:
                errors.append({"TagKey": each["TagKey"], "Code": "TagKeysNotFound"})
        return json.dumps({"Errors": errors})

    def _require_payer(self, verb: str) -> None:
        if vars(self.ce_backend).get("linked"):
            raise JsonRESTError(
                "AccessDeniedException",
                f"Failed to {verb} Cost Allocation Tags: Linked account doesn't have access to "
                "cost allocation tags.",
            )


def set_cost_tags(backend: Any, tags: Mapping[str, str] | None) -> None:
    """Sets which keys Billing knows.

    Args:
        backend: The Cost Explorer of the account.
        tags: `Active` or `Inactive` by key; None for an account for which another one pays.
    """
    vars(backend)["linked"] = tags is None
    vars(backend)["cost_tags"] = dict(tags or {})


def close() -> None:
    """Puts these beside moto's own."""
    patch(CostExplorerBackend, CostTags, adds=("billed_tags",))
    patch(
        CostExplorerResponse,
        CostTagActions,
        adds=(
            "_require_payer",
            "list_cost_allocation_tags",
            "update_cost_allocation_tags_status",
        ),
    )
