"""What a spec has once for all environments: network, roles, storage, container."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mngen.adoption._draft import Draft, count
from mngen.adoption._environments import AMAZON_LINUX_2
from mngen.cluster import ECR_IMAGE

if TYPE_CHECKING:
    from mngen.adoption._environments import Mapped
    from mngen.adoption._inventory import FileSystem, Subnet
    from mngen.adoption._jobs import MappedJob
    from mngen.adoption._lines import Place

_MOST_GROUPS = 4
_PROFILE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:instance-profile/.+")
_MOUNT = re.compile(r"(/[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}){1,8}")

Found = list[tuple[str, "Place"]]


def network(draft: Draft, environments: list[Mapped]) -> dict[str, Any]:
    """Returns the section `network`; sets the zones of the environments."""
    section: dict[str, Any] = {}
    subnets = _once([each for mapped in environments for each in mapped.subnets])
    known = draft.inventory.network
    if known is None or known.subnets is None:
        for subnet, place in subnets:
            draft.changed(
                place,
                "network.vpc",
                f"default: nothing shows which VPC and zone {subnet} is in",
                "unless it is in the default VPC, write the id of the VPC and `subnets`"
                + ("; with --aws, mngen import asks the account" if known is None else ""),
            )
        section["vpc"] = "default"
    else:
        _place_in_vpc(draft, section, subnets, known.subnets)
        _zones(draft, environments, known.subnets)
    section["endpoints"] = []
    for subnet, place in subnets[:1]:
        del subnet
        exists = known is not None and known.s3_endpoint
        draft.kept(
            place,
            "network.endpoints",
            "none is created: the VPC has one for S3" if exists else "none is created, as today",
            "" if exists else "write [s3] if the VPC has no endpoint for S3: it is free",
        )
    _groups(draft, section, environments)
    _ssh(draft, environments)
    return section


def _place_in_vpc(
    draft: Draft, section: dict[str, Any], subnets: Found, known: dict[str, Subnet]
) -> None:
    vpc = next((known[each].vpc for each, _ in subnets if each in known), None)
    section["vpc"] = vpc or "default"
    listed = []
    for subnet, place in subnets:
        found = known.get(subnet)
        if found is None:
            draft.cannot(
                place, "network.subnets", f"the account has no subnet {subnet}", "correct the id"
            )
        elif found.vpc != vpc:
            draft.cannot(
                place,
                "network.subnets",
                f"in {found.vpc}, while others are in {vpc}: a spec has one VPC",
                "write one spec for each VPC; --queue limits what is imported",
            )
        else:
            listed.append(subnet)
            draft.kept(place, "network.subnets", f"{subnet}, in {found.vpc} and {found.zone}")
    if listed:
        section["subnets"] = sorted(listed)


def _zones(draft: Draft, environments: list[Mapped], known: dict[str, Subnet]) -> None:
    everywhere = {each.zone for each in known.values()}
    for mapped in environments:
        entry = draft.environments[mapped.key]
        path = f"environments.{mapped.key}.zones"
        zones = sorted({known[each].zone for each, _ in mapped.subnets if each in known})
        if not zones:
            continue
        place = mapped.subnets[0][1]
        if entry.get("multi_node", True):
            entry["zones"] = zones[:1]
            if len(zones) > 1:
                draft.changed(
                    place,
                    path,
                    f"{zones[0]} instead of {count(len(zones), 'zone')}: the nodes of a job must "
                    "be close together (MN121)",
                )
            else:
                draft.kept(place, path, zones[0])
        elif set(zones) != everywhere:
            entry["zones"] = zones
            draft.kept(place, path, ", ".join(zones))


def _groups(draft: Draft, section: dict[str, Any], environments: list[Mapped]) -> None:
    groups = _once([each for mapped in environments for each in mapped.groups])
    for group, place in groups[:_MOST_GROUPS]:
        draft.kept(
            place, "network.security_groups", f"{group}, beside a group of mngen for the nodes"
        )
    for group, place in groups[_MOST_GROUPS:]:
        draft.cannot(
            place,
            "network.security_groups",
            f"{group}: beside the group of mngen, nodes can have {_MOST_GROUPS}",
            "merge the groups",
        )
    if groups:
        section["security_groups"] = [group for group, _ in groups[:_MOST_GROUPS]]


def _ssh(draft: Draft, environments: list[Mapped]) -> None:
    pairs = _once([mapped.key_pair for mapped in environments if mapped.key_pair])
    for pair, place in pairs[:1]:
        draft.changed(
            place,
            "network.ssh.key_pair",
            f"{pair} is in a comment: with a key pair, a spec also lists the addresses that may "
            "connect",
            "write your range in `from`, and remove the comment sign",
        )
        draft.note(("network", "endpoints"), f"ssh: {{key_pair: {pair}, from: [10.0.0.0/8]}}")
    for pair, place in pairs[1:]:
        draft.cannot(
            place, "network.ssh.key_pair", f"{pair}: a spec has one key pair", "choose one"
        )


def image(draft: Draft, environments: list[Mapped]) -> dict[str, Any]:
    """Returns the section `image`: the system of AMIs that are kept, or that are baked."""
    section: dict[str, Any] = {}
    for mapped in environments:
        found = mapped.system or mapped.image
        if found is None:
            continue
        place = found[1]
        system = mapped.system[0] if mapped.system else ""
        kept = "image" in draft.environments[mapped.key]
        if kept and system in AMAZON_LINUX_2:
            section["base"] = "amazon-linux-2"
            draft.kept(place, "image.base", "amazon-linux-2")
        elif kept and not system:
            draft.changed(
                place,
                "image.base",
                "amazon-linux-2023, the default: nothing shows which system the AMI has",
                "write `image: {base: amazon-linux-2}` if it has Amazon Linux 2",
            )
        elif system:
            draft.changed(place, "image.base", f"amazon-linux-2023, the default: it was {system}")
    return section


def roles(draft: Draft, environments: list[Mapped]) -> dict[str, Any]:
    """Returns the section `roles`."""
    section: dict[str, Any] = {}
    profiles = _once([mapped.profile for mapped in environments if mapped.profile])
    for number, (profile, place) in enumerate(profiles):
        arn = _profile_arn(draft, profile)
        if number:
            draft.changed(
                place,
                "roles.instance_profile",
                f"{profiles[0][0]} instead of {profile}: a spec has one instance profile",
                "check that it has the permissions of both",
                breaks=True,
            )
        elif arn:
            section["instance_profile"] = arn
            draft.kept(place, "roles.instance_profile", arn)
        else:
            draft.cannot(
                place,
                "roles.instance_profile",
                f"{profile} is not the ARN of an instance profile",
                "write its ARN into the file: `aws iam get-instance-profile "
                f"--instance-profile-name {profile.rpartition('/')[2]}` shows it; with --aws, "
                "mngen import asks the account",
            )
    return section


def _profile_arn(draft: Draft, profile: str) -> str | None:
    if _PROFILE.fullmatch(profile):
        return profile
    known = draft.inventory.network
    return known.profiles.get(profile.rpartition("/")[2]) if known else None


def storage(draft: Draft, jobs: list[MappedJob], place: Place) -> dict[str, Any]:
    """Returns the section `storage`.

    Args:
        draft: The spec in the making.
        jobs: The job definitions.
        place: Where to report a file system that nothing names.
    """
    mounts = _once([each for job in jobs for each in job.mounts if _MOUNT.fullmatch(each[0])])
    named = [each for each in mounts if "efs" in each[0].lower()] or mounts
    efs: dict[str, Any] = {"mount": "/efs"}
    if named:
        efs["mount"], place = named[0]
        draft.kept(place, "storage.efs.mount", efs["mount"])
    ids = _once([each for job in jobs for each in job.file_systems])
    known = draft.inventory.network
    systems = known.file_systems if known else ()
    if ids:
        system = next((each for each in systems if each.id == ids[0][0]), None)
        efs["id"], place = ids[0]
        _existing(draft, efs, system, place)
    elif len(systems) == 1:
        efs["id"] = systems[0].id
        _existing(draft, efs, systems[0], place)
    else:
        seen = f"; the VPC has {', '.join(each.id for each in systems)}" if systems else ""
        draft.changed(
            place,
            "storage.efs.id",
            f"mngen creates a new, empty file system: nothing shows which one is in use{seen}",
            "if jobs use one, write `id: fs-…` before the first apply",
            breaks=True,
        )
        draft.note(("storage", "efs"), "id: fs-… of the file system that jobs use today")
    return {"efs": efs}


def _existing(draft: Draft, efs: dict[str, Any], system: FileSystem | None, place: Place) -> None:
    encrypted = "" if system is None or system.encrypted else ", not encrypted at rest"
    draft.kept(
        place, "storage.efs.id", f"{efs['id']}{encrypted}: used by its id, not managed by mngen"
    )
    if system and system.groups:
        efs["security_group"] = system.groups[0]
        draft.changed(
            place,
            "storage.efs.security_group",
            f"{system.groups[0]} gets a rule that lets the nodes of mngen in over NFS",
        )


def container(draft: Draft, jobs: list[MappedJob], *, take: bool) -> tuple[dict[str, Any], str]:
    """Returns the section `container`, and the name of the repository that is taken over.

    Args:
        draft: The spec in the making.
        jobs: The job definitions.
        take: Whether to take the first image's repository over.
    """
    images = _once([each for job in jobs for each in job.images])
    if not images:
        return {}, ""
    image, place = images[0]
    found = ECR_IMAGE.fullmatch(image)
    for other, where in images[1:]:
        draft.kept(where, "", f"{other}: named by the job definition")
    if take and found and found["tag"]:
        draft.kept(
            place,
            "container.aws_name",
            f"{found['repository']} is taken over, with its images and settings",
        )
        section = {"aws_name": found["repository"], "tag": found["tag"]}
        if draft.inventory.exists:
            section["protect"] = True
        return section, found["repository"]
    if take:
        draft.cannot(
            place,
            "container.aws_name",
            f"{image} does not name a repository of Amazon ECR with a tag",
            "import without --take repository",
        )
    draft.kept(
        place,
        "container.image",
        f"{image}; mngen does not manage its repository",
        "--take repository does" if found else "",
    )
    return {"image": image}, ""


def _once(found: Found) -> Found:
    seen: dict[str, Place] = {}
    for value, place in found:
        seen.setdefault(value, place)
    return list(seen.items())
