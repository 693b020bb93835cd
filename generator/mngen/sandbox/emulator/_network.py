"""The gaps of the emulated EC2's networks: security groups, the default VPC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import (
    DependencyViolationError,
    InvalidSecurityGroupNotFoundError,
    InvalidSecurityGroupRuleIdNotFoundError,
)
from moto.ec2.models.security_groups import SecurityGroupBackend, SecurityGroupRule
from moto.ec2.models.vpcs import VPCBackend
from moto.ec2.responses.security_groups import SecurityGroups

from mngen.sandbox.emulator._patch import patch

if TYPE_CHECKING:
    from collections.abc import Iterator

_ALL_PROTOCOLS = "-1"


class Rule:
    """A rule that keeps its description whatever it refers to."""

    ip_range: dict[str, Any]
    source_group: dict[str, Any]

    @property
    def description(self) -> str | None:
        """The description; moto loses that of a rule that refers to a group."""
        return self.ip_range.get("Description") or self.source_group.get("Description")


class SecurityGroupActions:
    """Security groups that change and resist as EC2's do."""

    ec2_backend: Any
    _get_param: Any
    error_on_dryrun: Any

    def modify_security_group_rules(self) -> ActionResult:
        """Replaces a rule as a whole.

        moto refuses a rule for all protocols, which has no ports, and keeps the group or the IPv6
        range that a rule referred to.
        """
        self.error_on_dryrun()
        group_id = self._get_param("GroupId")
        group = self.ec2_backend.get_security_group_from_id(group_id)
        if group is None:
            raise InvalidSecurityGroupNotFoundError(group_id)
        for change in self._get_param("SecurityGroupRules", []):
            identifier = change["SecurityGroupRuleId"]
            rule = group.get_rule(identifier)
            if rule is None:
                raise InvalidSecurityGroupRuleIdNotFoundError(identifier)
            _replace_rule(rule, change.get("SecurityGroupRule") or {})
        return ActionResult({"Return": True})

    def delete_security_group(self) -> ActionResult:
        """Refuses a group that a network interface uses or that another group's rule names."""
        self.error_on_dryrun()
        backend = self.ec2_backend
        name, group_id = self._get_param("GroupName"), self._get_param("GroupId")
        group = (
            backend.get_security_group_from_name(name)
            if name
            else backend.get_security_group_from_id(group_id)
        )
        if group is not None and _is_needed(backend, group.id):
            raise DependencyViolationError(f"resource {group.id} has a dependent object")
        backend.delete_security_group(name=name, group_id=group_id)
        return ActionResult({"Return": True, "GroupId": group_id})


_moto_rules: Any = vars(SecurityGroupBackend)["_iterate_security_rules"]
_moto_vpc: Any = vars(VPCBackend)["create_vpc"]
_moto_default_vpc: Any = vars(VPCBackend)["create_default_vpc"]


class SecurityGroupRules:
    """Rules as they are made."""

    def _iterate_security_rules(self, *arguments: Any, **named: Any) -> Iterator[Any]:
        """Keeps the description of a rule for a prefix list, which moto loses."""
        lists = named.get("prefix_list_ids", arguments[6] if len(arguments) > 6 else [])
        descriptions = {each["PrefixListId"]: each.get("Description") for each in lists}
        for rule in _moto_rules(self, *arguments, **named):
            if descriptions.get(rule.prefix_list_id):
                rule.ip_range["Description"] = descriptions[rule.prefix_list_id]
            yield rule


class Vpcs:
    """VPCs with what AWS gives them."""

    def create_vpc(self, *arguments: Any, **named: Any) -> Any:
        """Lets the members of the VPC's default group reach each other, as AWS does.

        Source: https://docs.aws.amazon.com/vpc/latest/userguide/default-security-group.html
        """
        backend: Any = self
        vpc = _moto_vpc(self, *arguments, **named)
        group = backend.get_default_security_group(vpc.id)
        itself = {"GroupId": group.id, "OwnerId": backend.account_id, "UserId": backend.account_id}
        group.ingress_rules.append(
            SecurityGroupRule(
                backend,
                _ALL_PROTOCOLS,
                group.id,
                None,
                None,
                None,
                source_group=itself,
                is_egress=False,
            )
        )
        return vpc

    def create_default_vpc(self) -> Any:
        """Gives the VPC its way to the internet, as AWS does.

        Source: https://docs.aws.amazon.com/vpc/latest/userguide/default-vpc-components.html
        """
        backend: Any = self
        vpc = _moto_default_vpc(backend)
        gateway = backend.create_internet_gateway()
        backend.attach_internet_gateway(gateway.id, vpc.id)
        main = backend.describe_route_tables(filters={"vpc-id": vpc.id, "association.main": "true"})
        backend.create_route(main[0].id, "0.0.0.0/0", gateway_id=gateway.id)
        return vpc


def _replace_rule(rule: Any, change: dict[str, Any]) -> None:
    rule.ip_protocol = change.get("IpProtocol", _ALL_PROTOCOLS)
    unported = rule.ip_protocol == _ALL_PROTOCOLS
    rule.from_port = None if unported else change.get("FromPort")
    rule.to_port = None if unported else change.get("ToPort")
    rule.prefix_list_id = change.get("PrefixListId")
    description = {"Description": change["Description"]} if change.get("Description") else {}
    ranges = {"CidrIpv4": "CidrIp", "CidrIpv6": "CidrIpv6"}
    rule.ip_range = {ours: change[sent] for sent, ours in ranges.items() if change.get(sent)}
    rule.source_group = {}
    if change.get("ReferencedGroupId"):
        account = rule.owner_id
        rule.source_group = {
            "GroupId": change["ReferencedGroupId"],
            "OwnerId": account,
            "UserId": account,
            **description,
        }
    else:
        rule.ip_range.update(description)


def _is_needed(backend: Any, group_id: str) -> bool:
    interfaces = backend.enis.values()
    if any(group_id in (group.id for group in eni.group_set) for eni in interfaces):
        return True
    return any(
        rule.source_group.get("GroupId") == group_id
        for groups in backend.groups.values()
        for other in groups.values()
        if other.id != group_id
        for rule in (*other.ingress_rules, *other.egress_rules)
    )


def close() -> None:
    """Closes the gaps of security groups and of VPCs."""
    patch(SecurityGroupBackend, SecurityGroupRules)
    patch(VPCBackend, Vpcs)
    patch(SecurityGroupRule, Rule)
    patch(SecurityGroups, SecurityGroupActions)
