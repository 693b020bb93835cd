"""Plausible values for what AWS would compute: of the right type, and shaped like AWS's own.

Nothing is looked up. A data source's values are a function of what it was asked, so that a second
plan sees what the first one saw; a resource's come from a token that no other resource has.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

ACCOUNT: Final = "123456789012"

_ID_PREFIXES: Final = {
    "aws_default_security_group": "sg",
    "aws_efs_access_point": "fsap",
    "aws_efs_file_system": "fs",
    "aws_efs_mount_target": "fsmt",
    "aws_eip": "eipalloc",
    "aws_flow_log": "fl",
    "aws_internet_gateway": "igw",
    "aws_launch_template": "lt",
    "aws_nat_gateway": "nat",
    "aws_placement_group": "pg",
    "aws_route_table": "rtb",
    "aws_route_table_association": "rtbassoc",
    "aws_security_group": "sg",
    "aws_security_group_rule": "sgrule",
    "aws_subnet": "subnet",
    "aws_vpc": "vpc",
    "aws_vpc_endpoint": "vpce",
    "aws_vpc_security_group_egress_rule": "sgr",
    "aws_vpc_security_group_ingress_rule": "sgr",
}
_SERVICES: Final = ("batch", "cloudwatch", "ecr", "efs", "iam", "kms", "s3", "ssm")
_GLOBAL_SERVICES: Final = ("iam", "s3")


@dataclass(frozen=True)
class Subject:
    """What a value is made for.

    Attributes:
        type_name: The resource's or data source's type.
        body: Its attributes as far as they are known.
        token: 17 hexadecimal digits, unique to it.
        region: The provider's region.
    """

    type_name: str
    body: dict[str, Any]
    token: str
    region: str

    @property
    def _kind(self) -> str:
        return self.type_name.removeprefix("aws_").replace("_", "-")

    @property
    def name(self) -> str:
        """The name AWS would know it by."""
        name = self.body.get("name") or self.body.get("family")
        return name if isinstance(name, str) else f"{self._kind}-{self.token[-8:]}"

    @property
    def zones(self) -> list[str]:
        """The names of the region's availability zones."""
        return [self.region + letter for letter in "abc"]

    def arn(self) -> str:
        """An ARN of the type's service."""
        service, _, kind = self._kind.partition("-")
        if service not in _SERVICES:
            service, kind = "ec2", self._kind
        region = "" if service in _GLOBAL_SERVICES else self.region
        return f"arn:aws:{service}:{region}:{ACCOUNT}:{kind}/{self.name}"


_Maker: TypeAlias = Callable[[Subject], Any]


def _policy_json(subject: Subject) -> str:
    def merged(statement: dict[str, Any], key: str) -> dict[str, Any]:
        return {entry["type"]: sorted(entry["identifiers"]) for entry in statement.get(key) or []}

    statements = []
    for statement in subject.body.get("statement") or []:
        conditions: dict[str, dict[str, Any]] = {}
        for condition in statement.get("condition") or []:
            values = conditions.setdefault(condition["test"], {})
            values[condition["variable"]] = condition["values"]
        entry = {
            "Sid": statement.get("sid"),
            "Effect": statement.get("effect") or "Allow",
            "Action": sorted(statement.get("actions") or []),
            "NotAction": sorted(statement.get("not_actions") or []),
            "Resource": sorted(statement.get("resources") or []),
            "NotResource": sorted(statement.get("not_resources") or []),
            "Principal": merged(statement, "principals"),
            "NotPrincipal": merged(statement, "not_principals"),
            "Condition": conditions,
        }
        statements.append({key: value for key, value in entry.items() if value})
    return json.dumps({"Version": "2012-10-17", "Statement": statements}, indent=2)


def _offered_types(subject: Subject) -> list[str]:
    for entry in subject.body.get("filter") or []:
        if entry["name"] == "instance-type":
            return sorted(entry["values"])
    return ["m5.large"]


def _subnet_zone(subject: Subject) -> str:
    """Spreads subnets over the zones by the last digit of their ids: a, b and c are themselves."""
    last = str(subject.body.get("id"))[-1:]
    zones = subject.zones
    return zones["abc".index(last) if last in ("a", "b", "c") else ord(last) % 3]


def _endpoint_service(subject: Subject) -> str:
    return f"com.amazonaws.{subject.region}.{subject.body.get('service') or 's3'}"


# What the general rules below would not guess: (type, attribute) -> value.
_DATA: Final[dict[tuple[str, str], _Maker]] = {
    ("aws_availability_zones", "group_names"): lambda s: [s.region],
    ("aws_availability_zones", "id"): lambda s: s.region,
    ("aws_availability_zones", "names"): lambda s: s.zones,
    ("aws_availability_zones", "zone_ids"): lambda _: ["use1-az1", "use1-az2", "use1-az3"],
    ("aws_caller_identity", "arn"): lambda _: f"arn:aws:iam::{ACCOUNT}:user/deployer",
    ("aws_caller_identity", "id"): lambda _: ACCOUNT,
    ("aws_caller_identity", "user_id"): lambda _: "AIDAEXAMPLEDEPLOYER00",
    ("aws_ec2_instance_type", "default_cores"): lambda _: 48,
    ("aws_ec2_instance_type", "default_threads_per_core"): lambda _: 2,
    ("aws_ec2_instance_type", "default_vcpus"): lambda _: 96,
    ("aws_ec2_instance_type", "memory_size"): lambda _: 786432,
    ("aws_ec2_instance_type_offerings", "instance_types"): _offered_types,
    ("aws_ec2_instance_type_offerings", "locations"): lambda s: [s.region] * len(_offered_types(s)),
    ("aws_ec2_instance_type_offerings", "location_types"): lambda s: (
        [s.body.get("location_type") or "region"] * len(_offered_types(s))
    ),
    ("aws_efs_file_system", "arn"): lambda s: (
        f"arn:aws:elasticfilesystem:{s.region}:{ACCOUNT}:file-system/{s.body.get('file_system_id')}"
    ),
    ("aws_iam_policy_document", "json"): _policy_json,
    ("aws_iam_policy_document", "minified_json"): lambda s: json.dumps(
        json.loads(_policy_json(s)), separators=(",", ":")
    ),
    ("aws_partition", "dns_suffix"): lambda _: "amazonaws.com",
    ("aws_partition", "id"): lambda _: "aws",
    ("aws_partition", "partition"): lambda _: "aws",
    ("aws_partition", "reverse_dns_prefix"): lambda _: "com.amazonaws",
    ("aws_region", "endpoint"): lambda s: f"ec2.{s.region}.amazonaws.com",
    ("aws_region", "id"): lambda s: s.region,
    ("aws_region", "name"): lambda s: s.region,
    ("aws_ssm_parameter", "insecure_value"): lambda s: f"ami-{s.token}",
    ("aws_ssm_parameter", "type"): lambda _: "String",
    ("aws_ssm_parameter", "value"): lambda s: f"ami-{s.token}",
    ("aws_subnet", "availability_zone"): _subnet_zone,
    ("aws_subnets", "ids"): lambda s: [f"subnet-{s.token[:-1]}{last}" for last in "ab"],
    ("aws_route_tables", "ids"): lambda s: [f"rtb-{s.token[:-1]}{last}" for last in "ab"],
    ("aws_vpc_endpoint_service", "availability_zones"): lambda s: s.zones,
    ("aws_vpc_endpoint_service", "service_name"): _endpoint_service,
}

_STRINGS: Final[dict[str, _Maker]] = {
    "account_id": lambda _: ACCOUNT,
    "arn": Subject.arn,
    "availability_zone": lambda s: s.zones[0],
    "availability_zone_id": lambda _: "use1-az1",
    "availability_zone_name": lambda s: s.zones[0],
    "cidr_block": lambda _: "172.31.0.0/16",
    "dns_name": lambda s: f"{s.body['id']}.efs.{s.region}.amazonaws.com",
    "ip_address": lambda _: "172.31.0.10",
    "owner_id": lambda _: ACCOUNT,
    "policy": lambda _: "{}",
    "private_ip": lambda _: "172.31.0.10",
    "public_ip": lambda _: "203.0.113.10",
    "region": lambda s: s.region,
    "registry_id": lambda _: ACCOUNT,
    "repository_url": lambda s: f"{ACCOUNT}.dkr.ecr.{s.region}.amazonaws.com/{s.name}",
}


def plausible(kind: Any, attribute: str, subject: Subject, *, data: bool) -> Any:
    """Returns a value of Terraform type `kind` for a computed attribute; never null.

    Args:
        kind: A type in the schema's form, such as `["list", "string"]`.
        attribute: The attribute's name.
        subject: What it is an attribute of.
        data: Whether that is a data source.
    """
    if data and (maker := _DATA.get((subject.type_name, attribute))) is not None:
        return maker(subject)
    if kind == "string":
        return _string(attribute, subject)
    if kind == "number":
        return 1
    if kind == "bool":
        return False
    outer, inner = kind
    if outer == "map":
        return {}
    if outer == "object":
        return {name: plausible(inner[name], name, subject, data=data) for name in sorted(inner)}
    return [plausible(inner, attribute.removesuffix("s"), subject, data=data)]


def _string(attribute: str, subject: Subject) -> str:
    if attribute in _STRINGS:
        return str(_STRINGS[attribute](subject))
    if attribute == "name":
        prefix = subject.body.get("name_prefix")
        return f"{prefix}{subject.token}" if isinstance(prefix, str) else subject.name
    if attribute == "id":
        prefix = _ID_PREFIXES.get(subject.type_name)
        return f"{prefix}-{subject.token}" if prefix else subject.name
    if attribute.endswith("_arn"):
        return subject.arn()
    if attribute.endswith("_id"):
        prefix = _ID_PREFIXES.get(f"aws_{attribute.removesuffix('_id')}", attribute[:-3])
        return f"{prefix}-{subject.token}"
    return f"{attribute.replace('_', '-')}-{subject.token[-8:]}"
