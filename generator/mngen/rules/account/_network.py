"""Rules that ask AWS about the VPC, its subnets and their way out."""

from __future__ import annotations

from collections import defaultdict
from ipaddress import IPv4Network
from typing import TYPE_CHECKING

from mngen.cluster import DEPLOYMENT_TAG
from mngen.errors import Severity, did_you_mean
from mngen.rules._rule import Match, Waiting
from mngen.rules.account._rule import AwsRule
from mngen.rules.spec._endpoints import NODE_ENDPOINTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_ec2.type_defs import (
        IpPermissionOutputTypeDef,
        SubnetTypeDef,
        VpcEndpointTypeDef,
    )

    from mngen.account import Account
    from mngen.spec import Path

_LAST_PORT = 65535


class VpcExists(AwsRule):
    id = "MN202"
    title = "The VPC must exist"
    why = "Everything with a network interface is created in it."
    remedy = "correct the id or the region, or write `vpc: new`"
    source_url = "https://docs.aws.amazon.com/vpc/latest/userguide/default-vpc.html"
    manual_test = "aws ec2 describe-vpcs --query 'Vpcs[].[VpcId,IsDefault,CidrBlock]'"
    calls = ("ec2:DescribeVpcs",)

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        spec = account.cluster.spec
        if account.has_vpc and account.vpc is None:
            if spec.network.vpc == "default":
                yield Match(
                    ("network", "vpc"),
                    f"the account has no default VPC in {spec.region}",
                    "write `vpc: new`, or create one: `aws ec2 create-default-vpc`",
                )
            else:
                yield Match(
                    ("network", "vpc"), f"there is no VPC `{spec.network.vpc}` in {spec.region}"
                )


class SubnetsExist(AwsRule):
    id = "MN203"
    title = "The subnets must exist in the VPC"
    why = "AWS Batch marks an environment INVALID if a subnet does not exist or is in another VPC."
    remedy = "name subnets of the VPC"
    source_url = "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSubnets.html"
    manual_test = "aws ec2 describe-subnets --query 'Subnets[].[SubnetId,VpcId,AvailabilityZone]'"
    calls = ("ec2:DescribeSubnets", "ec2:DescribeVpcs")

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        network = account.cluster.spec.network
        if not network.subnets or account.vpc is None:
            return
        found = account.ec2.describe_subnets(
            Filters=[{"Name": "subnet-id", "Values": list(network.subnets)}]
        )
        vpcs = {each["SubnetId"]: each["VpcId"] for each in found["Subnets"]}
        for index, subnet in enumerate(network.subnets):
            if subnet not in vpcs:
                message = f"there is no subnet `{subnet}` in {account.cluster.spec.region}"
            elif vpcs[subnet] != network.vpc:
                message = f"`{subnet}` is a subnet of `{vpcs[subnet]}`, not of `{network.vpc}`"
            else:
                continue
            yield Match(("network", "subnets", index), message)


class ZonesHaveSubnets(AwsRule):
    id = "MN204"
    title = "Every zone must have a subnet"
    why = "EC2 starts an instance in a subnet; in a zone without one it cannot."
    remedy = "choose another zone, or add a subnet of that one"
    source_url = "https://docs.aws.amazon.com/vpc/latest/userguide/configure-subnets.html"
    manual_test = "aws ec2 describe-subnets --query 'Subnets[].[AvailabilityZone,SubnetId]'"
    calls = ("ec2:DescribeSubnets", "ec2:DescribeVpcs", "ec2:DescribeAvailabilityZones")

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        if account.has_vpc:
            if account.vpc is None:
                return
            there = {each["AvailabilityZone"] for each in account.subnets}
            what = "the network has no subnet in"
        else:
            there = set(account.available_zones)
            what = "the account has no zone"
        for path, zone in _zones(account):
            if zone not in there:
                yield Match(
                    path,
                    f"{what} `{zone}`",
                    did_you_mean(zone, there) or f"there are {', '.join(sorted(there)) or 'none'}",
                )


def _zones(account: Account) -> Iterator[tuple[Path, str]]:
    for index, zone in enumerate(account.cluster.spec.network.zones):
        yield ("network", "zones", index), zone
    for each in account.cluster.environments:
        for index, zone in enumerate(each.spec.zones):
            if zone not in account.cluster.spec.network.zones:
                yield ("environments", each.name, "zones", index), zone


_GIVE_ADDRESSES = (
    "let the subnet give public addresses (`aws ec2 modify-subnet-attribute --subnet-id … "
    "--map-public-ip-on-launch`), or name private subnets with a NAT gateway, or add endpoints for "
    + ", ".join(sorted(NODE_ENDPOINTS))
)


class NodesHaveWayOut(AwsRule):
    id = "MN205"
    title = "Nodes must reach AWS from their subnets"
    why = (
        "A node must reach ECS, ECR, CloudWatch Logs and S3: through a NAT gateway, through an "
        "internet gateway with a public address, or through endpoints. Otherwise it never joins "
        "the cluster, and jobs stay RUNNABLE while it is billed."
    )
    remedy = "add a NAT gateway, or endpoints for " + ", ".join(sorted(NODE_ENDPOINTS))
    source_url = "https://docs.aws.amazon.com/batch/latest/userguide/create-public-private-vpc.html"
    manual_test = (
        "aws ec2 describe-route-tables --query "
        "'RouteTables[].[Associations[].SubnetId,Routes[].[DestinationCidrBlock,GatewayId]]'"
    )
    calls = (
        "ec2:DescribeRouteTables",
        "ec2:DescribeSubnets",
        "ec2:DescribeVpcEndpoints",
        "ec2:DescribeVpcs",
    )
    waiting = Waiting.CAUSE

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        stuck: dict[tuple[Path, str], list[str]] = defaultdict(list)
        for subnet in account.subnets:
            way = way_out(account, subnet)
            if way == "public" and not subnet.get("MapPublicIpOnLaunch"):
                lack = "an internet gateway but no public addresses for instances"
            elif way is None:
                lack = "no route to the internet"
            else:
                continue
            stuck[_path_of(account, subnet), lack].append(f"`{subnet['SubnetId']}`")
        if not stuck or _has_all_endpoints(account):
            return
        for (path, lack), subnets in stuck.items():
            have = "have" if len(subnets) > 1 else "has"
            yield Match(
                path,
                f"{', '.join(subnets)} {have} {lack}, and the VPC not all the endpoints that nodes "
                "need",
                _GIVE_ADDRESSES if "public addresses" in lack else None,
            )


class ContainersHaveWayOut(AwsRule):
    id = "MN206"
    severity = Severity.WARNING
    title = "Containers of multi-node jobs should be in private subnets"
    why = (
        "The container of a multi-node job has its own network interface, without a public "
        "address. In a public subnet, the application needs an endpoint for each service that it "
        "calls."
    )
    remedy = "name private subnets, whose way out is a NAT gateway"
    source_url = "https://docs.aws.amazon.com/batch/latest/userguide/mnp-ce.html"
    manual_test = "aws ec2 describe-subnets --query 'Subnets[].[SubnetId,MapPublicIpOnLaunch]'"
    calls = ("ec2:DescribeRouteTables", "ec2:DescribeSubnets", "ec2:DescribeVpcs")

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        multi_node = any(each.spec.multi_node for each in account.cluster.environments)
        # For the default VPC, whose subnets are public, the rule of the spec has reported it.
        if not multi_node or not account.cluster.spec.network.subnets:
            return
        for subnet in account.subnets:
            if way_out(account, subnet) == "public":
                yield Match(
                    _path_of(account, subnet),
                    f"the subnet `{subnet['SubnetId']}` is public: containers of multi-node jobs "
                    "in it reach the VPC and its endpoints alone",
                )


def way_out(account: Account, subnet: SubnetTypeDef) -> str | None:
    """Returns how a subnet reaches the internet: `public`, `nat` (or another router), or not."""
    table = account.route_table_of(subnet["SubnetId"])
    for route in table.get("Routes", []) if table else []:
        if route.get("DestinationCidrBlock") == "0.0.0.0/0" and route.get("State") != "blackhole":
            return "public" if route.get("GatewayId", "").startswith("igw-") else "nat"
    return None


def _path_of(account: Account, subnet: SubnetTypeDef) -> Path:
    subnets = account.cluster.spec.network.subnets
    if subnet["SubnetId"] in subnets:
        return ("network", "subnets", subnets.index(subnet["SubnetId"]))
    return ("network", "vpc")


def _has_all_endpoints(account: Account) -> bool:
    region = account.cluster.spec.region
    there = {each["ServiceName"].rpartition(f"{region}.")[2] for each in _endpoints(account)}
    return there.union(account.cluster.spec.network.endpoints) >= NODE_ENDPOINTS


def _endpoints(account: Account) -> list[VpcEndpointTypeDef]:
    if account.vpc is None:
        return []
    pages = account.ec2.get_paginator("describe_vpc_endpoints").paginate(
        Filters=[{"Name": "vpc-id", "Values": [account.vpc["VpcId"]]}]
    )
    return [
        each
        for page in pages
        for each in page["VpcEndpoints"]
        if each.get("State", "available").lower() not in {"deleted", "deleting", "failed"}
    ]


class EndpointsAreFree(AwsRule):
    id = "MN207"
    title = "The VPC must not have the endpoints already"
    why = (
        "A VPC has one private DNS name for each service, and a route table has one route to S3. "
        "EC2 rejects a second endpoint for the same service."
    )
    remedy = "take it out of `endpoints`: the one that is there serves the nodes as well"
    source_url = "https://docs.aws.amazon.com/vpc/latest/privatelink/create-interface-endpoint.html"
    manual_test = (
        "aws ec2 describe-vpc-endpoints "
        "--query 'VpcEndpoints[].[VpcEndpointId,ServiceName,RouteTableIds]'"
    )
    calls = ("ec2:DescribeVpcEndpoints", "ec2:DescribeRouteTables", "ec2:DescribeVpcs")

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        spec = account.cluster.spec
        if not account.has_vpc:
            return
        region = spec.region
        for endpoint in _endpoints(account):
            own = {tag.get("Key"): tag.get("Value") for tag in endpoint.get("Tags", [])}
            service = endpoint["ServiceName"].rpartition(f".{region}.")[2]
            if own.get(DEPLOYMENT_TAG) == spec.name or service not in spec.network.endpoints:
                continue
            gateway = endpoint.get("VpcEndpointType") == "Gateway"
            if gateway and not set(endpoint.get("RouteTableIds", [])) & _gateway_tables(account):
                continue
            if service == "s3" and not gateway:
                continue
            path: Path = ("network", "vpc")
            if "endpoints" in _written(account):
                path = ("network", "endpoints", spec.network.endpoints.index(service))
            rest = [each for each in spec.network.endpoints if each != service]
            yield Match(
                path,
                f"the VPC has an endpoint for {service} already: `{endpoint['VpcEndpointId']}`",
                f"write `endpoints: [{', '.join(rest)}]`: the one there serves the nodes as well",
            )


def _gateway_tables(account: Account) -> set[str]:
    """Returns the route tables that would get the route to S3."""
    named = account.cluster.spec.network.route_tables
    if named:
        return set(named)
    return {
        table["RouteTableId"]
        for table in account.route_tables
        for association in table.get("Associations", [])
        if association.get("Main")
    }


def _written(account: Account) -> tuple[str, ...]:
    """Returns the keys of the network that differ from their defaults, and so must be written."""
    network = account.cluster.spec.network
    return ("endpoints",) if network.endpoints != type(network)().endpoints else ()


class SecurityGroupsExist(AwsRule):
    id = "MN215"
    title = "The security groups must exist in the VPC"
    why = "EC2 rejects a security group that does not exist or is in another VPC."
    remedy = "name security groups of the VPC"
    source_url = "https://docs.aws.amazon.com/vpc/latest/userguide/vpc-security-groups.html"
    manual_test = "aws ec2 describe-security-groups --query 'SecurityGroups[].[GroupId,VpcId]'"
    calls = ("ec2:DescribeSecurityGroups", "ec2:DescribeVpcs")

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        spec = account.cluster.spec
        wanted: list[tuple[Path, str]] = [
            (("network", "security_groups", index), group)
            for index, group in enumerate(spec.network.security_groups)
        ]
        if spec.storage.efs.security_group is not None:
            wanted.append((("storage", "efs", "security_group"), spec.storage.efs.security_group))
        if not wanted:
            return
        if not account.has_vpc:
            for path, group in wanted:
                yield Match(path, f"`{group}` cannot be of a VPC that is yet to be created")
            return
        found = account.ec2.describe_security_groups(
            Filters=[{"Name": "group-id", "Values": [group for _, group in wanted]}]
        )
        vpcs = {each["GroupId"]: each["VpcId"] for each in found["SecurityGroups"]}
        for path, group in wanted:
            if group not in vpcs:
                yield Match(path, f"there is no security group `{group}` in {spec.region}")
            elif account.vpc is not None and vpcs[group] != account.vpc["VpcId"]:
                yield Match(path, f"`{group}` is of `{vpcs[group]}`, not of the network's VPC")


class AddressesLeft(AwsRule):
    id = "MN218"
    severity = Severity.WARNING
    title = "The subnets should have addresses for all nodes"
    why = (
        "A node of a multi-node job takes two addresses of its subnet: one for the instance and "
        "one for its container. When they run out, no more instances start, and jobs wait."
    )
    remedy = "name a larger subnet, or lower `max_nodes`"
    source_url = "https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html"
    manual_test = "aws ec2 describe-subnets --query 'Subnets[].[SubnetId,AvailableIpAddressCount]'"
    calls = ("ec2:DescribeSubnets", "ec2:DescribeVpcs")
    waiting = Waiting.POSSIBLE

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        for each in account.cluster.environments:
            zones = account.zones_of(each) if account.vpc is not None else []
            subnets = [one for one in account.subnets if one["AvailabilityZone"] in zones]
            # What runs already has taken its addresses, so the subnet's size is what counts.
            room = sum(IPv4Network(one["CidrBlock"]).num_addresses - 5 for one in subnets)
            needed = each.spec.max_nodes * (2 if each.spec.multi_node else 1)
            if subnets and needed > room:
                yield Match(
                    ("environments", each.name, "max_nodes"),
                    f"{each.spec.max_nodes} nodes take {needed} addresses, and the subnets in "
                    f"{', '.join(zones)} have {room}",
                )


class VpcResolvesNames(AwsRule):
    id = "MN221"
    title = "The VPC must resolve the names that nodes use"
    why = (
        "The nodes mount the file system by its DNS name, which resolves only in a VPC with both "
        "enableDnsSupport and enableDnsHostnames. Without them, EC2 also rejects interface "
        "endpoints with private names."
    )
    remedy = "turn both attributes on: `aws ec2 modify-vpc-attribute`"
    source_url = "https://docs.aws.amazon.com/efs/latest/ug/mounting-fs-mount-cmd-dns-name.html"
    manual_test = (
        "aws ec2 describe-vpc-attribute --vpc-id vpc-0123456789abcdef0 "
        "--attribute enableDnsHostnames"
    )
    calls = ("ec2:DescribeVpcAttribute", "ec2:DescribeVpcs")

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        if account.vpc is None:
            return
        vpc = account.vpc["VpcId"]
        support = account.ec2.describe_vpc_attribute(VpcId=vpc, Attribute="enableDnsSupport")
        hostnames = account.ec2.describe_vpc_attribute(VpcId=vpc, Attribute="enableDnsHostnames")
        for name, option, on in (
            ("enableDnsSupport", "support", support["EnableDnsSupport"]["Value"]),
            ("enableDnsHostnames", "hostnames", hostnames["EnableDnsHostnames"]["Value"]),
        ):
            if not on:
                fails = ["the name of the file system does not resolve"]
                if set(account.cluster.spec.network.endpoints) - {"s3"}:
                    fails.append("interface endpoints cannot have private names")
                yield Match(
                    ("network", "vpc"),
                    f"`{name}` is off in `{vpc}`: {', and '.join(fails)}",
                    f"run `aws ec2 modify-vpc-attribute --vpc-id {vpc} --enable-dns-{option}`",
                )


class DefaultGroupLetsNodesMeet(AwsRule):
    id = "MN222"
    title = "The VPC's default security group must let nodes with EFA connect"
    why = (
        "An environment with EFA has no security groups: AWS Batch rejects them beside the network "
        "interfaces that EFA needs in the launch template. The interface of a multi-node job's "
        "container then gets the default security group of the VPC. If that is closed, the nodes "
        "never reach each other and the job fails."
    )
    remedy = (
        "let the members of the VPC's default security group reach each other, in both directions; "
        "or write `vpc: new`, or leave `efa` out"
    )
    source_url = "https://docs.aws.amazon.com/batch/latest/userguide/mnp-ce.html"
    manual_test = (
        "aws ec2 describe-security-groups --filters Name=group-name,Values=default "
        "--query 'SecurityGroups[].[VpcId,GroupId,IpPermissions,IpPermissionsEgress]'"
    )
    calls = ("ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs")

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        if account.vpc is None or not account.cluster.default_group_decides:
            return
        found = account.ec2.describe_security_groups(
            Filters=[
                {"Name": "vpc-id", "Values": [account.vpc["VpcId"]]},
                {"Name": "group-name", "Values": ["default"]},
            ]
        )
        for group in found["SecurityGroups"]:
            own = group["GroupId"]
            closed = [
                direction
                for direction, rules in (
                    ("ingress", group["IpPermissions"]),
                    ("egress", group["IpPermissionsEgress"]),
                )
                if not _reaches_members(account, own, rules)
            ]
            if not closed:
                continue
            members = f"IpProtocol=-1,UserIdGroupPairs=[{{GroupId={own}}}]"
            commands = [
                f"`aws ec2 authorize-security-group-{each} --group-id {own} "
                f"--ip-permissions {members}`"
                for each in closed
            ]
            for each in account.cluster.environments:
                if each.efa_cards and each.spec.multi_node:
                    yield Match(
                        ("environments", each.name, "efa"),
                        f"containers of multi-node jobs get the VPC's default security group "
                        f"`{own}`, whose {' and '.join(closed)} rules do not let its members reach "
                        "each other",
                        f"run {' and '.join(commands)}",
                    )


def _reaches_members(account: Account, group: str, rules: list[IpPermissionOutputTypeDef]) -> bool:
    """Whether a rule is for any port of the group's own members, or of all of the subnets."""
    nodes = [IPv4Network(each["CidrBlock"]) for each in account.subnets]
    for rule in rules:
        ports = (rule.get("FromPort", 0), rule.get("ToPort", 0))
        if rule["IpProtocol"] != "-1" and not (
            rule["IpProtocol"] == "tcp" and ports[0] <= 1 and ports[1] == _LAST_PORT
        ):
            continue
        if any(each.get("GroupId") == group for each in rule.get("UserIdGroupPairs", [])):
            return True
        ranges = [IPv4Network(each["CidrIp"]) for each in rule.get("IpRanges", [])]
        if nodes and all(any(node.subnet_of(each) for each in ranges) for node in nodes):
            return True
    return False


class BuildersDownloadEfa(AwsRule):
    id = "MN223"
    title = "Builders must reach the EFA installer from their subnets"
    why = (
        "AMIs with EFA are baked with Amazon's installer, which is downloaded from the internet. "
        "In a subnet without a route to it, the bake fails."
    )
    remedy = (
        "copy the installer to a bucket of the region and name the folder: "
        "`image: {efa_installer: s3://BUCKET/efa/}`"
    )
    source_url = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/efa-start.html"
    manual_test = (
        "aws ec2 describe-route-tables --query "
        "'RouteTables[].[Associations[].SubnetId,Routes[].[DestinationCidrBlock,GatewayId]]'"
    )
    calls = ("ec2:DescribeRouteTables", "ec2:DescribeSubnets", "ec2:DescribeVpcs")

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        if account.cluster.spec.image.efa_installer:
            return
        closed = [each for each in account.subnets if way_out(account, each) is None]
        if not closed:
            return
        for each in account.cluster.environments:
            if each.spec.efa:
                yield Match(
                    ("environments", each.name, "efa"),
                    "images with EFA need its installer, and a builder in "
                    f"`{closed[0]['SubnetId']}` has no route to the internet to download it",
                )


class EndpointServicesOffered(AwsRule):
    id = "MN227"
    title = "The zones of the network must offer the endpoint services"
    why = (
        "AWS offers an endpoint service in some zones of a region only, and refuses an endpoint in "
        "a subnet elsewhere. Where no zone of the network has the service, the plan fails."
    )
    remedy = "name zones that offer it in `network.zones`"
    source_url = (
        "https://docs.aws.amazon.com/vpc/latest/privatelink/aws-services-privatelink-support.html"
    )
    manual_test = (
        "aws ec2 describe-vpc-endpoint-services "
        "--query 'ServiceDetails[].[ServiceName,AvailabilityZones]'"
    )
    calls = ("ec2:DescribeVpcEndpointServices", "ec2:DescribeSubnets", "ec2:DescribeVpcs")

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        zones = set(account.zones)
        for index, service, offered in _offered(account):
            if zones and not zones & offered:
                yield Match(
                    ("network", "endpoints", index),
                    f"`{service}` is not offered in {', '.join(sorted(zones))}",
                    f"name zones that offer it: `zones: [{', '.join(sorted(offered))}]`"
                    if offered
                    else "remove it: the region does not offer it",
                )


class EndpointServicesInAllZones(AwsRule):
    id = "MN228"
    severity = Severity.WARNING
    title = "Every zone of the network should offer the endpoint services"
    why = (
        "A zone that does not offer a service gets no endpoint for it. Nodes there use the one in "
        "another zone: they depend on that zone, and AWS bills what passes between zones."
    )
    remedy = "leave the zone out: name the others in `network.zones`"
    source_url = EndpointServicesOffered.source_url
    manual_test = EndpointServicesOffered.manual_test
    calls = EndpointServicesOffered.calls

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        zones = account.zones
        for index, service, offered in _offered(account):
            missing = [zone for zone in zones if zone not in offered]
            rest = [zone for zone in zones if zone in offered]
            if missing and rest:
                yield Match(
                    ("network", "endpoints", index),
                    f"`{service}` is not offered in {', '.join(missing)}: nodes there use the "
                    "endpoint in another zone",
                    f"write `zones: [{', '.join(rest)}]` to leave {', '.join(missing)} out",
                )


def _offered(account: Account) -> Iterator[tuple[int, str, set[str]]]:
    """Yields the place of each interface endpoint in the spec, its service and that one's zones."""
    for service, zones in account.endpoint_zones.items():
        yield account.cluster.spec.network.endpoints.index(service), service, zones
