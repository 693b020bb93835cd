"""The spec of a deployment that mngen made, from what the account has of it.

The names lose the deployment's prefix and Terraform's suffix, and what mngen made itself becomes
the key that had it made. A value that is the default is not written.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec

from mngen.account import image_of, stem_of
from mngen.adoption._deployed import Deployed, is_made, job_roles, mount_of, role_name
from mngen.adoption._draft import key_of
from mngen.adoption._environments import base_of, choose_instances, node_counts
from mngen.adoption._jobs import containers_of
from mngen.adoption._lines import Place
from mngen.adoption._queues import environments_of, limits_of
from mngen.cluster import (
    DEPLOYMENT_TAG,
    ECR_IMAGE,
    IMAGE_TAG,
    NR_CPUS_TAG,
    TAG_PREFIX,
    default_allocation,
    scratch_of_image,
)
from mngen.cluster.names import aws_name, log_group
from mngen.spec import (
    DEFAULT_CIDR,
    DEFAULT_RETENTION,
    CancelAfter,
    Container,
    Efs,
    Environment,
    Fsx,
    Network,
    Shares,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mngen.adoption._deployed import Template
    from mngen.adoption._draft import Draft
    from mngen.adoption._item import Item
    from mngen.catalog import InstanceType

# What no account shows, by the key of the spec.
_UNKNOWN = {
    "provider": "the version of the provider: 6, unless you write another one",
    "state": "where Terraform keeps its state",
    "image.connect": "how AMIs are baked: also `ssh_from`",
    "storage.efs.tls": "whether the file system is mounted with TLS",
    "queues": "what was protected: `protect`, also of jobs, container and file system",
}

_CONTAINER = Container()
_EFS = Efs()
_FSX = Fsx()
_ENVIRONMENT = {each.name: each.default for each in msgspec.structs.fields(Environment)}


class _Zones(msgspec.Struct):
    """Zones: all that the network has, sorted, and those of each subnet."""

    all: list[str]
    of: dict[str, str]


def recover(draft: Draft, made: Deployed) -> tuple[dict[str, Place], dict[str, Any]]:
    """Fills the spec, and returns where its entries were found and its other sections.

    Args:
        draft: The spec in the making.
        made: What the account shows of the deployment.
    """
    inventory = draft.inventory
    places: dict[str, Place] = {}
    keys: dict[str, str] = {}
    zones = _zones(made)
    for item in inventory.environments:
        key = stem_of(item.data).removeprefix(f"{made.name}-")
        arn = str(item.data.get("computeEnvironmentArn", ""))
        # A replacement that is under way has two of a name.
        if key not in draft.environments and _map_environment(draft, made, item, key, zones):
            places[f"environments.{key}"] = item.place
        if key in draft.environments:
            keys[arn] = key
    for item in inventory.queues:
        queue = _map_queue(draft, made, item, keys)
        if queue:
            places[f"queues.{queue}"] = item.place
    for item in inventory.definitions:
        name = str(item.data["jobDefinitionName"])
        draft.changed(
            item.at("jobDefinitionName"),
            f"jobs.{name.removeprefix(f'{made.name}-')}",
            f"{name} is not in the spec: an apply without it deregisters all its revisions",
            "write the job again before you apply",
            breaks=True,
        )
    unknown = dict(_UNKNOWN)
    if not inventory.definitions:
        unknown["container"] = "the image, the role and the log group of jobs without a definition"
    for key, why in unknown.items():
        draft.changed(Place(inventory.source), key, f"an account does not show {why}")
    own = {
        "tags": _tags(draft, made),
        "network": _network(draft, made, zones),
        "storage": _storage(draft, made, zones),
        "image": _image(draft, made),
        "roles": _roles(draft, made),
        "container": _container(draft, made),
        "logs": _logs(draft, made),
        "notify": made.notify,
        "budget": made.budget,
        **({"dashboard": True} if made.dashboard else {}),
    }
    return places, own


def _zones(made: Deployed) -> _Zones:
    if made.vpc is None:
        return _Zones([], {})
    found = made.vpc.everywhere
    used = set(made.vpc.zones.values())
    if made.own_file_system and made.file_system:
        # One mount target in each zone of the network.
        used = {found[each] for each in made.file_system.subnets if each in found}
    elif not made.vpc.own and not made.vpc.default:
        used = set(found.values())
    return _Zones(sorted(used), found)


def _map_environment(draft: Draft, made: Deployed, item: Item, key: str, zones: _Zones) -> bool:
    """Adds an environment to the spec, if one can stand for it; returns whether one does."""
    path = f"environments.{key}"
    resources = item.child("computeResources")
    types = [str(each) for each in resources.take("instanceTypes", [])]
    at = resources.at("instanceTypes")
    chosen = choose_instances(draft, types, at, path, base=base_of(item))
    if not chosen:
        return False
    # The provider keeps no order of types, but the AMI may have the name of the first one.
    image = made.amis.get(image_of(item.data) or "", {}).get(IMAGE_TAG, "")
    chosen.sort(key=lambda each: (not f"{image}-".startswith(f"{each.name}-"), each.name))
    instance, *others = chosen
    sizes = node_counts(
        draft,
        path,
        instance,
        (resources.take("maxvCpus", 0), resources.at("maxvCpus")),
        (resources.take("minvCpus", 0), resources.at("minvCpus")),
    )
    if sizes is None:
        return False
    draft.kept(
        item.at("computeEnvironmentName"), path, f"{item.data['computeEnvironmentName']}: its name"
    )
    draft.kept(
        resources.at("instanceTypes", types.index(instance.name)), f"{path}.instance", instance.name
    )
    spot = str(resources.take("type", "EC2")).upper() == "SPOT"
    here = sorted({zones.of[each] for each in resources.take("subnets", []) if each in zones.of})
    group = str(resources.take("placementGroup", ""))
    entry: dict[str, Any] = {"instance": instance.name, **sizes}
    if others:
        entry["alternatives"] = [each.name for each in others]
    entry |= _of_ami(draft, made, item, instance, path)
    if spot:
        entry["purchase"] = "spot"
        if resources.take("bidPercentage"):
            entry["bid_percentage"] = resources.take("bidPercentage")
    several = not spot and not others and (bool(group) or len(here) <= 1)
    entry["multi_node"] = several
    if several and not group:
        draft.changed(
            resources.at("placementGroup"),
            f"{path}.multi_node",
            "true: an environment in one zone without a placement group may take single-node jobs "
            "only, or not",
            "write `multi_node: false` without `placement_group` if it did",
        )
    template = _template_of(made, item)
    reserved = template.capacity if template else {}
    if reserved:
        entry["capacity"] = _capacity(reserved)
    entry["placement_group"] = _group(made, key, group, several=several and not reserved)
    if here != (zones.all[:1] if several else zones.all):
        entry["zones"] = here
    strategy = str(resources.take("allocationStrategy", "BEST_FIT")).lower().replace("_", "-")
    if strategy != default_allocation(spot=spot, reserved=bool(reserved)):
        entry["allocation"] = strategy
    if template:
        entry["efa"] = template.efa
        if template.root_volume:
            entry["root_volume"] = template.root_volume
    draft.environments[key] = {
        name: value
        for name, value in entry.items()
        if name not in _ENVIRONMENT or value != _ENVIRONMENT[name]
    }
    return True


def _template_of(made: Deployed, item: Item) -> Template | None:
    template = item.data["computeResources"].get("launchTemplate", {})
    return made.templates.get(str(template.get("launchTemplateId")))


def _capacity(reserved: dict[str, str]) -> dict[str, str]:
    """Returns `capacity`, a group by its name: it is of the deployment's account and region."""
    return {kind: name.rpartition(":group/")[2] for kind, name in reserved.items()}


def _group(made: Deployed, key: str, group: str, *, several: bool) -> object:
    """Returns `placement_group`; None for its default."""
    if not group:
        return False if several else None
    own = group.removeprefix(f"{made.name}-")
    if own == group:
        return {"existing": group}
    return None if own == key and several else own


def _of_ami(
    draft: Draft, made: Deployed, item: Item, instance: InstanceType, path: str
) -> dict[str, Any]:
    """Returns the keys that follow from the AMI: those for CPUs and scratch space, or its id."""
    ami = image_of(item.data) or ""
    place = item.at("computeResources", "ec2Configuration")
    tags = made.amis.get(ami)
    if tags is None:
        draft.changed(
            place,
            f"{path}.hyperthreading",
            f"one thread a core, the default: AWS does not show the AMI {ami or 'of Batch'}, whose "
            "tags have its CPUs",
            "correct `hyperthreading` and `cpus`, and write `image` if mngen did not bake it",
            breaks=True,
        )
        return {}
    if tags.get(DEPLOYMENT_TAG) != made.name:
        draft.kept(place, f"{path}.image", f"{ami}, which mngen did not bake")
        draft.changed(
            place,
            f"{path}.hyperthreading",
            "one thread a core, the default: nothing shows the CPUs of an AMI of your own",
            "correct `hyperthreading` and `cpus`",
        )
        return {"image": ami}
    found: dict[str, Any] = {}
    limit = int(tags.get(NR_CPUS_TAG) or 0)
    if not limit and instance.nr_cpus is not None:
        draft.kept(place, f"{path}.hyperthreading", "true: the AMI does not limit the CPUs")
        found["hyperthreading"] = True
    elif limit and limit != instance.nr_cpus:
        draft.kept(place, f"{path}.cpus", f"{limit}: the AMI limits the CPUs to them")
        found["cpus"] = limit
    scratch = scratch_of_image(tags.get(IMAGE_TAG, ""))
    if scratch is not None:
        draft.kept(place, f"{path}.scratch", f"{scratch}: the AMI mounts the disks there")
        found["scratch"] = scratch
    return found


def _map_queue(draft: Draft, made: Deployed, item: Item, keys: dict[str, str]) -> str | None:
    name = str(item.data["jobQueueName"])
    key = key_of(name.removeprefix(f"{made.name}-"), draft.queues)
    path = f"queues.{key}"
    arns = environments_of(item.data)
    environments = [keys[arn] for arn in arns if arn in keys]
    if not environments:
        draft.cannot(
            item.at("computeEnvironmentOrder"),
            f"{path}.environments",
            "none of its environments is one of the deployment: the spec's own are not created "
            "before their AMIs are baked",
            "write the queue and its environments again",
            breaks=True,
        )
        return None
    entry: dict[str, Any] = {"environments": environments}
    draft.kept(item.at("jobQueueName"), path, f"{name}: its name")
    if name != aws_name(made.name, key):
        entry["aws_name"] = name
    if item.take("priority", 1) != 1:
        entry["priority"] = item.take("priority")
    if str(item.take("state", "ENABLED")).upper() != "ENABLED":
        entry["enabled"] = False
    legacy = [arn for arn in arns if arn not in keys]
    if legacy:
        entry["legacy"] = legacy
        draft.kept(
            item.at("computeEnvironmentOrder"), f"{path}.legacy", "not environments of mngen"
        )
    policy = item.take("schedulingPolicyArn")
    if policy in made.shares:
        entry["shares"] = _shares(made.shares[policy])
        draft.kept(item.at("schedulingPolicyArn"), f"{path}.shares", f"{policy}: its content")
    elif policy:
        entry["scheduling_policy"] = policy
    limits = limits_of(draft, item, path)
    default = msgspec.structs.asdict(CancelAfter())
    limits = {each: value for each, value in limits.items() if value != default[each]}
    if limits:
        entry["cancel_after"] = limits
    draft.queues[key] = entry
    return key


def _shares(policy: dict[str, Any]) -> dict[str, Any]:
    """Returns the content of a scheduling policy of mngen as the spec has it, without defaults."""
    default = msgspec.structs.asdict(Shares())
    found = {
        "weights": {
            each["shareIdentifier"]: each.get("weightFactor", 1.0)
            for each in policy.get("shareDistribution", [])
        },
        # 0 stands for 600: API_FairsharePolicy.
        "decay": policy.get("shareDecaySeconds") or 600,
        "reserve": policy.get("computeReservation", 0),
    }
    return {key: value for key, value in found.items() if value != default[key]}


def _tags(draft: Draft, made: Deployed) -> dict[str, str]:
    """Returns the tags that all queues and environments have in common."""
    items = [*draft.inventory.environments, *draft.inventory.queues]
    pairs = [set(item.data.get("tags", {}).items()) for item in items]
    common = set.intersection(*pairs) if pairs else set()
    found = {key: value for key, value in sorted(common) if not key.startswith(TAG_PREFIX)}
    for key in found:
        draft.kept(items[0].at("tags", key), "tags", f"on all that {made.name} has")
    return found


def _network(draft: Draft, made: Deployed, zones: _Zones) -> dict[str, Any]:
    vpc, place = made.vpc, Place(draft.inventory.source)
    environments = draft.inventory.environments
    section: dict[str, Any] = {}
    if vpc is None:
        return section
    used = {each for item in environments for each in item.data["computeResources"]["subnets"]}
    if vpc.own:
        section |= {"vpc": "new", "zones": zones.all}
        if vpc.cidr != DEFAULT_CIDR:
            section["cidr"] = vpc.cidr
        if not made.nat:
            section["nat"] = False
    elif vpc.default:
        if set(zones.all) != set(vpc.zones.values()):
            section["zones"] = zones.all
    else:
        if made.own_file_system and made.file_system:
            used |= set(made.file_system.subnets)
        section |= {"vpc": vpc.id, "subnets": sorted(used)}
        if made.route_tables and made.route_tables != (vpc.main_table,):
            section["route_tables"] = list(made.route_tables)
        draft.changed(
            place,
            "network.subnets",
            "those that an environment or the file system uses: nothing shows others",
        )
    draft.kept(place, "network.vpc", f"{section.get('vpc', 'default')}: {vpc.id}")
    if made.endpoints != Network().endpoints:
        section["endpoints"] = list(made.endpoints)
    groups = dict.fromkeys(
        group for item in environments for group in _groups(made, item) if group not in made.groups
    )
    if groups:
        section["security_groups"] = list(groups)
    pairs = {item.data["computeResources"].get("ec2KeyPair") for item in environments} - {None, ""}
    if pairs and made.ssh_from:
        section["ssh"] = {"key_pair": min(pairs), "from": list(made.ssh_from)}
    return section


def _groups(made: Deployed, item: Item) -> Iterable[str]:
    resources = item.data["computeResources"]
    template = _template_of(made, item)
    return resources.get("securityGroupIds") or (template.groups if template else ())


def _lustre(
    draft: Draft, made: Deployed, mount: str, place: Place, zones: _Zones
) -> dict[str, Any]:
    """Returns the section of FSx for Lustre, which jobs mount.

    Its maintenance window is left out: nothing shows whether AWS chose it. The report has it.
    """
    section: dict[str, Any] = {}
    if mount != _FSX.mount:
        section["mount"] = mount
    found, settings = made.lustre, made.lustre.get("LustreConfiguration", {})
    if not found:
        draft.changed(
            place,
            "storage.fsx.id",
            "a new file system: nothing shows which one is in use",
            "write the `id` of the one that jobs use before you apply",
            breaks=True,
        )
        return section
    if not made.own_lustre:
        section["id"] = found["FileSystemId"]
        draft.kept(place, "storage.fsx.id", f"{section['id']}: the only one in the VPC")
        if made.lustre_from:
            section["security_group"] = min(made.lustre_from)
        return section
    kind = settings["DeploymentType"].lower().replace("_", "-")
    written = {
        "type": kind,
        "size": found["StorageCapacity"],
        "compression": settings.get("DataCompressionType") == "LZ4",
        "backup_days": settings.get("AutomaticBackupRetentionDays", 0),
    }
    section |= {key: value for key, value in written.items() if value != getattr(_FSX, key)}
    if (throughput := settings.get("PerUnitStorageThroughput")) is not None:
        section["throughput"] = throughput
    if found.get("KmsKeyId") in made.keys:
        section["kms_key"] = found["KmsKeyId"]
    zone = zones.of.get(found["SubnetIds"][0])
    if zone is not None and zone != zones.all[0]:
        section["zone"] = zone
    if found["Links"]:
        section["s3"] = {
            each["FileSystemPath"].strip("/"): _link(each)
            for each in sorted(found["Links"], key=lambda each: str(each["FileSystemPath"]))
        }
    draft.kept(
        place,
        "storage.fsx",
        f"{found['FileSystemId']}: mngen's own; without its maintenance window "
        f"({settings.get('WeeklyMaintenanceStartTime')}), which stays as it is",
    )
    return section


def _link(found: dict[str, Any]) -> dict[str, Any]:
    policies = found.get("S3", {})
    events = {
        key: [each.lower() for each in policies.get(policy, {}).get("Events", [])]
        for key, policy in (("import", "AutoImportPolicy"), ("export", "AutoExportPolicy"))
    }
    link: dict[str, Any] = {"path": found["DataRepositoryPath"]}
    if set(events["import"]) != {"new", "changed", "deleted"}:
        link["import"] = events["import"]
    if events["export"]:
        link["export"] = events["export"]
    return link


def _storage(draft: Draft, made: Deployed, zones: _Zones) -> dict[str, Any]:
    efs: dict[str, Any] = {}
    place = Place(draft.inventory.source)
    mount = mount_of(draft.inventory.definitions, "efs") or _EFS.mount
    if mount != _EFS.mount:
        efs["mount"] = mount
    if made.own_file_system:
        if made.elastic:
            efs["throughput"] = "elastic"
        if not made.backup:
            efs["backup"] = False
        if made.file_system_key in made.keys:
            efs["kms_key"] = made.file_system_key
        draft.kept(place, "storage.efs", f"{made.file_system and made.file_system.id}: mngen's own")
    elif made.file_system:
        efs["id"] = made.file_system.id
        draft.kept(place, "storage.efs.id", f"{efs['id']}: the only one in the VPC")
        if made.mounts_from:
            efs["security_group"] = min(made.mounts_from)
    else:
        draft.changed(
            place,
            "storage.efs.id",
            "a new file system: nothing shows which one is in use",
            "write the `id` of the one that jobs use before you apply",
            breaks=True,
        )
    if made.mount_role:
        efs["iam"] = True
    if made.access_point:
        efs["access_point"] = made.access_point
    section: dict[str, Any] = {"efs": efs} if efs else {}
    lustre_mount = mount_of(draft.inventory.definitions, "fsx")
    if lustre_mount:
        section["fsx"] = _lustre(draft, made, lustre_mount, place, zones)
    if made.bucket:
        section["bucket"] = made.bucket
    return section


def _image(draft: Draft, made: Deployed) -> dict[str, Any]:
    section: dict[str, Any] = {}
    if any(base_of(item) == "amazon-linux-2" for item in draft.inventory.environments):
        section["base"] = "amazon-linux-2"
    keys = sorted({each.kms_key for each in made.templates.values() if each.kms_key})
    if keys:
        section["kms_key"] = keys[0]
    if made.preload:
        section["preload"] = True
    if made.efa_installer:
        section["efa_installer"] = made.efa_installer
    return section


def _roles(draft: Draft, made: Deployed) -> dict[str, Any]:
    section: dict[str, Any] = {}
    for item in draft.inventory.environments:
        resources = item.data["computeResources"]
        for key, kind, arn in (
            ("service", "service", item.data.get("serviceRole")),
            ("instance_profile", "instance", resources.get("instanceRole")),
            ("spot_fleet", "spot-fleet", resources.get("spotIamFleetRole")),
        ):
            name = role_name(str(arn or ""))
            if not name or name == "AWSServiceRoleForBatch":
                continue
            section[key] = "create" if is_made(name, made.name, kind) else arn
    if section.get("instance_profile") == "create":
        del section["instance_profile"]
    definitions = draft.inventory.definitions
    roles = Counter(job_roles(definitions))
    own = any(is_made(role_name(each), made.name, "job") for each in roles)
    if definitions and not own and not made.job_role:
        section["job"] = min(roles, key=lambda each: (-roles[each], each), default="none")
    if made.policies:
        section["job_policies"] = list(made.policies)
    if made.instance_policies:
        section["instance_policies"] = list(made.instance_policies)
    if made.boundary:
        section["permissions_boundary"] = made.boundary
    return section


def _container(draft: Draft, made: Deployed) -> dict[str, Any]:
    definitions = draft.inventory.definitions
    images = Counter(str(each["image"]) for item in definitions for _, each in containers_of(item))
    if not images:
        return {}
    name = min(images, key=lambda each: (-images[each], each))
    image, parts = made.images.get(name), ECR_IMAGE.fullmatch(name)
    if image is None or parts is None or not image.own:
        return {"image": name}
    section = {}
    repository = parts["repository"]
    if not repository.startswith(f"{made.name}/"):
        section["aws_name"] = repository
    elif repository != f"{made.name}/{_CONTAINER.repository}":
        section["repository"] = repository.removeprefix(f"{made.name}/")
    if image.tag and image.tag != _CONTAINER.tag:
        section["tag"] = image.tag
    return section


def _logs(draft: Draft, made: Deployed) -> dict[str, Any]:
    groups = Counter(
        str(each["logConfiguration"]["options"].get("awslogs-group"))
        for item in draft.inventory.definitions
        for _, each in containers_of(item)
        if each.get("logConfiguration", {}).get("options")
    )
    group = min(groups, key=lambda each: (-groups[each], each), default="")
    if group and group != log_group(made.name):
        return {"group": group}
    if made.retention in (None, DEFAULT_RETENTION):
        return {}
    return {"retention": made.retention}
