"""What a spec has once for all environments: the network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mngen.adoption._draft import Draft, count

if TYPE_CHECKING:
    from mngen.adoption._environments import Mapped
    from mngen.adoption._inventory import Network
    from mngen.adoption._lines import Place

_MOST_GROUPS = 4

Found = list[tuple[str, "Place"]]


def network(draft: Draft, environments: list[Mapped]) -> dict[str, Any]:
    """Returns the section `network`; sets the zones of the environments."""
    section: dict[str, Any] = {}
    subnets = _once([each for mapped in environments for each in mapped.subnets])
    known = draft.inventory.network
    if known is None:
        for subnet, place in subnets:
            draft.changed(
                place,
                "network.vpc",
                f"default: the files do not show which VPC and zone {subnet} is in",
                "unless it is in the default VPC, write the id of the VPC and `subnets`; with "
                "--aws, mngen import asks the account",
            )
        section["vpc"] = "default"
    else:
        _place_in_vpc(draft, section, subnets, known)
        _zones(draft, environments, known)
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
    return section


def _place_in_vpc(draft: Draft, section: dict[str, Any], subnets: Found, known: Network) -> None:
    vpc = next((known.subnets[each].vpc for each, _ in subnets if each in known.subnets), None)
    section["vpc"] = vpc or "default"
    listed = []
    for subnet, place in subnets:
        found = known.subnets.get(subnet)
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


def _zones(draft: Draft, environments: list[Mapped], known: Network) -> None:
    everywhere = {each.zone for each in known.subnets.values()}
    for mapped in environments:
        entry = draft.environments[mapped.key]
        path = f"environments.{mapped.key}.zones"
        zones = sorted(
            {known.subnets[each].zone for each, _ in mapped.subnets if each in known.subnets}
        )
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


def _once(found: Found) -> Found:
    seen: dict[str, Place] = {}
    for value, place in found:
        seen.setdefault(value, place)
    return list(seen.items())
