"""Compute environments: from what the Batch API has to the section `environments`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from mngen.adoption._draft import Draft, count, key_of
from mngen.cluster import UNIQUE_SUFFIX, default_allocation, unlike

if TYPE_CHECKING:
    from mngen.adoption._item import Item
    from mngen.adoption._lines import Place
    from mngen.catalog import InstanceType

_DESCRIBES = frozenset(
    {
        "computeEnvironmentArn",
        "containerOrchestrationType",
        "context",
        "ecsClusterArn",
        "status",
        "statusReason",
        "unmanagedvCpus",
        "uuid",
    }
)
# The tutorial names an environment after the CPUs that its AMI leaves to Linux.
_LIMIT = re.compile(r"MAX_?(?:V?CPUS?)?_?(\d+)", re.IGNORECASE)
_MADE_UNIQUE = re.compile(rf"-{UNIQUE_SUFFIX}\Z")
AMAZON_LINUX_2 = frozenset({"ECS_AL2", "ECS_AL2_NVIDIA"})
"""What AWS Batch calls AMIs of Amazon Linux 2 (`imageType`)."""

_PLACE_IN_AWS = "mngen's own setting, or AWS's default, applies"


class Mapped(msgspec.Struct, kw_only=True):
    """A compute environment that a spec can describe.

    Attributes:
        name: Its name in AWS.
        key: Its key in the spec.
        arn: Its ARN, if it was seen in an account.
        instance: Its instance type.
        alternatives: Further types that it may start.
        cpus: CPUs that the ECS agent registers on an instance.
        subnets: Its subnets, with their places.
        groups: Its security groups, likewise.
        profile: Its instance profile, likewise; None without one.
        key_pair: Its SSH key pair, likewise.
        image: Its AMI, likewise.
        system: Batch's word for the system of its AMI, such as `ECS_AL2`, likewise.
        spot: Whether it buys on the Spot market.
    """

    name: str
    key: str
    arn: str
    instance: InstanceType
    cpus: int
    subnets: list[tuple[str, Place]]
    groups: list[tuple[str, Place]]
    profile: tuple[str, Place] | None = None
    key_pair: tuple[str, Place] | None = None
    image: tuple[str, Place] | None = None
    system: tuple[str, Place] | None = None
    spot: bool = False
    alternatives: tuple[InstanceType, ...] = ()

    @property
    def types(self) -> frozenset[str]:
        """The names of all its types."""
        return frozenset({self.instance.name, *(each.name for each in self.alternatives)})

    @property
    def single_node(self) -> bool:
        """Whether the spec has it for single-node jobs only."""
        return self.spot or bool(self.alternatives)


def map_environment(draft: Draft, item: Item, wanted_cpus: frozenset[int]) -> Mapped | None:
    """Adds a compute environment to the spec, or reports why it cannot.

    Args:
        draft: The spec in the making.
        item: The environment.
        wanted_cpus: vCPUs that job definitions ask of a node.
    """
    name = str(item.take("computeEnvironmentName", ""))
    # The environment in AWS is not taken over, so its name need not stay.
    key = key_of(_MADE_UNIQUE.sub("", name), draft.environments)
    path = f"environments.{key}"
    if not _is_supported(draft, item, path):
        return None
    resources = item.child("computeResources")
    types = [str(each) for each in resources.take("instanceTypes", [])]
    chosen = choose_instances(draft, types, resources.at("instanceTypes"), path, base=base_of(item))
    sizes = _sizes(draft, resources, path, chosen[0]) if chosen else None
    if not chosen or sizes is None:
        return None
    instance, *others = chosen
    kind = str(resources.take("type", "EC2")).upper()
    spot = kind == "SPOT"
    entry: dict[str, Any] = {"instance": instance.name}
    entry |= several_types(draft, chosen, resources, path)
    mapped = Mapped(
        name=name,
        key=key,
        arn=str(item.take("computeEnvironmentArn", "")),
        instance=instance,
        cpus=instance.vcpus,
        subnets=_each(resources, "subnets"),
        groups=_each(resources, "securityGroupIds"),
        profile=_one(resources, "instanceRole"),
        key_pair=_one(resources, "ec2KeyPair"),
        image=_one(resources, "imageId"),
        spot=spot,
        alternatives=tuple(others),
    )
    _image(draft, resources, mapped)
    limit, why = _cpu_limit(name, instance, wanted_cpus, own_image=mapped.image is not None)
    _set_cpus(draft, mapped, entry, limit, why, item.at("computeEnvironmentName"))
    entry |= sizes
    _capacity(draft, name, resources, path, entry, spot=spot)
    _purchase(draft, resources, path, entry, spot=spot)
    _placement(draft, resources, path, entry)
    _image_key(draft, mapped, entry)
    _own_settings(draft, item, resources)
    draft.environments[key] = entry
    return mapped


def base_of(item: Item) -> str:
    """Returns the base system of an environment's AMI as a spec names it."""
    images = item.data.get("computeResources", {}).get("ec2Configuration", [])
    old = any(each.get("imageType") in AMAZON_LINUX_2 for each in images)
    return "amazon-linux-2" if old else "amazon-linux-2023"


def _is_supported(draft: Draft, item: Item, path: str) -> bool:
    kind = str(item.data.get("computeResources", {}).get("type", "EC2")).upper()
    if str(item.take("type", "MANAGED")).upper() != "MANAGED":
        draft.cannot(
            item.at("type"),
            path,
            "an unmanaged environment has instances that Batch does not start",
            "describe its instance type in the spec, and let Batch start them",
        )
        return False
    if item.take("eksConfiguration"):
        draft.cannot(
            item.at("eksConfiguration"),
            path,
            "jobs on Amazon EKS are not multi-node jobs of Amazon ECS, the only kind that mngen "
            "has",
            "keep it outside mngen",
        )
        return False
    if kind.startswith("FARGATE"):
        draft.cannot(
            item.at("computeResources", "type"),
            path,
            "Fargate runs no multi-node jobs and has no instances to choose",
            "keep it outside mngen",
        )
        return False
    if str(item.take("state", "ENABLED")).upper() != "ENABLED":
        draft.cannot(
            item.at("state"),
            path,
            "the environment is disabled, and mngen has only enabled ones",
            "enable it, or leave it out",
        )
        return False
    return True


def choose_instances(
    draft: Draft, types: list[str], place: Place, path: str, *, base: str, most: int = 21
) -> list[InstanceType]:
    """Returns the types of an environment, or none, and reports why.

    Args:
        draft: The spec in the making.
        types: What the environment lists: types, families or `optimal`.
        place: Where.
        path: Path of the environment in the spec.
        base: The base system as in the spec, such as `amazon-linux-2023`.
        most: Most types that the environment may have; 1 for multi-node jobs.
    """
    found = [draft.catalog.get(each) for each in types]
    known = [each for each in found if each is not None]
    differs = [unlike(known[0], each, base) for each in known[1:]] if known else []
    if known and len(known) == len(types) <= most and not any(differs):
        return known
    missing = next((each for each in types if draft.catalog.get(each) is None), None)
    if len(types) > most:
        why = f"{count(len(types), 'instance type')}: an environment in a spec has {most} at most"
        if most == 1:
            why = f"{count(len(types), 'instance type')}: an environment of multi-node jobs has one"
        todo = "write one environment for each type, and list them in the queue"
    elif missing is None and types:
        pairs = zip(known[1:], differs, strict=True)
        name, how = next((each.name, how) for each, how in pairs if how)
        why = f"{count(len(types), 'instance type')} that are not alike: {name} {how}"
        todo = "write one environment for each size, and list them in the queue"
    elif missing is None:
        why, todo = "no instance type", "write the type of the instances"
    elif missing == "optimal" or "." not in missing:
        why = f'"{missing}" lets Batch choose the type; nodes of one job must be alike'
        todo = "write the one type that jobs should have, such as r5.24xlarge"
    else:
        why = f"there is no EC2 instance type {missing} in the catalog"
        todo = draft.catalog.unknown(missing).hint or "run mngen instances --refresh"
    draft.cannot(place, f"{path}.instance", why, todo)
    return []


def several_types(
    draft: Draft, chosen: list[InstanceType], resources: Item, path: str
) -> dict[str, Any]:
    """Returns the keys of an environment of several types, and reports what becomes of them.

    Args:
        draft: The spec in the making.
        chosen: Its types.
        resources: Its compute resources.
        path: Path of the environment in the spec.
    """
    key = "instanceTypes"
    first, *others = [each.name for each in chosen]
    draft.kept(resources.at(key, 0), f"{path}.instance", first)
    if not others:
        return {}
    for number, other in enumerate(others, 1):
        draft.kept(resources.at(key, number), f"{path}.alternatives", other)
    draft.changed(
        resources.at(key),
        f"{path}.multi_node",
        "false: nodes of a multi-node job have one type (MN435)",
        "for multi-node jobs, write one environment for each type",
    )
    return {"alternatives": others, "multi_node": False}


def _sizes(
    draft: Draft, resources: Item, path: str, instance: InstanceType
) -> dict[str, Any] | None:
    most, least = resources.take("maxvCpus", 0), resources.take("minvCpus", 0)
    sizes = node_counts(
        draft, path, instance, (most, resources.at("maxvCpus")), (least, resources.at("minvCpus"))
    )
    if resources.take("desiredvCpus") is not None:
        draft.changed(
            resources.at("desiredvCpus"), "", "dropped: Batch decides how many instances run"
        )
    return sizes


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


def _cpu_limit(
    name: str, instance: InstanceType, wanted: frozenset[int], *, own_image: bool
) -> tuple[int, str]:
    """Returns the CPUs that Linux has on an instance, and how that is known."""
    named = _LIMIT.search(name)
    limit = int(named[1]) if named else 0
    if 1 <= limit <= instance.vcpus:
        return limit, f"its name shows that the AMI limits Linux to {count(limit, 'CPU')}"
    if not own_image:
        return instance.vcpus, "the AMI of Amazon ECS leaves hyper-threading on"
    asked = max((each for each in wanted if each <= instance.vcpus), default=0)
    if asked and asked <= instance.cores and instance.threads_per_core > 1:
        return asked, f"job definitions ask for {asked} vCPUs of a node"
    return instance.vcpus, "nothing shows that its AMI limits the CPUs"


def _set_cpus(
    draft: Draft, mapped: Mapped, entry: dict[str, Any], limit: int, why: str, place: Place
) -> None:
    """Writes how many CPUs the instances have."""
    instance, path = mapped.instance, f"environments.{mapped.key}"
    mapped.cpus = limit
    check = "run `nproc` on an instance to check"
    if limit == instance.vcpus:
        if instance.threads_per_core > 1:
            entry["hyperthreading"] = True
        draft.kept(place, f"{path}.hyperthreading", f"{limit} CPUs: {why}", check)
    elif limit == instance.cores:
        entry["hyperthreading"] = False
        draft.kept(place, f"{path}.hyperthreading", f"one thread a core: {why}", check)
    elif limit < instance.cores:
        entry["cpus"] = limit
        draft.kept(place, f"{path}.cpus", f"{limit} of {instance.cores} cores: {why}", check)
    else:
        entry["hyperthreading"] = True
        mapped.cpus = instance.vcpus
        draft.changed(
            place,
            f"{path}.hyperthreading",
            f"{instance.vcpus} CPUs, not {limit}: a limit between cores and vCPUs leaves some "
            "cores two threads and others one",
        )


def _capacity(
    draft: Draft, name: str, resources: Item, path: str, entry: dict[str, Any], *, spot: bool
) -> None:
    """Writes the reserved capacity that the launch template targets, where the account shows it."""
    network = draft.inventory.network
    reserved = network.reserved.get(name) if network else None
    if not reserved:
        return
    ((kind, named),) = reserved.items()
    place = resources.at("launchTemplate")
    if spot:
        draft.changed(
            place, "", f"{named} dropped: Spot instances do not run in reserved capacity (MN451)"
        )
        return
    entry["capacity"] = reserved
    draft.kept(place, f"{path}.capacity.{kind}", named)


def _purchase(
    draft: Draft, resources: Item, path: str, entry: dict[str, Any], *, spot: bool
) -> None:
    place = resources.at("type")
    if spot:
        entry["purchase"] = "spot"
        entry["multi_node"] = False
        draft.kept(place, f"{path}.purchase", "Spot")
        draft.changed(
            place,
            f"{path}.multi_node",
            "false: Batch runs no multi-node jobs on Spot instances (MN110)",
        )
    else:
        draft.kept(place, f"{path}.purchase", "on demand, the default")
    bid = resources.take("bidPercentage")
    if bid is not None and spot:
        entry["bid_percentage"] = bid
        draft.kept(resources.at("bidPercentage"), f"{path}.bid_percentage", f"{bid} %")
    elif bid is not None:
        draft.changed(
            resources.at("bidPercentage"), "", "dropped: it has no effect on demand (MN112)"
        )
    _allocation(draft, resources, path, entry, spot=spot)
    if resources.take("spotIamFleetRole"):
        draft.changed(
            resources.at("spotIamFleetRole"),
            "roles.spot_fleet",
            "dropped: only best-fit allocation needs it",
        )


def _allocation(
    draft: Draft, resources: Item, path: str, entry: dict[str, Any], *, spot: bool
) -> None:
    default = default_allocation(spot=spot, reserved="capacity" in entry)
    found = str(resources.take("allocationStrategy", "BEST_FIT"))
    strategy = found.lower().replace("_", "-")
    place = resources.at("allocationStrategy")
    if strategy == default:
        draft.kept(place, f"{path}.allocation", f"{default}, the default")
    elif strategy in ("best-fit-progressive", "spot-price-capacity-optimized"):
        entry["allocation"] = strategy
        draft.kept(place, f"{path}.allocation", strategy)
    else:
        same = "with one type both choose the same instances"
        if "alternatives" in entry:
            same = "it uses another type where the first one has no capacity"
        draft.changed(
            place,
            f"{path}.allocation",
            f"{default} instead of {strategy}: {same}, and Batch can update the environment in "
            "place (MN114)",
        )


def _placement(draft: Draft, resources: Item, path: str, entry: dict[str, Any]) -> None:
    group = resources.take("placementGroup")
    place = resources.at("placementGroup")
    if group:
        entry["placement_group"] = {"existing": group}
        draft.kept(place, f"{path}.placement_group", f"{group}, which mngen does not manage")
    elif entry.get("multi_node", True) and "capacity" not in entry:
        entry["placement_group"] = False
        draft.kept(
            place,
            f"{path}.placement_group",
            "none, as today",
            "remove the key to place nodes close together",
        )


def _image(draft: Draft, resources: Item, mapped: Mapped) -> None:
    """Notes the AMI and its system; the newer place of both is `ec2Configuration`."""
    for each in resources.children("ec2Configuration"):
        mapped.image = _one(each, "imageIdOverride") or mapped.image
        mapped.system = _one(each, "imageType") or mapped.system
        draft.left(each, _PLACE_IN_AWS)


def _image_key(draft: Draft, mapped: Mapped, entry: dict[str, Any]) -> None:
    if mapped.image is None:
        return
    ami, place = mapped.image
    path = f"environments.{mapped.key}.image"
    if draft.inventory.exists:
        # The queue keeps the environment that uses it; the spec's own waits for a baked AMI.
        draft.changed(
            place,
            path,
            f"the environment in AWS keeps {ami}; the one in the spec is created with an AMI from "
            "mngen bake",
            f"to use {ami} there too, write `image: {ami}`",
        )
        draft.note(("environments", mapped.key), f"image: {ami} # the AMI of {mapped.name}")
    else:
        entry["image"] = ami
        draft.kept(place, path, f"{ami}; mngen does not bake it")


def _own_settings(draft: Draft, item: Item, resources: Item) -> None:
    """Reports what mngen decides for every environment."""
    if item.take("serviceRole"):
        draft.changed(
            item.at("serviceRole"),
            "roles.service",
            "dropped: with its service-linked role, Batch can update an environment in place "
            "(MN185)",
        )
    template = resources.child("launchTemplate")
    if template.data:
        version = str(template.take("version", "$Default"))
        draft.changed(
            resources.at("launchTemplate"),
            "",
            f"version {version} is not carried over: the launch template of mngen has none of its "
            "user data, volumes and interfaces",
            "add what its user data does to an AMI, and name that in `image`",
            breaks=True,
        )
    tags = resources.take("tags", {})
    for key in tags:
        why = "mngen names instances" if key == "Name" else "not carried over"
        draft.changed(resources.at("tags", key), "tags", why, "use `tags` for all resources")
    for key in item.take("tags", {}):
        draft.changed(item.at("tags", key), "tags", "not carried over", "use `tags`")
    draft.left(resources, _PLACE_IN_AWS)
    draft.left(item, _PLACE_IN_AWS, silent=_DESCRIBES)


def _each(item: Item, key: str) -> list[tuple[str, Place]]:
    return [
        (str(each), item.at(key, number))
        for number, each in enumerate(item.take(key, []))
        if each != ""
    ]


def _one(item: Item, key: str) -> tuple[str, Place] | None:
    found = item.take(key)
    return (str(found), item.at(key)) if found else None
