"""The gaps of the emulated EC2: placement groups, launch templates, tags."""

from __future__ import annotations

import re
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2 import utils
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.core import TaggedEC2Resource
from moto.ec2.responses import EC2Response
from moto.ec2.responses.launch_templates import LaunchTemplates
from moto.ec2.utils import (
    EC2_PREFIX_TO_RESOURCE,
    EC2_RESOURCE_TO_PREFIX,
    generic_filter,
    get_prefix,
    parse_user_data,
)
from moto.moto_api._internal import mock_random

from mngen.sandbox.emulator._patch import patch, patch_attribute, patch_table

_MAKE_ID: Any = utils.random_resource_id
_STRATEGIES = ("cluster", "spread", "partition")


class ResourceTags:
    """The tags of a resource, by its id. moto looks for them among those of all resources."""

    id: str
    ec2_backend: Any

    def get_tags(self) -> list[dict[str, str]]:
        """Returns the tags, as `describe_tags` of moto does."""
        # The ones of a resource that has none are not made by looking.
        tags = self.ec2_backend.tags.get(self.id) if self.id else None
        if not tags:
            return []
        kind = EC2_PREFIX_TO_RESOURCE.get(get_prefix(self.id), "")
        return [
            {"resource_id": self.id, "key": key, "value": value, "resource_type": kind}
            for key, value in tags.items()
        ]


class PlacementGroup(TaggedEC2Resource):
    """A placement group as EC2 describes it."""

    def __init__(self, backend: Any, name: str, options: dict[str, Any]) -> None:
        self.ec2_backend = backend
        self.name = name
        self.id = f"pg-0{mock_random.get_random_hex(16)}"
        self.options = options

    def describe(self) -> dict[str, Any]:
        """Returns the structure that DescribePlacementGroups holds."""
        backend = self.ec2_backend
        return {
            "GroupName": self.name,
            "GroupId": self.id,
            "GroupArn": f"arn:{backend.partition}:ec2:{backend.region_name}:{backend.account_id}"
            f":placement-group/{self.name}",
            "State": "available",
            "Tags": self.get_tags(),
            **self.options,
        }

    def get_filter_value(self, filter_name: str, method_name: str | None = None) -> Any:
        """Returns what a filter of DescribePlacementGroups compares with."""
        fields = {
            "group-name": "GroupName",
            "group-arn": "GroupArn",
            "spread-level": "SpreadLevel",
            "state": "State",
            "strategy": "Strategy",
        }
        if filter_name in fields:
            return self.describe().get(fields[filter_name])
        return super().get_filter_value(filter_name, method_name or "DescribePlacementGroups")


def placement_groups(backend: Any) -> dict[str, PlacementGroup]:
    """Returns an EC2 backend's placement groups by name.

    They live in the backend's own `__dict__`, so that a reset of the emulator empties them too.
    """
    groups: dict[str, PlacementGroup] = backend.__dict__.setdefault("placement_groups", {})
    return groups


class PlacementGroupActions:
    """The three placement group actions, which moto does not have."""

    ec2_backend: Any
    _get_param: Any
    _filters_from_querystring: Any
    error_on_dryrun: Any

    def create_placement_group(self) -> ActionResult:
        """Creates a group; a taken name is refused with InvalidPlacementGroup.Duplicate."""
        self.error_on_dryrun()
        groups = placement_groups(self.ec2_backend)
        name = self._get_param("GroupName")
        if not name or not re.fullmatch(r"[\x20-\x7e]{1,255}", name):
            raise EC2ClientError("InvalidParameterValue", "Invalid placement group name")
        if name in groups:
            raise EC2ClientError(
                "InvalidPlacementGroup.Duplicate", f"The Placement Group '{name}' already exists."
            )
        strategy = self._get_param("Strategy") or "cluster"
        if strategy not in _STRATEGIES:
            raise EC2ClientError(
                "InvalidParameterValue", f"Value ({strategy}) for parameter strategy is invalid."
            )
        options: dict[str, Any] = {"Strategy": strategy}
        if strategy == "partition":
            options["PartitionCount"] = int(self._get_param("PartitionCount") or 2)
        if strategy == "spread":
            options["SpreadLevel"] = self._get_param("SpreadLevel") or "rack"
        group = PlacementGroup(self.ec2_backend, name, options)
        groups[name] = group
        for specification in self._get_param("TagSpecifications", []) or []:
            tags = {tag["Key"]: tag.get("Value", "") for tag in specification.get("Tags", [])}
            if tags:
                self.ec2_backend.create_tags([group.id], tags)
        return ActionResult({"PlacementGroup": group.describe()})

    def describe_placement_groups(self) -> ActionResult:
        """Describes groups; an unknown name is refused with InvalidPlacementGroup.Unknown."""
        groups = placement_groups(self.ec2_backend)
        names = self._get_param("GroupNames", []) or []
        ids = self._get_param("GroupIds", []) or []
        for name in names:
            if name not in groups:
                raise _unknown_group(name)
        known_ids = {group.id for group in groups.values()}
        for group_id in ids:
            if group_id not in known_ids:
                raise EC2ClientError(
                    "InvalidPlacementGroupId.NotFound",
                    f"The placement group ID '{group_id}' does not exist.",
                )
        chosen = [
            group
            for group in groups.values()
            if (not names or group.name in names) and (not ids or group.id in ids)
        ]
        chosen = generic_filter(self._filters_from_querystring(), chosen)
        return ActionResult({"PlacementGroups": [group.describe() for group in chosen]})

    def delete_placement_group(self) -> ActionResult:
        """Deletes a group; an unknown name is refused with InvalidPlacementGroup.Unknown."""
        self.error_on_dryrun()
        name = self._get_param("GroupName")
        group = placement_groups(self.ec2_backend).pop(name, None)
        if group is None:
            raise _unknown_group(name)
        self.ec2_backend.tags.pop(group.id, None)
        return ActionResult({})


class LaunchTemplateActions:
    """Launch templates that keep what was sent."""

    ec2_backend: Any
    partition: str
    current_account: str
    _get_param: Any
    _parse_tag_specification: Any
    error_on_dryrun: Any

    def create_launch_template(self) -> ActionResult:
        """Keeps the template's own tags out of its data.

        EC2 stores `TagSpecifications` of the call on the template and those of the data in the
        version. moto adds the former to the latter, which a second plan reports as a change.
        """
        self.error_on_dryrun()
        data = _template_data(self._get_param("LaunchTemplateData", {}))
        template = self.ec2_backend.create_launch_template(
            self._get_param("LaunchTemplateName"),
            self._get_param("VersionDescription"),
            data,
            self._parse_tag_specification(),
        )
        return ActionResult({"LaunchTemplate": self._described(template)})

    def create_launch_template_version(self) -> ActionResult:
        """Decodes the user data of a later version as that of the first, which moto forgets."""
        self.error_on_dryrun()
        name = self._get_param("LaunchTemplateName")
        if name:
            template = self.ec2_backend.get_launch_template_by_name(name)
        else:
            template = self.ec2_backend.get_launch_template(self._get_param("LaunchTemplateId"))
        data = _template_data(self._get_param("LaunchTemplateData", {}))
        version = template.create_version(data, self._get_param("VersionDescription"))
        return ActionResult(
            {
                "LaunchTemplateVersion": {
                    "CreateTime": version.create_time,
                    "CreatedBy": f"arn:{self.partition}:iam::{self.current_account}:root",
                    "DefaultVersion": template.is_default(version),
                    "LaunchTemplateData": version.data,
                    "LaunchTemplateId": template.id,
                    "LaunchTemplateName": template.name,
                    "VersionDescription": version.description,
                    "VersionNumber": version.number,
                }
            }
        )

    def describe_launch_templates(self) -> ActionResult:
        """Answers with the tags as they are now, and refuses an id that does not exist.

        moto always repeats the tags of the creation and leaves unknown IDs out.
        """
        self.error_on_dryrun()
        ids = self._get_param("LaunchTemplateIds", []) or []
        for template_id in ids:
            self.ec2_backend.get_launch_template(template_id)
        templates = self.ec2_backend.describe_launch_templates(
            template_names=self._get_param("LaunchTemplateNames", []),
            template_ids=ids,
            filters=self._filters_from_querystring(),  # type: ignore[attr-defined]
        )
        return ActionResult({"LaunchTemplates": [self._described(item) for item in templates]})

    def _described(self, template: Any) -> dict[str, Any]:
        return {
            "CreateTime": template.create_time,
            "CreatedBy": f"arn:{self.partition}:iam::{self.current_account}:root",
            "DefaultVersionNumber": template.default_version_number,
            "LatestVersionNumber": template.latest_version_number,
            "LaunchTemplateId": template.id,
            "LaunchTemplateName": template.name,
            "Tags": template.get_tags(),
        }


class DefaultKeyActions:
    """The key with which EBS encrypts where a request names none; moto has no such."""

    ec2_backend: Any
    _get_param: Any
    error_on_dryrun: Any

    def get_ebs_default_kms_key_id(self) -> ActionResult:
        """Answers with the key set, or with the one that AWS manages.

        Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetEbsDefaultKmsKeyId.html
        """
        self.error_on_dryrun()
        key = self.ec2_backend.__dict__.get("default_ebs_key", "alias/aws/ebs")
        return ActionResult({"KmsKeyId": key})

    def modify_ebs_default_kms_key_id(self) -> ActionResult:
        """Sets the key."""
        self.error_on_dryrun()
        self.ec2_backend.__dict__["default_ebs_key"] = self._get_param("KmsKeyId")
        return self.get_ebs_default_kms_key_id()

    def reset_ebs_default_kms_key_id(self) -> ActionResult:
        """Goes back to the key that AWS manages."""
        self.error_on_dryrun()
        self.ec2_backend.__dict__.pop("default_ebs_key", None)
        return self.get_ebs_default_kms_key_id()


def _template_data(data: dict[str, Any]) -> dict[str, Any]:
    data["UserData"] = parse_user_data(data.get("UserData"))
    return data


def _unknown_group(name: str) -> EC2ClientError:
    return EC2ClientError(
        "InvalidPlacementGroup.Unknown", f"The Placement Group '{name}' is unknown."
    )


def _random_digits(size: int = 8) -> str:
    """Draws them at once. moto draws each, and a region's public AMIs take 2,600 ids."""
    return f"{mock_random.getrandbits(4 * size):0{size}x}"


def close() -> None:
    """Closes the gaps of EC2."""
    patch_table(EC2_RESOURCE_TO_PREFIX, "placement-group", "pg")
    patch_table(EC2_PREFIX_TO_RESOURCE, "pg", "placement-group")
    patch_attribute(utils, "random_resource_id", _MAKE_ID, _random_digits)
    patch(TaggedEC2Resource, ResourceTags)
    patch(
        EC2Response,
        PlacementGroupActions,
        adds=(
            "create_placement_group",
            "describe_placement_groups",
            "delete_placement_group",
        ),
    )
    patch(
        EC2Response,
        DefaultKeyActions,
        adds=(
            "get_ebs_default_kms_key_id",
            "reset_ebs_default_kms_key_id",
        ),
    )
    patch(LaunchTemplates, LaunchTemplateActions, adds=("_described",))
