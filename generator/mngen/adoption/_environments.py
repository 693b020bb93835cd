"""Compute environments: what a spec has of one, from types and limits in vCPUs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from mngen.adoption._draft import Draft, count

if TYPE_CHECKING:
    from mngen.adoption._lines import Place
    from mngen.catalog import InstanceType


class Mapped(msgspec.Struct, kw_only=True):
    """A compute environment that a spec can describe.

    Attributes:
        key: Its key in the spec.
        subnets: Its subnets, with their places.
        groups: Its security groups, likewise.
    """

    key: str
    subnets: list[tuple[str, Place]]
    groups: list[tuple[str, Place]]


def choose_instance(draft: Draft, types: list[str], place: Place, path: str) -> InstanceType | None:
    """Returns the one type of an environment, or reports why there is none.

    Args:
        draft: The spec in the making.
        types: What the environment lists: types, families or `optimal`.
        place: Where.
        path: Path of the environment in the spec.
    """
    found = draft.catalog.get(types[0]) if len(types) == 1 else None
    if found is not None:
        return found
    if len(types) != 1:
        why = f"{count(len(types), 'instance type')}: an environment in a spec has one"
        todo = "write one environment for each type, and list them in the queue"
        if not types:
            why, todo = "no instance type", "write the type of the instances"
    elif types[0] == "optimal" or "." not in types[0]:
        why = f'"{types[0]}" lets Batch choose the type; nodes of one job must be alike'
        todo = "write the one type that jobs should have, such as r5.24xlarge"
    else:
        why = f"there is no EC2 instance type {types[0]} in the catalog"
        todo = draft.catalog.unknown(types[0]).hint or "run mngen instances --refresh"
    draft.cannot(place, f"{path}.instance", why, todo)
    return None


def node_counts(
    draft: Draft,
    path: str,
    instance: InstanceType,
    most: tuple[int, Place],
    least: tuple[int, Place],
) -> dict[str, Any] | None:
    """Returns `max_nodes` and `min_nodes` for limits in vCPUs; None if no instance fits.

    Args:
        draft: The spec in the making.
        path: Path of the environment in the spec.
        instance: Its instance type.
        most: `maxvCpus` and its place.
        least: `minvCpus` and its place.
    """
    limit, place = most
    nodes, rest = divmod(limit, instance.vcpus)
    if nodes < 1:
        draft.cannot(
            place,
            f"{path}.max_nodes",
            f"{limit} vCPUs are less than one {instance.name}, which has {instance.vcpus}",
            f"allow at least {instance.vcpus} vCPUs",
        )
        return None
    said = f"{limit} / {instance.vcpus} vCPUs = {count(nodes, 'node')}"
    if rest:
        draft.changed(
            place, f"{path}.max_nodes", f"{said}; the remainder of {rest} vCPUs is less than a node"
        )
    else:
        draft.kept(place, f"{path}.max_nodes", said)
    sizes = {"max_nodes": nodes}
    minimum, place = least
    if minimum:
        few, rest = divmod(minimum, instance.vcpus)
        few += bool(rest)
        said = f"{minimum} / {instance.vcpus} vCPUs = {count(few, 'node')} always running"
        report = draft.changed if rest else draft.kept
        report(place, f"{path}.min_nodes", said + (", rounded up" if rest else ""))
        sizes["min_nodes"] = few
    else:
        draft.kept(place, f"{path}.min_nodes", "0, the default")
    return sizes
