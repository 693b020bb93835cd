"""The gaps of the emulated EC2's images: AMIs, their snapshots, the volumes of a launch."""

from __future__ import annotations

import re
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import (
    EC2ClientError,
    InvalidAMIIdError,
    InvalidTaggableResourceType,
    UnvailableAMIIdError,
)
from moto.ec2.models import EC2Backend
from moto.ec2.models.amis import Ami, AmiBackend
from moto.ec2.models.elastic_block_store import EBSBackend
from moto.ec2.responses import EC2Response
from moto.ec2.responses.instances import InstanceResponse
from moto.ec2.utils import convert_tag_spec, generic_filter, random_ami_id

from mngen.sandbox.emulator._patch import patch

_ECS_ROOT_GIB = 30
_ECS_NAME = re.compile(r"(al2023|amzn2)-ami-ecs-")
_NAME = re.compile(r"[\w()\[\] ./'@-]{3,128}", re.ASCII)

_moto_describe_images: Any = AmiBackend.describe_images
_moto_load: Any = vars(AmiBackend)["_load_amis"]
_moto_mappings: Any = vars(InstanceResponse)["_parse_block_device_mapping"]
_moto_delete_snapshot: Any = EBSBackend.delete_snapshot


class Image:
    """An AMI as EC2 describes it."""

    name: str | None
    root_device_name: str
    ebs_snapshot: Any

    base: str = "amazon-linux-2023"
    disks: list[dict[str, Any]] | None = None

    @property
    def block_device_mappings(self) -> list[dict[str, Any]]:
        """The disks that a launch makes; moto knows one of 15 GiB that outlives the instance."""
        if self.disks is not None:
            return self.disks
        ecs = _ECS_NAME.match(self.name or "")
        kind = "standard" if ecs is None else "gp3" if ecs[1] == "al2023" else "gp2"
        return [_disk(self.root_device_name, self.ebs_snapshot, kind, ends=ecs is not None)]


class ImageActions:
    """Images that are made of instances."""

    ec2_backend: Any
    _get_param: Any
    _filters_from_querystring: Any
    error_on_dryrun: Any

    def create_image(self) -> ActionResult:
        """Makes an image of an instance's disks, with the tags of image and snapshots.

        moto takes any name twice, refuses tags for the snapshots, and gives the image a disk that
        is none of the instance's. A machine is stopped while its disk is copied, unless `NoReboot`
        asks otherwise. Source:
        https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateImage.html
        """
        self.error_on_dryrun()
        tags = convert_tag_spec(self._get_param("TagSpecifications", []) or [])
        for kind in tags:
            if kind not in ("image", "snapshot"):
                raise InvalidTaggableResourceType(kind)
        image = self.ec2_backend.create_image_of(
            self._get_param("InstanceId"),
            self._get_param("Name"),
            self._get_param("Description", ""),
            tags,
            self._get_param("BlockDeviceMappings", []) or [],
            reboot=not self._get_param("NoReboot", False),
        )
        return ActionResult({"ImageId": image.id})

    def describe_snapshots(self) -> ActionResult:
        """Heeds `OwnerIds`, which moto does not: `self` leaves out the snapshots of Amazon's AMIs.

        Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSnapshots.html
        """
        owners = self._get_param("OwnerIds", []) or []
        backend = self.ec2_backend
        snapshots = backend.describe_snapshots(
            snapshot_ids=self._get_param("SnapshotIds", []),
            filters=self._filters_from_querystring(),
        )
        own = backend.account_id
        names = {own if owner == "self" else owner for owner in owners}
        chosen = [
            each
            for each in snapshots
            if not names or each.owner_id in names or ("amazon" in names and each.owner_id != own)
        ]
        return ActionResult({"Snapshots": chosen})

    def delete_key_pair(self) -> ActionResult:
        """Finds the pair by its id as well, which moto does not."""
        self.error_on_dryrun()
        pairs, wanted = self.ec2_backend.key_pairs, self._get_param("KeyPairId")
        names = [name for name, pair in pairs.items() if pair.id == wanted]
        pair = self.ec2_backend.delete_key_pair(names[0] if names else self._get_param("KeyName"))
        return ActionResult({"Return": True, "KeyPairId": pair.id if pair else wanted})

    def _parse_block_device_mapping(self) -> list[dict[str, Any]]:
        """Starts from the image's own disks and lays what the launch asks for over them.

        moto gives every instance an empty disk /dev/sda1, or those alone that the launch names.
        Source:
        https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/block-device-mapping-concepts.html
        """
        image = self.ec2_backend.amis.get(self._get_param("ImageId"))
        if image is None:
            mappings: list[dict[str, Any]] = _moto_mappings(self)
            return mappings
        disks = {each["DeviceName"]: dict(each["Ebs"]) for each in image.block_device_mappings}
        for asked in self._get_param("BlockDeviceMappings", []) or []:
            name = asked["DeviceName"]
            if "NoDevice" in asked:
                disks.pop(name, None)
            else:
                disks[name] = disks.get(name, {}) | asked.get("Ebs", {})
        return [self._volume(name, ebs) for name, ebs in disks.items()]

    def _volume(self, name: str, ebs: dict[str, Any]) -> dict[str, Any]:
        snapshot, size = ebs.get("SnapshotId"), ebs.get("VolumeSize")
        if not snapshot and not size:
            raise EC2ClientError(
                "MissingParameter", "The request must contain the parameter size or snapshotId"
            )
        least = self.ec2_backend.get_snapshot(snapshot).volume_size if snapshot else 0
        if size and int(size) < least:
            raise EC2ClientError(
                "InvalidBlockDeviceMapping",
                f"Volume of size {size}GB is smaller than snapshot '{snapshot}', "
                f"expect size >= {least}GB",
            )
        given = {"SnapshotId", "VolumeSize", "VolumeType", "Iops", "KmsKeyId"}
        return {
            "DeviceName": name,
            "VirtualName": None,
            "NoDevice": None,
            "Ebs": {
                **{key: ebs.get(key) for key in sorted(given)},
                "DeleteOnTermination": ebs.get("DeleteOnTermination", False),
                "Encrypted": ebs.get("Encrypted", False),
            },
        }


class ImageBackend:
    """The backend of EC2 that creates and deregisters images."""

    amis: dict[str, Any]
    deleted_amis: list[str]
    account_id: str
    machines: Any
    snapshots: dict[str, Any]
    volumes: dict[str, Any]
    get_instance: Any
    create_snapshot: Any

    def _load_amis(self) -> None:
        """Gives the ECS-optimized AMIs the root volume that they have.

        Sources: https://github.com/aws/amazon-ecs-ami,
        https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-ami-storage-config.html
        """
        _moto_load(self)
        for image in self.amis.values():
            if match := _ECS_NAME.match(image.name or ""):
                image.ebs_snapshot.volume.size = _ECS_ROOT_GIB
                image.base = "amazon-linux-2" if match[1] == "amzn2" else Image.base

    def usable_image(self, image_id: str) -> Any:
        """Returns an image to launch from.

        Raises:
            EC2ClientError: It never existed, is gone, or is not available yet.
        """
        image = self.amis.get(image_id)
        if image is not None and image.state == "available":
            return image
        if image is not None or image_id in self.deleted_amis:
            raise UnvailableAMIIdError(image_id)
        raise InvalidAMIIdError(image_id)

    def describe_images(
        self,
        ami_ids: list[str] | None = None,
        filters: dict[str, Any] | None = None,
        exec_users: list[str] | None = None,
        owners: list[str] | None = None,
    ) -> list[Any]:
        """Refuses each unknown id, and heeds filters and owners beside ids; moto does neither.

        One that was deregistered is left out without a word. Source:
        https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeImages.html

        moto compares all of a region's thousands of images, also to find one by its id, which it
        does for each instance that is launched.
        """
        if ami_ids and self.amis.keys() >= set(ami_ids):
            images: list[Any] = [self.amis[each] for each in dict.fromkeys(ami_ids)]
        elif not owners and not exec_users and (image := self._image_asked_for(filters)):
            return [image]
        else:
            images = _moto_describe_images(self, ami_ids, filters, exec_users, owners)
        if not ami_ids:
            return images
        unknown = [each for each in ami_ids if each not in {*self.amis, *self.deleted_amis}]
        if unknown:
            raise InvalidAMIIdError(unknown)
        if owners:
            names = {self.account_id if owner == "self" else owner for owner in owners}
            images = [each for each in images if {each.owner_id, each.owner_alias} & names]
        return generic_filter(filters or {}, images)

    def _image_asked_for(self, filters: dict[str, Any] | None) -> Any:
        """Returns the image of which filters give the id and nothing else; None if they do not."""
        if not filters or [*filters] != ["image-id"]:
            return None
        wanted = filters["image-id"]
        ids = [wanted] if isinstance(wanted, str) else wanted
        return self.amis.get(ids[0]) if len(ids) == 1 else None

    def create_image_of(
        self,
        instance_id: str,
        name: str,
        description: str,
        tags: dict[str, dict[str, str]],
        changes: list[dict[str, Any]],
        *,
        reboot: bool,
    ) -> Any:
        """Makes an image of an instance; of a machine, it is `pending` while the disk is copied.

        Raises:
            EC2ClientError: The name is taken or wrong, or the instance in no state for it.
        """
        instance = self.get_instance(instance_id)
        self._check_new_image(instance, name)
        image: Any = Ami(
            self, random_ami_id(), instance=instance, name=name, description=description
        )
        origin = self.amis.get(instance.image_id)
        image.base = origin.base if origin else Image.base
        image.root_device_name = instance.root_device_name
        image.root_device_type = "ebs"
        image.hypervisor = instance.hypervisor
        image.platform = instance.platform
        # moto has made a snapshot of another disk.
        self.snapshots.pop(image.ebs_snapshot.id)
        image.disks = []
        asked = {each["DeviceName"]: each for each in changes}
        for device, block in instance.block_device_mapping.items():
            change = asked.pop(device, {})
            if "NoDevice" in change:
                continue
            volume = self.volumes[block.volume_id]
            snapshot = self.create_snapshot(
                volume.id,
                f"Created by CreateImage({instance_id}) for {image.id}",
                from_ami=image.id,
            )
            snapshot.add_tags(tags.get("snapshot", {}))
            disk = _disk(device, snapshot, volume.volume_type, ends=block.delete_on_termination)
            disk["Ebs"].update(change.get("Ebs", {}))
            image.disks.append(disk)
            if device == image.root_device_name:
                image.ebs_snapshot = snapshot
        if asked:
            raise NotImplementedError(f"CreateImage with a new disk {', '.join(sorted(asked))}")
        image.add_tags(tags.get("image", {}))
        self.amis[image.id] = image
        if instance.machine is not None:
            self._keep(instance, image, reboot=reboot)
        return image

    def _check_new_image(self, instance: Any, name: str) -> None:
        """Refuses as EC2 does.

        Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
        """
        if not _NAME.fullmatch(name or ""):
            raise EC2ClientError(
                "InvalidAMIName.Malformed",
                "AMI names must be between 3 and 128 characters long, and may contain letters, "
                "numbers, '(', ')', '.', '-', '/' and '_'",
            )
        for other in self.amis.values():
            if other.name == name and other.owner_id == self.account_id:
                raise EC2ClientError(
                    "InvalidAMIName.Duplicate",
                    f"AMI name {name} is already in use by AMI {other.id}",
                )
        if instance.state not in ("running", "stopping", "stopped"):
            raise EC2ClientError(
                "IncorrectInstanceState",
                f"The instance '{instance.id}' is not in a state from which it can be imaged.",
            )

    def _keep(self, instance: Any, image: Any, *, reboot: bool) -> None:
        """Has the machine's disk copied; one that runs is down meanwhile."""

        def complete(failure: str) -> None:
            image.state = "failed" if failure else "available"
            if failure:
                image.state_reason = {"Code": "Server.InternalError", "Message": failure}

        image.state = "pending"
        rebooted = reboot and instance.state == "running"
        if rebooted:
            instance.machine.power_off()
        self.machines.keep(instance.id, image.id, complete)
        if rebooted:
            instance.machine.boot()

    def delete_snapshot(self, snapshot_id: str) -> Any:
        """Removes what an image made of a machine has kept, with its last snapshot."""
        snapshot = _moto_delete_snapshot(self, snapshot_id)
        image_id = snapshot.from_ami
        if image_id and image_id not in {each.from_ami for each in self.snapshots.values()}:
            self.machines.forget(image_id)
        return snapshot


def _disk(device: str, snapshot: Any, kind: str, *, ends: bool) -> dict[str, Any]:
    return {
        "DeviceName": device,
        "Ebs": {
            "SnapshotId": snapshot.id,
            "VolumeSize": snapshot.volume_size,
            "VolumeType": kind,
            "DeleteOnTermination": ends,
            "Encrypted": bool(snapshot.encrypted),
        },
    }


def close() -> None:
    """Closes the gaps of images."""
    patch(
        Ami,
        Image,
        adds=(
            "base",
            "disks",
        ),
    )
    patch(
        EC2Backend,
        ImageBackend,
        adds=(
            "usable_image",
            "create_image_of",
            "_image_asked_for",
            "_check_new_image",
            "_keep",
        ),
    )
    patch(EC2Response, ImageActions, adds=("_volume",))
