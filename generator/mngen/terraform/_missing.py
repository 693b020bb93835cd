"""What exists but is missing in the state: read from a plan, matched with what AWS describes.

An apply that is killed between AWS's answer and Terraform's note of it leaves a resource that the
next plan creates once more. One with a fixed name then fails with "already exists", the others
exist twice. Both are imported instead. Everything here is pure; `_standing` asks AWS.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mngen.cluster import DEPLOYMENT_TAG, IMAGE_TAG, REGION_TAG, UNIQUE_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_NAMES = ("name", "compute_environment_name")
_PREFIXES = ("name_prefix", "compute_environment_name_prefix")

BY_VALUES = frozenset(
    {
        "aws_budgets_budget_action",
        "aws_efs_mount_target",
        "aws_fsx_data_repository_association",
        "aws_route",
        "aws_route_table_association",
        "aws_vpc_security_group_egress_rule",
        "aws_vpc_security_group_ingress_rule",
    }
)
"""Types without a name: one is known by what it joins, which is in the state already."""

_TAGGED = frozenset({"aws_budgets_budget_action"})
"""Those of which the deployment's own has its tag: a budget may have actions of others."""

_GLOBAL = frozenset({"aws_iam_instance_profile", "aws_iam_policy", "aws_iam_role"})

# An interrupted apply does not get to these with a state that is still empty: Terraform saves it
# every 20 seconds, and all that they need takes longer.
_LAST = frozenset({"aws_batch_compute_environment", "aws_batch_job_queue"})

_DELETE = {
    "aws_batch_compute_environment": "aws batch update-compute-environment --state DISABLED "
    "--compute-environment {id}, then aws batch delete-compute-environment "
    "--compute-environment {id}",
    "aws_efs_file_system": "aws efs delete-file-system --file-system-id {id}",
    "aws_fsx_data_repository_association": "aws fsx delete-data-repository-association "
    "--association-id {id} --no-delete-data-in-file-system",
    "aws_fsx_lustre_file_system": "aws fsx delete-file-system --file-system-id {id}",
    "aws_eip": "aws ec2 release-address --allocation-id {id}",
    "aws_iam_instance_profile": "aws iam delete-instance-profile --instance-profile-name {id}",
    "aws_iam_policy": "aws iam delete-policy --policy-arn {id}",
    "aws_iam_role": "aws iam delete-role --role-name {id}",
    "aws_internet_gateway": "aws ec2 delete-internet-gateway --internet-gateway-id {id}",
    "aws_launch_template": "aws ec2 delete-launch-template --launch-template-id {id}",
    "aws_nat_gateway": "aws ec2 delete-nat-gateway --nat-gateway-id {id}",
    "aws_route_table": "aws ec2 delete-route-table --route-table-id {id}",
    "aws_security_group": "aws ec2 delete-security-group --group-id {id}",
    "aws_subnet": "aws ec2 delete-subnet --subnet-id {id}",
    "aws_vpc": "aws ec2 delete-vpc --vpc-id {id}",
    "aws_vpc_endpoint": "aws ec2 delete-vpc-endpoints --vpc-endpoint-ids {id}",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A resource that a plan creates.

    Attributes:
        address: Where it is in the configuration.
        type: Its resource type.
        values: Its planned attributes, without those that are known only after the apply.
    """

    address: str
    type: str
    values: Mapping[str, Any]

    @property
    def fixed_name(self) -> str | None:
        """The name that it will have, where the configuration fixes it."""
        return next((str(self.values[key]) for key in _NAMES if self.values.get(key)), None)

    @property
    def name_prefix(self) -> str | None:
        """What its name will begin with, where the provider makes the rest."""
        return next((str(self.values[key]) for key in _PREFIXES if self.values.get(key)), None)


@dataclass(frozen=True, slots=True)
class Found:
    """An existing resource, as AWS describes it.

    Attributes:
        type: Its type in Terraform.
        id: Its `id` in Terraform's state.
        import_id: What `terraform import` takes for it.
        name: The name that it was made with, or an empty string.
        tags: Its tags.
        values: For a type without a name, the attributes that distinguish it from others.
        open_egress: Whether it is a security group that still has the rule EC2 creates it with, to
            everywhere: its creation was interrupted before the provider removed that.
    """

    type: str
    id: str
    import_id: str
    name: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    open_egress: bool = False

    def belongs_to(self, deployment: str, region: str) -> bool:
        """Whether its tags make it part of the deployment, and not of a bake."""
        if self.type in _GLOBAL and self.tags.get(REGION_TAG) != region:
            return False
        return self.tags.get(DEPLOYMENT_TAG) == deployment and IMAGE_TAG not in self.tags

    @property
    def delete_command(self) -> str | None:
        """The AWS CLI's command that deletes it, for the types that can exist twice."""
        command = _DELETE.get(self.type)
        return command.format(id=self.id) if command else None


@dataclass(frozen=True, slots=True)
class Search:
    """The resources of a plan to look for.

    Attributes:
        deployment: Name of the deployment.
        region: Its region.
        wanted: What the plan creates.
        replaced: Types of which the plan replaces a resource: an interrupted replacement may have
            left a second one.
        known: The type and id of every resource in the state.
    """

    deployment: str
    region: str
    wanted: tuple[Wanted, ...]
    replaced: frozenset[str]
    known: frozenset[tuple[str, str]]

    @property
    def types(self) -> frozenset[str]:
        """The types to look for."""
        return self.replaced | {each.type for each in self.wanted}


@dataclass(frozen=True, slots=True)
class Import:
    """A resource to import: where it goes, and what exists."""

    address: str
    found: Found


@dataclass(frozen=True, slots=True)
class Standing:
    """What exists but is missing in the state.

    Attributes:
        imports: What is the deployment's own and takes the place of something to create.
        foreign: What has the name of something to create, and not the deployment's tag.
        leftovers: What is the deployment's own, and has no place in the configuration.
        of_another_state: Whether this looks like a deployment that another state manages: this one
            is empty, and more exists than an interrupted first apply leaves.
    """

    imports: tuple[Import, ...] = ()
    foreign: tuple[Import, ...] = ()
    leftovers: tuple[Found, ...] = ()
    of_another_state: bool = False


def search_of(plan: Mapping[str, Any]) -> Search | None:
    """Reads what to look for from a plan, or None where it is not that of a deployment.

    Args:
        plan: What `terraform show -json PLAN` prints, parsed. Its format:
            https://developer.hashicorp.com/terraform/internals/json-format
    """
    deployment, region = constant(plan, "network", "name"), region_of(plan)
    if deployment is None or region is None:
        return None
    changes = [each for each in plan.get("resource_changes", []) if each["mode"] == "managed"]
    return Search(
        deployment,
        region,
        wanted=tuple(
            Wanted(each["address"], each["type"], each["change"].get("after") or {})
            for each in changes
            if each["change"]["actions"] == ["create"]
        ),
        replaced=frozenset(
            each["type"] for each in changes if {"create", "delete"} == {*each["change"]["actions"]}
        ),
        known=frozenset(
            (each["type"], str(before["id"]))
            for each in changes
            if (before := each["change"].get("before")) and before.get("id")
        ),
    )


def match(search: Search, found: Iterable[Found]) -> Standing:
    """Finds the place of what exists.

    Args:
        search: What the plan wants.
        found: What AWS describes, of the search's types.
    """
    missing = [each for each in found if (each.type, each.id) not in search.known]
    own = [each for each in missing if _is_own(each, search)]
    imports: dict[str, Import] = {}
    used: set[tuple[str, str]] = set()
    for wanted in search.wanted:
        fits = sorted((each for each in own if _fits(wanted, each)), key=lambda each: each.id)
        if fits:
            imports[wanted.address] = Import(wanted.address, fits[0])
            used.add((fits[0].type, fits[0].id))
    foreign = [
        Import(wanted.address, each)
        for wanted in search.wanted
        for each in missing
        if each not in own and wanted.fixed_name and _fits(wanted, each)
    ]
    leftovers = [
        each
        for each in own
        if (each.type, each.id) not in used and each.delete_command and each.tags
    ]
    return Standing(
        tuple(imports.values()),
        tuple(foreign),
        tuple(leftovers),
        of_another_state=not search.known
        and any(each.found.type in _LAST for each in imports.values()),
    )


def import_blocks(imports: Iterable[Import]) -> str:
    """Returns the configuration that makes a plan import resources.

    Source: https://developer.hashicorp.com/terraform/language/import
    """
    return "".join(
        f"import {{\n  to = {each.address}\n  id = {_quoted(each.found.import_id)}\n}}\n"
        for each in imports
    )


def constant(plan: Mapping[str, Any], module: str, argument: str) -> str | None:
    """Returns a text that the rendered tree gives to one of its modules, or None.

    Args:
        plan: As for `search_of`.
        module: Name of the module's call, such as `network`.
        argument: The argument, such as `name`.
    """
    calls = plan.get("configuration", {}).get("root_module", {}).get("module_calls", {})
    found = calls.get(module, {}).get("expressions", {}).get(argument, {})
    value = found.get("constant_value") if isinstance(found, dict) else None
    return value if isinstance(value, str) else None


def _is_own(found: Found, search: Search) -> bool:
    # What joins two resources has no tags, and was looked for between the deployment's own.
    if found.type in BY_VALUES - _TAGGED and not found.tags:
        return True
    return found.belongs_to(search.deployment, search.region)


def _fits(wanted: Wanted, found: Found) -> bool:
    if wanted.type != found.type:
        return False
    if wanted.type in BY_VALUES:
        return all(wanted.values.get(key) == value for key, value in found.values.items())
    if wanted.fixed_name:
        return wanted.fixed_name == found.name
    label = (wanted.values.get("tags_all") or {}).get("Name")
    if label and found.tags.get("Name") != label:
        return False
    prefix = wanted.name_prefix
    if prefix is None:
        return label is not None
    rest = found.name.removeprefix(prefix)
    return found.name.startswith(prefix) and re.fullmatch(UNIQUE_SUFFIX, rest) is not None


def region_of(plan: Mapping[str, Any]) -> str | None:
    """Returns the region of the deployment that a plan is about, or None.

    Args:
        plan: As for `search_of`.
    """
    for each in _providers(plan):
        value = each.get("expressions", {}).get("region", {}).get("constant_value")
        if each.get("name") == "aws" and isinstance(value, str):
            return value
    return None


def _providers(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from plan.get("configuration", {}).get("provider_config", {}).values()


def _quoted(text: str) -> str:
    """Writes a string of HCL; `${` and `%{` would begin a template."""
    return json.dumps(text, ensure_ascii=False).replace("${", "$${").replace("%{", "%%{")
