"""Reserved capacity that a launch template targets, as the spec has it."""

from __future__ import annotations

from typing import Any


def reserved_in(data: dict[str, Any]) -> dict[str, str]:
    """Returns `capacity` of the spec for the data of a launch template; empty for none.

    A preference without a target is left out: `open` is EC2's default.

    Args:
        data: `LaunchTemplateData` of a version.
    """
    target = data.get("CapacityReservationSpecification", {}).get("CapacityReservationTarget", {})
    if group := target.get("CapacityReservationResourceGroupArn"):
        return {"group": str(group)}
    reservation = target.get("CapacityReservationId")
    if not reservation:
        return {}
    block = data.get("InstanceMarketOptions", {}).get("MarketType") == "capacity-block"
    return {"block" if block else "reservation": str(reservation)}
