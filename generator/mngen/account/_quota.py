"""Service Quotas of the account."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_service_quotas.client import ServiceQuotasClient

    from mngen.account._account import Account
    from mngen.catalog import Quota


def quota_value(account: Account, quota: Quota) -> float | None:
    """Returns a quota's value in vCPUs; AWS's default if the account has no value set."""
    client: ServiceQuotasClient = account.client("service-quotas")
    missing = client.exceptions.NoSuchResourceException
    try:
        found = client.get_service_quota(ServiceCode="ec2", QuotaCode=quota.code)
    except missing:
        try:
            default = client.get_aws_default_service_quota(ServiceCode="ec2", QuotaCode=quota.code)
        except missing:
            return None
        return default["Quota"].get("Value")
    return found["Quota"].get("Value")
