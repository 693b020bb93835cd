"""Launch templates of environments, and the reserved capacity that they target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client


def template_data(ec2: EC2Client, template: dict[str, Any]) -> dict[str, Any]:
    """Returns `LaunchTemplateData` of what an environment starts instances with; empty for none.

    Args:
        ec2: A client of EC2.
        template: `launchTemplate` of an environment: the id or the name, and the version.

    Raises:
        botocore.exceptions.ClientError: AWS refused the call.
    """
    named = {
        "LaunchTemplateId": template.get("launchTemplateId"),
        "LaunchTemplateName": template.get("launchTemplateName"),
    }
    chosen: Any = {key: value for key, value in named.items() if value}
    if not chosen:
        return {}
    version = str(template.get("version") or "$Default")
    answer = ec2.describe_launch_template_versions(**chosen, Versions=[version])
    for each in answer["LaunchTemplateVersions"]:
        return dict(each["LaunchTemplateData"])
    return {}


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
