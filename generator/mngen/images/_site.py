"""What the first apply made that a bake needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from mngen.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping


class Lustre(msgspec.Struct, frozen=True):
    """An FSx for Lustre file system, as clients name it.

    Attributes:
        id: It.
        dns_name: The DNS name of its servers.
        mount_name: Its own name on them.
        new: Whether the deployment made it.
    """

    id: str
    dns_name: str
    mount_name: str
    new: bool


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """Where images are baked, and what they mount.

    Attributes:
        efs_id: The file system.
        efs_dns_name: Its DNS name.
        vpc_id: The VPC of the nodes.
        subnets: One subnet of each zone, by zone, in the order in which they are tried.
        security_group_ids: The nodes' security groups, which the file system lets in.
        instance_profile: Name of the builders' instance profile.
        fsx_id: The FSx for Lustre file system; None for none.
        repository_url: What references to images in the deployment's repository start with; None
            where it has none.
    """

    efs_id: str
    efs_dns_name: str
    vpc_id: str
    subnets: dict[str, str]
    security_group_ids: tuple[str, ...]
    instance_profile: str
    fsx_id: str | None = None
    repository_url: str | None = None

    @classmethod
    def from_outputs(cls, outputs: Mapping[str, Any]) -> Site:
        """Reads the outputs of the rendered Terraform.

        Args:
            outputs: Values by output name, as `Terraform.outputs()` returns them.

        Raises:
            InputError: They are not there: nothing was applied yet.
        """
        missing = [each for each in _NEEDED if outputs.get(each) is None]
        if missing:
            raise InputError(
                f"missing Terraform output {', '.join(f'`{each}`' for each in missing)}: an AMI "
                "mounts the file system, which does not exist yet",
                hint="run mngen apply first; it creates everything but the compute environments",
            )
        network, efs, fsx = outputs["network"], outputs["efs"], outputs.get("fsx")
        return cls(
            efs_id=efs["id"],
            efs_dns_name=efs["dns_name"],
            vpc_id=network["vpc_id"],
            subnets={
                zone: ids[0] for zone, ids in sorted(network["subnets_by_zone"].items()) if ids
            },
            security_group_ids=tuple(network["security_group_ids"]),
            instance_profile=outputs["builder_profile_arn"].rpartition("/")[2],
            fsx_id=fsx["id"] if fsx else None,
            repository_url=outputs.get("repository_url"),
        )


_NEEDED = ("builder_profile_arn", "efs", "network")
