"""What a plan would do, as values: read from `terraform show -json PLAN`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from mngen.terraform._consequences import DATA_TYPES, when_destroyed, when_updated
from mngen.terraform._keys import RECORD, changed_keys, key_data
from mngen.terraform._moved import is_rescheduled
from mngen.terraform._values import change_text, path_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mngen.spec import KeyChange


class Kind(StrEnum):
    """What happens to one resource."""

    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DESTROY = "destroy"
    IMPORT = "import"
    MOVE = "move"
    FORGET = "forget"


@dataclass(frozen=True, slots=True)
class Change:
    """One resource that a plan changes.

    Attributes:
        address: Where it is in the configuration: `module.network.aws_subnet.private[0]`.
        type: Its resource type: `aws_subnet`.
        kind: What happens to it.
        attributes: For an update, the attributes that change, sorted.
        reasons: For a replacement or destruction, what forces it. A replacement
            names each attribute that forces it with its value before and after.
        create_before_destroy: For a replacement, whether the new one stands before the old goes.
        consequence: What it does to data or running jobs, if anything.
        previous_address: For a move, where it was.
    """

    address: str
    type: str
    kind: Kind
    attributes: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    create_before_destroy: bool = False
    consequence: str | None = None
    previous_address: str | None = None

    @property
    def steps(self) -> frozenset[str]:
        """What Terraform reports as done, each once, when this change is complete."""
        return _STEPS.get(self.kind, frozenset())

    @property
    def loses_data(self) -> bool:
        """Whether what the resource holds is gone afterwards."""
        return self.type in DATA_TYPES and self.kind in (Kind.DESTROY, Kind.REPLACE)

    def as_dict(self) -> dict[str, object]:
        """Returns the change as JSON-ready data, without the keys that have no value."""
        data: dict[str, object] = {
            "address": self.address,
            "type": self.type,
            "action": self.kind.value,
            "attributes": list(self.attributes),
            "reasons": list(self.reasons),
            "consequence": self.consequence,
            "previous_address": self.previous_address,
        }
        if self.kind is Kind.REPLACE:
            data["create_before_destroy"] = self.create_before_destroy
        return {key: value for key, value in data.items() if value not in (None, [])}


@dataclass(frozen=True, slots=True)
class PlanSummary:
    """What a plan would do.

    Attributes:
        changes: Every resource that changes, in Terraform's order (by address).
        outputs: Names of the outputs that change, sorted; without mngen's record of the spec.
        keys: The keys of the spec that differ from what was applied last. Empty where the state
            does not have that spec: before the first apply, and in a plan to destroy.
    """

    changes: tuple[Change, ...]
    outputs: tuple[str, ...] = ()
    keys: tuple[KeyChange, ...] = ()

    def of(self, kind: Kind) -> tuple[Change, ...]:
        """Returns the changes of one kind."""
        return tuple(change for change in self.changes if change.kind is kind)

    @property
    def added(self) -> tuple[Change, ...]:
        """The resources that are created where none was."""
        return self.of(Kind.CREATE)

    @property
    def changed(self) -> tuple[Change, ...]:
        """The resources that are updated in place."""
        return self.of(Kind.UPDATE)

    @property
    def destroyed(self) -> tuple[Change, ...]:
        """The resources that go and are not replaced."""
        return self.of(Kind.DESTROY)

    @property
    def replaced(self) -> tuple[Change, ...]:
        """The resources that are deleted and recreated."""
        return self.of(Kind.REPLACE)

    @property
    def at_stake(self) -> tuple[Change, ...]:
        """The changes that lose data or interrupt jobs."""
        return tuple(change for change in self.changes if change.consequence)

    def as_dict(self) -> dict[str, object]:
        """Returns the summary as JSON-ready data."""
        return {
            "add": len(self.added),
            "change": len(self.changed),
            "replace": len(self.replaced),
            "destroy": len(self.destroyed),
            "changes": [change.as_dict() for change in self.changes],
            "outputs": list(self.outputs),
            "spec": [key_data(key) for key in self.keys],
        }


def summarise(plan: Mapping[str, Any]) -> PlanSummary:
    """Summarises a plan.

    Args:
        plan: What `terraform show -json PLAN` prints, parsed. Its format:
            https://developer.hashicorp.com/terraform/internals/json-format
    """
    changes = (_change(resource) for resource in plan.get("resource_changes", []))
    outputs: Mapping[str, Any] = plan.get("output_changes", {})
    return PlanSummary(
        changes=tuple(change for change in changes if change is not None),
        outputs=tuple(
            sorted(
                name
                for name, change in outputs.items()
                if change["actions"] != ["no-op"] and name != RECORD
            )
        ),
        keys=changed_keys(outputs),
    )


_STEPS = {
    Kind.CREATE: frozenset({"create"}),
    Kind.UPDATE: frozenset({"update"}),
    Kind.DESTROY: frozenset({"delete"}),
    Kind.REPLACE: frozenset({"create", "delete"}),
}

_KINDS = {
    ("create",): Kind.CREATE,
    ("update",): Kind.UPDATE,
    ("delete",): Kind.DESTROY,
    ("delete", "create"): Kind.REPLACE,
    ("create", "delete"): Kind.REPLACE,
    ("forget",): Kind.FORGET,
    ("create", "forget"): Kind.CREATE,
}

_REASONS = {
    "replace_because_tainted": "the step that made it failed or was interrupted (tainted)",
    "replace_by_request": "its replacement was asked for",
    "replace_by_triggers": "a resource that it follows changes (replace_triggered_by)",
    "delete_because_no_resource_config": "the configuration no longer has it",
    "delete_because_no_module": "the configuration no longer has its module",
    "delete_because_no_move_target": "it was moved to a place that does not exist",
    "delete_because_wrong_repetition": "the configuration no longer repeats it in this way",
    "delete_because_count_index": "its number is beyond the new count",
    "delete_because_each_key": "its key is no longer listed",
}


def _change(resource: Mapping[str, Any]) -> Change | None:
    if resource.get("mode") != "managed":
        return None
    change = resource["change"]
    kind = _kind(resource)
    if kind is None:
        return None
    resource_type = resource["type"]
    before, after = change.get("before") or {}, change.get("after") or {}
    consequence = None
    if kind in (Kind.DESTROY, Kind.REPLACE):
        consequence = when_destroyed(resource_type)
    elif kind is Kind.UPDATE:
        consequence = when_updated(resource_type, before, after)
    deposed = resource.get("deposed")
    return Change(
        address=resource["address"],
        type=resource_type,
        kind=kind,
        attributes=_changed_attributes(change) if kind is Kind.UPDATE else (),
        reasons=(
            ("left over from an interrupted replacement",)
            if deposed
            else _reasons(resource, change.get("replace_paths", []))
        ),
        create_before_destroy=change["actions"] == ["create", "delete"],
        consequence=consequence,
        previous_address=resource.get("previous_address"),
    )


def _kind(resource: Mapping[str, Any]) -> Kind | None:
    change = resource["change"]
    kind = _KINDS.get(tuple(change["actions"]))
    if kind is None and "importing" in change:
        return Kind.IMPORT
    if kind is None and "previous_address" in resource:
        return Kind.MOVE
    return kind


def _reasons(resource: Mapping[str, Any], paths: Sequence[Sequence[str | int]]) -> tuple[str, ...]:
    change = resource["change"]
    forced = [f"forced by {path_text(path)}: {change_text(change, path)}" for path in paths]
    why = _REASONS.get(resource.get("action_reason", ""))
    if is_rescheduled(resource):
        why = "AWS Batch neither adds a scheduling policy to a queue nor removes it"
    return tuple([*forced, why] if why else forced)


def _changed_attributes(change: Mapping[str, Any]) -> tuple[str, ...]:
    before, after = change.get("before") or {}, change.get("after") or {}
    return tuple(sorted(name for name in {*before, *after} if before.get(name) != after.get(name)))
