"""Service Quotas of the account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.catalog import vcpu_quota

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_service_quotas.client import ServiceQuotasClient

    from mngen.account._account import Account
    from mngen.catalog import Quota
    from mngen.cluster import ResolvedEnvironment


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


def largest_quota(
    environment: ResolvedEnvironment, value_of: Callable[[Quota], float | None]
) -> tuple[Quota, float] | None:
    """Returns the largest quota of an environment's types, and its value in vCPUs.

    One type whose quota suffices is enough.

    Args:
        environment: The environment.
        value_of: Returns the value of a quota, or None.

    Returns:
        None if EC2 does not count the instances, or a quota has no value.
    """
    # EC2 does not count the instances of capacity blocks:
    # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-capacity-blocks.html
    if environment.block:
        return None
    spot = environment.spec.purchase == "spot"
    found = []
    for quota in dict.fromkeys(vcpu_quota(kind, spot=spot) for kind in environment.types):
        value = None if quota is None else value_of(quota)
        if quota is None or value is None:
            return None
        found.append((quota, value))
    return max(found, key=lambda each: each[1])
