"""Whether the tag of deployments counts for costs, as AWS Billing has it."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from mngen._aws import was_denied

_LINKED = "Linked account"
"""How the refusal to an account that does not pay is worded; one by IAM has other words.

Source: https://github.com/hashicorp/terraform-provider-aws/issues/37636
"""


class CostTag(Struct, frozen=True):
    """The state of a tag in AWS Billing.

    Attributes:
        status: `Active` or `Inactive`; None if it knows no such tag, or does not show it.
        denied: Why it does not show it; empty if it does.
    """

    status: str | None
    denied: str = ""


def read_cost_tag(ce: Any, key: str) -> CostTag:
    """Returns the state of a tag, which Billing shows to the account that pays alone.

    Source: https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_ListCostAllocationTags.html

    Args:
        ce: A client of Cost Explorer, which each partition has in one region.
        key: Key of the tag.

    Raises:
        botocore.exceptions.ClientError: AWS refused the call for another reason.
    """
    from botocore.exceptions import ClientError

    try:
        found = ce.list_cost_allocation_tags(TagKeys=[key])["CostAllocationTags"]
    except ClientError as error:
        message = str(error.response["Error"].get("Message", ""))
        if not was_denied(error) or _LINKED not in message:
            raise
        return CostTag(None, message.rstrip("."))
    return CostTag(next((each["Status"] for each in found if each["TagKey"] == key), None))
