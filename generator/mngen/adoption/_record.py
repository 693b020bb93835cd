"""The record `adoption.json`: what of the old setup `mngen import --finish` may delete, and lists.

Nothing else knows it at that point: the spec and the queue have let go of the old environments. The
file is beside the spec, so anyone with the repository can finish.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from mngen.errors import InputError, Problem
from mngen.spec import MAX_BYTES, ComputeEnvironmentArn

if TYPE_CHECKING:
    from pathlib import Path

    from mngen.adoption._inventory import Inventory
    from mngen.adoption._queues import MappedQueue

RECORD = "adoption.json"
"""Name of the record, beside the spec."""

_NOTE = "Written by mngen import, for mngen import --finish. Keep it with the spec until then."


class OldEnvironment(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """A compute environment that a queue had before mngen, and what it used.

    Attributes:
        arn: Its ARN.
        uuid: Batch's id of it, which a later one of the same name does not have; empty if it was
            not seen.
        queues: Names in AWS of the queues that list it in `legacy`.
        managed_elsewhere: Whether another Terraform configuration manages it.
        amis: AMIs that its instances start from.
        launch_templates: Ids or names of launch templates.
        instance_profile: ARN or name of the instance profile.
        roles: ARNs or names of its service role and of that of its Spot fleet.
    """

    arn: ComputeEnvironmentArn
    uuid: str = ""
    queues: tuple[str, ...] = ()
    managed_elsewhere: bool = False
    amis: tuple[str, ...] = ()
    launch_templates: tuple[str, ...] = ()
    instance_profile: str = ""
    roles: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Its name."""
        return self.arn.rpartition("/")[2]


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is left of the old setup.

    Attributes:
        environments: The environments, each once.
        note: What the file is.
    """

    note: str = _NOTE
    environments: Annotated[tuple[OldEnvironment, ...], msgspec.Meta(min_length=1)]


def record_text(inventory: Inventory, queues: list[MappedQueue]) -> str:
    """Returns the text of the record; empty if the spec lists no old environment.

    Args:
        inventory: What there is.
        queues: The queues that are in the spec.
    """
    found = {str(each.data.get("computeEnvironmentArn")): each for each in inventory.environments}
    arns = dict.fromkeys(arn for each in queues for arn in each.legacy)
    if not arns:
        return ""
    environments = tuple(
        _old(
            arn,
            found[arn].data if arn in found else {},
            tuple(each.name for each in queues if arn in each.legacy),
            # Terraform states are read for the queues that one has to let go of.
            managed_elsewhere=arn in found and bool(inventory.released),
        )
        for arn in arns
    )
    data = msgspec.to_builtins(Record(environments=environments))
    return json.dumps(data, indent=2) + "\n"


def read_record(spec: Path) -> Record:
    """Reads the record beside a spec.

    Raises:
        InputError: There is none, or it is not one.
    """
    path = spec.parent / RECORD
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise InputError(
            f"there is no {path}",
            hint="mngen import writes it if a queue keeps its compute environments in `legacy`; "
            "disable and delete environments that it does not have with the AWS CLI",
        ) from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    try:
        return msgspec.json.decode(raw, type=Record)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(
            Problem(
                f"not a record of mngen import: {error}",
                file=str(path),
                hint="restore it from version control",
            )
        ) from None


def _old(
    arn: str, data: dict[str, Any], queues: tuple[str, ...], *, managed_elsewhere: bool
) -> OldEnvironment:
    resources = data.get("computeResources", {})
    template = resources.get("launchTemplate", {})
    images = [
        resources.get("imageId"),
        *(each.get("imageIdOverride") for each in resources.get("ec2Configuration", [])),
    ]
    return OldEnvironment(
        arn=arn,
        uuid=str(data.get("uuid") or ""),
        queues=queues,
        managed_elsewhere=managed_elsewhere,
        amis=_texts(images),
        launch_templates=_texts(
            [template.get("launchTemplateId") or template.get("launchTemplateName")]
        ),
        instance_profile=str(resources.get("instanceRole") or ""),
        roles=_texts([data.get("serviceRole"), resources.get("spotIamFleetRole")]),
    )


def _texts(values: list[Any]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(each) for each in values if each))
