"""The network interfaces of an emulated environment's instances and of its multi-node tasks.

What a type's network cards take is read from moto's copy of EC2's DescribeInstanceTypes, not from
mngen's catalog: what the templates are made from cannot also be what judges them.
"""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Any

from moto.batch.exceptions import ClientException
from moto.ec2.models.instance_types import INSTANCE_TYPES

if TYPE_CHECKING:
    from collections.abc import Mapping

_EXCLUSIVE = (
    "Error executing request, Exception : Either compute environment Security Groups or Network "
    "Interfaces in Launch template are exclusively allowed"
)
# In words of our own: those of Batch are not known.
_NO_GROUPS = (
    "Error executing request, Exception : At least one security group must be specified, in "
    "securityGroupIds or in a launch template"
)
_EFA = ("efa", "efa-only")


def check_security_groups(ec2: Any, resources: Mapping[str, Any]) -> None:
    """Refuses security groups beside a template's interfaces, and neither of the two.

    Raises:
        ClientException: In the first case with the words that Batch has for it, seen in
            https://github.com/aws/aws-cdk/issues/21577. That one is required is documented in
            https://docs.aws.amazon.com/batch/latest/APIReference/API_ComputeResource.html.
    """
    groups = resources.get("securityGroupIds")
    if "FARGATE" in resources.get("type", ""):
        return
    data = template_data(ec2, resources)
    if groups and data.get("NetworkInterfaces"):
        raise ClientException(_EXCLUSIVE)
    if not (groups or data.get("NetworkInterfaces") or data.get("SecurityGroupIds")):
        raise ClientException(_NO_GROUPS)


def with_security_groups(ec2: Any, resources: dict[str, Any] | None) -> dict[str, Any] | None:
    """Returns resources as moto insists on them: with the template's groups for missing ones."""
    if not resources or resources.get("securityGroupIds") or "FARGATE" in resources["type"]:
        return resources
    return {**resources, "securityGroupIds": security_groups(ec2, resources)}


def security_groups(ec2: Any, resources: Mapping[str, Any]) -> list[str]:
    """Returns the groups of an environment's instances: its own, or else its template's."""
    if own := resources.get("securityGroupIds"):
        return list(own)
    data = template_data(ec2, resources)
    interfaces = data.get("NetworkInterfaces") or []
    groups = [*(data.get("SecurityGroupIds") or ())]
    groups += [group for each in interfaces for group in each.get("Groups") or ()]
    return list(dict.fromkeys(groups))


def template_data(ec2: Any, resources: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the data of the launch template's version that an environment uses."""
    named = resources.get("launchTemplate") or {}
    template_id = named.get("launchTemplateId")
    if template_id is None:
        template_id = ec2.launch_template_name_to_ids.get(named.get("launchTemplateName"))
    template = ec2.launch_templates.get(template_id)
    if template is None:
        return {}
    data: dict[str, Any] = template.get_version(named.get("version") or "$Default").data
    return data


def interface_fault(ec2: Any, resources: Mapping[str, Any]) -> str | None:
    """Returns why EC2 would refuse the template's network interfaces for an instance type, or None.

    The device index is refused in the words of https://github.com/eksctl-io/eksctl/issues/7520; the
    rest is what
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/efa-acc-inst-types.html demands.
    """
    interfaces = template_data(ec2, resources).get("NetworkInterfaces") or []
    for name in resources["instanceTypes"]:
        network = INSTANCE_TYPES.get(name, {}).get("NetworkInfo")
        fault = _fault(interfaces, network) if interfaces and network else None
        if fault:
            return f"CLIENT_ERROR - {fault}"
    return None


def _fault(interfaces: list[dict[str, Any]], network: dict[str, Any]) -> str | None:
    cards = {card["NetworkCardIndex"]: card for card in network["NetworkCards"]}
    places = [_place(each) for each in interfaces]
    for each, (number, device) in zip(interfaces, places, strict=True):
        if number not in cards:
            return f"The instance type has no network card at network card index {number}"
        most = cards[number]["MaximumNetworkInterfaces"]
        if device >= most:
            return (
                f"The specified number '{device}' for the device index exceeds the maximum number "
                "of network interfaces supported by the network card at network card index "
                f"{number}. The maximum devices for this network card is {most}. Specify a number "
                f"from 0 to {most - 1}, and try again."
            )
        kind = each.get("InterfaceType", "interface")
        if kind in _EFA and "efa" not in cards[number]["InterfaceTypes"]:
            return f"The network card at network card index {number} does not support EFA"
        if (number, device) == (0, 0) and kind == "efa-only":
            return "An EFA-only network interface can't be the primary network interface"
    if max(Counter(places).values()) > 1:
        return "Each network interface requires a unique device index on its network card"
    if (0, 0) not in places:
        return (
            "A primary network interface, with network card index 0 and device index 0, is required"
        )
    adapters = sum(each.get("InterfaceType") in _EFA for each in interfaces)
    most = network.get("EfaInfo", {}).get("MaximumEfaInterfaces", 0)
    if adapters > most:
        return f"The instance type supports at most {most} EFA interfaces"
    return None


def _place(interface: dict[str, Any]) -> tuple[int, int]:
    return int(interface.get("NetworkCardIndex") or 0), int(interface.get("DeviceIndex") or 0)


def task_interface_fits(ec2: Any, resources: Mapping[str, Any]) -> bool:
    """Whether an instance can take one interface more, as each multi-node task needs.

    ECS counts what EC2 allows an instance, less the interfaces that it has: see
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/container-instance-eni.html.
    """
    network = INSTANCE_TYPES[resources["instanceTypes"][0]]["NetworkInfo"]
    interfaces = template_data(ec2, resources).get("NetworkInterfaces") or []
    return bool(network["MaximumNetworkInterfaces"] > max(1, len(interfaces)))


def task_security_groups(ec2: Any, resources: Mapping[str, Any]) -> list[str]:
    """Returns the groups of a multi-node task's own interface: the environment's, or the VPC's.

    A template's groups do not count: without groups of the environment, the default group of the
    VPC is used. Source: https://docs.aws.amazon.com/batch/latest/userguide/mnp-ce.html
    """
    groups = resources.get("securityGroupIds")
    if groups:
        return list(groups)
    vpc = ec2.get_subnet(resources["subnets"][0]).vpc_id
    return [ec2.get_default_security_group(vpc).id]


def nodes_meet(ec2: Any, resources: Mapping[str, Any]) -> bool:
    """Whether the groups of multi-node tasks let them connect to each other, on any port."""
    found = ec2.get_subnet(resources["subnets"][0])
    own = task_security_groups(ec2, resources)
    groups = [ec2.get_security_group_from_id(each) for each in own]

    def reaches(rule: Any) -> bool:
        if rule.ip_protocol != "-1" and (rule.ip_protocol, rule.from_port, rule.to_port) not in (
            ("tcp", 0, 65535),
            ("tcp", 1, 65535),
        ):
            return False
        if rule.source_group.get("GroupId") in own:
            return True
        wide = rule.ip_range.get("CidrIp")
        return bool(wide and IPv4Network(found.cidr_block).subnet_of(IPv4Network(wide)))

    return any(reaches(rule) for group in groups for rule in group.ingress_rules) and any(
        reaches(rule) for group in groups for rule in group.egress_rules
    )
