"""The rules that ask AWS, with real boto3 over HTTP against the emulated AWS."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import uuid4

import pytest

from mngen._aws import client
from mngen.account import Account
from mngen.catalog import load_catalog
from mngen.cluster import AmiRecord, BakedFrom, base_image_parameter
from mngen.errors import Position, Severity
from mngen.rules import AWS_RULES, AwsRule, Match, aws_calls, check_aws, require
from mngen.rules.account._machines import _is_of_a_stranger, _smallest_volume, _wrong_base
from mngen.spec import load_text
from tests.support.sandbox import control

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.cluster import Cluster
    from mngen.rules import Answers
    from mngen.sandbox import Sandbox
    from mngen.spec import LoadedSpec

Connect = Callable[[str, str], Any]

REGION = "us-east-1"
ACCOUNT_ID = "123456789012"

HEAD = f"name: seismic\nregion: {REGION}\n"
ENVIRONMENT = """\
environments:
  r5: {instance: r5.12xlarge, max_nodes: 4, zones: [us-east-1a]}
"""
QUEUE = "queues:\n  mpi: {environments: [r5]}\n"


def load(part: str = "", environments: str = ENVIRONMENT) -> LoadedSpec:
    return load_text((HEAD + part + environments + QUEUE).encode())


def cluster(part: str = "") -> Cluster:
    return require(load(part), load_catalog())


class Aws:
    """The emulated account of one test."""

    def __init__(self, connect: Connect) -> None:
        self.connect = connect
        self.ec2 = connect("ec2", REGION)
        self.begin()

    def begin(self) -> None:
        self.vpc_id: str = self.vpcs()[0]["VpcId"]
        self._give_default_vpc_its_gateway()

    def security_group(self, vpc_id: str | None = None) -> str:
        made = self.ec2.create_security_group(
            GroupName=uuid4().hex, Description="of a test", VpcId=vpc_id or self.vpc_id
        )
        return str(made["GroupId"])

    @contextmanager
    def quota(self, code: str, value: float) -> Iterator[None]:
        quotas = self.connect("service-quotas", REGION)
        before = quotas.get_service_quota(ServiceCode="ec2", QuotaCode=code)["Quota"]["Value"]
        for wanted in (value, before):
            quotas.request_service_quota_increase(
                ServiceCode="ec2", QuotaCode=code, DesiredValue=wanted
            )
            if wanted == value:
                yield

    def vpcs(self) -> list[dict[str, Any]]:
        found = self.ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])
        return list(found["Vpcs"])

    def main_table(self, vpc_id: str) -> str:
        found = self.ec2.describe_route_tables(
            Filters=[
                {"Name": "vpc-id", "Values": [vpc_id]},
                {"Name": "association.main", "Values": ["true"]},
            ]
        )
        return str(found["RouteTables"][0]["RouteTableId"])

    @contextmanager
    def s3_endpoint(self, table: str, *tags: dict[str, str]) -> Iterator[None]:
        made = self.ec2.create_vpc_endpoint(
            VpcId=self.vpc_id,
            ServiceName=f"com.amazonaws.{REGION}.s3",
            VpcEndpointType="Gateway",
            RouteTableIds=[table],
            TagSpecifications=[{"ResourceType": "vpc-endpoint", "Tags": list(tags)}],
        )
        yield
        self.ec2.delete_vpc_endpoints(VpcEndpointIds=[made["VpcEndpoint"]["VpcEndpointId"]])

    def subnet(self, vpc_id: str, cidr: str, zone: str = "us-east-1a") -> str:
        made = self.ec2.create_subnet(VpcId=vpc_id, CidrBlock=cidr, AvailabilityZone=zone)
        return str(made["Subnet"]["SubnetId"])

    def vpc(self, cidr: str = "10.1.0.0/16", *, hostnames: bool = True) -> str:
        made = str(self.ec2.create_vpc(CidrBlock=cidr)["Vpc"]["VpcId"])
        # Off in a VPC that an API call makes, on in one of the console's wizard.
        self.ec2.modify_vpc_attribute(VpcId=made, EnableDnsHostnames={"Value": hostnames})
        return made

    def gateway_route(self, vpc_id: str) -> None:
        gateway = self.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        self.ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc_id)
        self.ec2.create_route(
            RouteTableId=self.main_table(vpc_id),
            DestinationCidrBlock="0.0.0.0/0",
            GatewayId=gateway,
        )

    def _give_default_vpc_its_gateway(self) -> None:
        # On AWS a default VPC has one from the start.
        found = self.ec2.describe_internet_gateways(
            Filters=[{"Name": "attachment.vpc-id", "Values": [self.vpc_id]}]
        )
        if not found["InternetGateways"]:
            self.gateway_route(self.vpc_id)

    def ask(
        self,
        part: str = "",
        *,
        environments: str = ENVIRONMENT,
        images: dict[str, AmiRecord] | None = None,
        skip: tuple[str, ...] = (),
    ) -> Answers:
        """Judge a spec, of which `part` is what matters."""
        loaded = load(part, environments)
        return check_aws(
            require(loaded, load_catalog()),
            document=loaded.document,
            images=images,
            skip=skip,
            connect=self.connect,
        )


@pytest.fixture(scope="module")
def connect(sandbox: Sandbox) -> Iterator[Connect]:
    """The clients that mngen makes, each kept for the next test: EC2's takes most of a second."""
    with sandbox.applied(REGION):
        yield functools.cache(client)


@pytest.fixture(scope="module")
def aws(sandbox: Sandbox, connect: Connect) -> Aws:
    """One account for all tests, as emptying it takes long: each cleans up what disturbs others."""
    sandbox.reset()
    return Aws(connect)


@pytest.fixture
def emptied_after(sandbox: Sandbox, aws: Aws) -> Iterator[None]:
    yield
    sandbox.reset()
    aws.begin()


def found(answers: Answers) -> list[tuple[str | None, str, str]]:
    assert answers.unanswered == ()
    return [(each.rule, each.path, each.message) for each in answers.problems]


def test_default_vpc_has_no_problems(aws: Aws) -> None:
    assert found(aws.ask()) == []


def test_new_vpc_has_no_problems(aws: Aws) -> None:
    assert found(aws.ask("network: {vpc: new, zones: [us-east-1a]}\n")) == []


def test_wrong_account(aws: Aws) -> None:
    answers = aws.ask('account: "999999999999"\n')
    assert found(answers) == [
        ("MN201", "account", "the credentials are of the account 123456789012, not 999999999999")
    ]
    assert answers.problems[0].position == Position(3, 10)
    assert found(aws.ask(f'account: "{ACCOUNT_ID}"\n')) == []


def test_no_default_vpc(aws: Aws, emptied_after: None) -> None:
    for subnet in aws.ec2.describe_subnets()["Subnets"]:
        aws.ec2.delete_subnet(SubnetId=subnet["SubnetId"])
    for gateway in aws.ec2.describe_internet_gateways()["InternetGateways"]:
        ids = {"InternetGatewayId": gateway["InternetGatewayId"]}
        aws.ec2.detach_internet_gateway(**ids, VpcId=aws.vpc_id)
        aws.ec2.delete_internet_gateway(**ids)
    aws.ec2.delete_vpc(VpcId=aws.vpc_id)

    assert found(aws.ask()) == [
        ("MN202", "network.vpc", "the account has no default VPC in us-east-1")
    ]


def test_unknown_vpc(aws: Aws) -> None:
    part = "network: {vpc: vpc-0123456789abcdef0, subnets: [subnet-0123456789abcdef0]}\n"
    assert found(aws.ask(part)) == [
        ("MN202", "network.vpc", "there is no VPC `vpc-0123456789abcdef0` in us-east-1")
    ]


def test_unknown_and_foreign_subnets(aws: Aws) -> None:
    vpc = aws.vpc()
    aws.gateway_route(vpc)
    good = aws.subnet(vpc, "10.1.0.0/24")
    aws.ec2.modify_subnet_attribute(SubnetId=good, MapPublicIpOnLaunch={"Value": True})
    foreign = aws.subnet(aws.vpc("10.2.0.0/16"), "10.2.0.0/24")
    part = f"network: {{vpc: {vpc}, subnets: [{good}, subnet-0123456789abcdef0, {foreign}]}}\n"

    answers = aws.ask(part, skip=("MN206",))

    assert [(rule, path) for rule, path, _ in found(answers)] == [
        ("MN203", "network.subnets[1]"),
        ("MN203", "network.subnets[2]"),
    ]


def test_zone_without_subnet(aws: Aws) -> None:
    vpc = aws.vpc()
    aws.gateway_route(vpc)
    subnet = aws.subnet(vpc, "10.1.0.0/24", "us-east-1b")
    aws.ec2.modify_subnet_attribute(SubnetId=subnet, MapPublicIpOnLaunch={"Value": True})

    answers = aws.ask(f"network: {{vpc: {vpc}, subnets: [{subnet}]}}\n", skip=("MN206",))

    assert found(answers) == [
        ("MN204", "environments.r5.zones[0]", "the network has no subnet in `us-east-1a`")
    ]
    assert answers.problems[0].hint == "did you mean `us-east-1b`?"


def test_zone_that_the_region_lacks(aws: Aws) -> None:
    assert [
        each[:2]
        for each in found(aws.ask("network: {vpc: new, zones: [us-east-1a, us-east-1z]}\n"))
    ] == [("MN204", "network.zones[1]")]


def test_subnet_without_a_way_out(aws: Aws) -> None:
    vpc = aws.vpc()
    subnet = aws.subnet(vpc, "10.1.0.0/24")
    part = f"network: {{vpc: {vpc}, subnets: [{subnet}]}}\n"

    rule, path, message = found(aws.ask(part))[0]

    assert (rule, path) == ("MN205", "network.subnets[0]")
    assert f"`{subnet}` has no route to the internet" in message


def test_subnets_of_the_default_vpc_are_named_together(aws: Aws) -> None:
    table = aws.main_table(aws.vpc_id)
    [route] = [
        route
        for route in aws.ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"][0][
            "Routes"
        ]
        if route["DestinationCidrBlock"] == "0.0.0.0/0"
    ]
    target = {"RouteTableId": table, "DestinationCidrBlock": "0.0.0.0/0"}
    aws.ec2.delete_route(**target)
    try:
        answers = aws.ask()
    finally:
        aws.ec2.create_route(**target, GatewayId=route["GatewayId"])

    [(rule, path, message)] = found(answers)
    assert (rule, path) == ("MN205", "network.vpc")
    assert message.count("`subnet-") == 6


def test_endpoints_are_a_way_out(aws: Aws) -> None:
    vpc = aws.vpc()
    subnet = aws.subnet(vpc, "10.1.0.0/24")
    services = "s3, ecr.api, ecr.dkr, logs, ecs, ecs-agent, ecs-telemetry"
    part = f"network: {{vpc: {vpc}, subnets: [{subnet}], endpoints: [{services}]}}\n"
    assert found(aws.ask(part)) == []


def test_public_subnet_that_gives_no_address(aws: Aws) -> None:
    vpc = aws.vpc()
    aws.gateway_route(vpc)
    subnet = aws.subnet(vpc, "10.1.0.0/24")
    part = f"network: {{vpc: {vpc}, subnets: [{subnet}]}}\n"

    problems = found(aws.ask(part))

    assert [each[0] for each in problems] == ["MN205", "MN206"]
    assert "no public addresses for instances" in problems[0][2]
    assert "--map-public-ip-on-launch" in str(aws.ask(part).problems[0].hint)


def test_nat_is_a_way_out(aws: Aws) -> None:
    vpc = aws.vpc()
    subnet = aws.subnet(vpc, "10.1.0.0/24")
    address = aws.ec2.allocate_address(Domain="vpc")["AllocationId"]
    nat = aws.ec2.create_nat_gateway(SubnetId=subnet, AllocationId=address)
    table = aws.ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    aws.ec2.create_route(
        RouteTableId=table,
        DestinationCidrBlock="0.0.0.0/0",
        NatGatewayId=nat["NatGateway"]["NatGatewayId"],
    )
    aws.ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)

    assert found(aws.ask(f"network: {{vpc: {vpc}, subnets: [{subnet}]}}\n")) == []


def test_endpoint_that_is_there(aws: Aws) -> None:
    with aws.s3_endpoint(aws.main_table(aws.vpc_id)):
        answers = aws.ask()
        without = aws.ask("network: {endpoints: []}\n")

    [(rule, path, message)] = found(answers)
    assert (rule, path) == ("MN207", "network.vpc")
    assert message.startswith("the VPC has an endpoint for s3 already: `vpce-")
    assert str(answers.problems[0].hint).startswith("write `endpoints: []`")
    assert found(without) == []


def test_endpoint_that_was_made_without_a_type_is_a_gateway(aws: Aws) -> None:
    """As the AWS CLI makes one: the API's default is Gateway."""
    made = aws.ec2.create_vpc_endpoint(
        VpcId=aws.vpc_id,
        ServiceName=f"com.amazonaws.{REGION}.s3",
        RouteTableIds=[aws.main_table(aws.vpc_id)],
    )["VpcEndpoint"]
    try:
        assert made["VpcEndpointType"] == "Gateway"
        assert [each[:2] for each in found(aws.ask())] == [("MN207", "network.vpc")]
    finally:
        aws.ec2.delete_vpc_endpoints(VpcEndpointIds=[made["VpcEndpointId"]])


def test_own_endpoint_is_no_obstacle(aws: Aws) -> None:
    tag = {"Key": "mngen:deployment", "Value": "seismic"}
    with aws.s3_endpoint(aws.main_table(aws.vpc_id), tag):
        assert found(aws.ask()) == []


def test_endpoint_on_another_route_table_is_no_obstacle(aws: Aws) -> None:
    table = aws.ec2.create_route_table(VpcId=aws.vpc_id)["RouteTable"]["RouteTableId"]
    with aws.s3_endpoint(table):
        assert found(aws.ask()) == []


class TestLustre:
    """Ports: https://docs.aws.amazon.com/fsx/latest/LustreGuide/limit-access-security-groups.html."""

    def make(
        self,
        aws: Aws,
        zone: str,
        *,
        open_to: str | None,
        version: str = "2.15",
        vpc: str = "",
        keeps_in: bool = False,
    ) -> tuple[str, str]:
        group = aws.security_group(vpc or None)

        def rules(**peer: Any) -> list[dict[str, Any]]:
            return [
                {"IpProtocol": "tcp", "FromPort": first, "ToPort": last, **peer}
                for first, last in ((988, 988), (1018, 1023))
            ]

        itself = rules(UserIdGroupPairs=[{"GroupId": group}])
        nodes = [] if open_to is None else rules(IpRanges=[{"CidrIp": open_to}])
        aws.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[*itself, *nodes])
        if keeps_in:
            [made] = aws.ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]
            everything = made["IpPermissionsEgress"]
            aws.ec2.revoke_security_group_egress(GroupId=group, IpPermissions=everything)
            aws.ec2.authorize_security_group_egress(GroupId=group, IpPermissions=itself)
        if vpc:
            subnet = aws.subnet(vpc, "10.1.0.0/24", zone)
        else:
            here = {"Name": "vpc-id", "Values": [aws.vpc_id]}
            there = {"Name": "availability-zone", "Values": [zone]}
            subnet = aws.ec2.describe_subnets(Filters=[here, there])["Subnets"][0]["SubnetId"]
        made = aws.connect("fsx", REGION).create_file_system(
            FileSystemType="LUSTRE",
            FileSystemTypeVersion=version,
            StorageCapacity=1200,
            SubnetIds=[subnet],
            SecurityGroupIds=[group],
            LustreConfiguration={"DeploymentType": "SCRATCH_2"},
        )
        return str(made["FileSystem"]["FileSystemId"]), group

    def test_serves(self, aws: Aws) -> None:
        system, group = self.make(aws, "us-east-1a", open_to="172.31.0.0/16")
        assert found(aws.ask(f"storage: {{fsx: {{id: {system}}}}}\n")) == []
        named = f"storage: {{fsx: {{id: {system}, security_group: {group}}}}}\n"
        assert found(aws.ask(named)) == []

    def test_unknown(self, aws: Aws) -> None:
        assert found(aws.ask("storage: {fsx: {id: fs-0123456789abcdef0}}\n")) == [
            (
                "MN247",
                "storage.fsx.id",
                "there is no file system `fs-0123456789abcdef0` in us-east-1",
            )
        ]

    def test_a_version_that_the_client_cannot_use(self, aws: Aws) -> None:
        system, _ = self.make(aws, "us-east-1a", open_to="172.31.0.0/16", version="2.10")
        [problem] = found(aws.ask(f"storage: {{fsx: {{id: {system}}}}}\n"))
        assert problem[0] == "MN247"
        assert "has Lustre 2.10" in problem[2]

    def test_in_another_vpc(self, aws: Aws) -> None:
        system, _ = self.make(aws, "us-east-1a", open_to="10.1.0.0/16", vpc=aws.vpc())
        [problem] = found(aws.ask(f"storage: {{fsx: {{id: {system}}}}}\n"))
        assert problem[0] == "MN247"
        assert f"the nodes in {aws.vpc_id}" in problem[2]

    def test_in_another_zone(self, aws: Aws) -> None:
        system, _ = self.make(aws, "us-east-1b", open_to="172.31.0.0/16")
        [problem] = found(aws.ask(f"storage: {{fsx: {{id: {system}}}}}\n"))
        assert problem[:2] == ("MN248", "storage.fsx.id")
        assert "runs in us-east-1a" in problem[2]

    @pytest.mark.parametrize("open_to", [None, "172.31.0.0/20"])
    def test_lets_nobody_or_too_few_in(self, aws: Aws, open_to: str | None) -> None:
        system, _ = self.make(aws, "us-east-1a", open_to=open_to)
        [problem] = found(aws.ask(f"storage: {{fsx: {{id: {system}}}}}\n"))
        assert problem[0] == "MN249"
        assert "lets no node in on port 988 and 1018 to 1023" in problem[2]

    def test_opens_no_connection_to_nodes(self, aws: Aws) -> None:
        system, group = self.make(aws, "us-east-1a", open_to="172.31.0.0/16", keeps_in=True)
        assert found(aws.ask(f"storage: {{fsx: {{id: {system}}}}}\n")) == [
            ("MN249", "storage.fsx.id", f"`{system}` reaches no node on port 988 and 1018 to 1023")
        ]
        # With the group's name, the rules are added.
        named = f"storage: {{fsx: {{id: {system}, security_group: {group}}}}}\n"
        assert found(aws.ask(named)) == []

    def test_has_another_group(self, aws: Aws) -> None:
        system, group = self.make(aws, "us-east-1a", open_to="172.31.0.0/16")
        other = aws.security_group()
        named = f"storage: {{fsx: {{id: {system}, security_group: {other}}}}}\n"
        assert found(aws.ask(named)) == [
            (
                "MN249",
                "storage.fsx.security_group",
                f"`{system}` has the security group {group}, not `{other}`",
            )
        ]


def test_buckets_that_lustre_is_linked_to(aws: Aws) -> None:
    """Export may go to another region: LustreGuide/create-dra-linked-data-repo.html."""
    part = """\
storage:
  fsx:
    s3:
      cases: {path: s3://lustre-cases/a}
      results: {path: s3://lustre-results/, import: [], export: [new]}
"""
    assert found(aws.ask(part)) == [
        ("MN250", f"storage.fsx.s3.{folder}.path", f"there is no bucket `lustre-{folder}`")
        for folder in ("cases", "results")
    ]
    s3: Any = aws.connect("s3", REGION)
    place = {"LocationConstraint": "eu-west-1"}
    for bucket in ("lustre-cases", "lustre-results"):
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=place)
    assert found(aws.ask(part)) == [
        (
            "MN251",
            "storage.fsx.s3.cases.path",
            "the bucket `lustre-cases` is in eu-west-1, and the file system in us-east-1",
        )
    ]
    s3.create_bucket(Bucket="lustre-near")
    assert found(aws.ask(part.replace("lustre-cases", "lustre-near"))) == []


def test_the_bucket_of_jobs(aws: Aws) -> None:
    """Region as HeadBucket answers: AmazonS3/latest/API/API_HeadBucket.html."""
    far, near = (f"jobs-{uuid4().hex}" for _ in range(2))
    assert found(aws.ask(f"storage: {{bucket: {far}}}\n")) == [
        ("MN252", "storage.bucket", f"there is no bucket `{far}`")
    ]
    s3: Any = aws.connect("s3", REGION)
    place = {"LocationConstraint": "eu-west-1"}
    s3.create_bucket(Bucket=far, CreateBucketConfiguration=place)
    [problem] = aws.ask(f"storage: {{bucket: {far}}}\n").problems
    assert problem.rule == "MN253"
    assert problem.severity is Severity.WARNING
    assert problem.message == f"the bucket `{far}` is in eu-west-1, the jobs run in us-east-1"
    s3.create_bucket(Bucket=near)
    assert found(aws.ask(f"storage: {{bucket: {near}}}\n")) == []


class TestFileSystem:
    def make(self, aws: Aws, zone: str, *, open_to: str | None) -> tuple[str, str]:
        efs: Any = aws.connect("efs", REGION)
        file_system = efs.create_file_system(CreationToken=uuid4().hex)["FileSystemId"]
        group = aws.security_group()
        if open_to is not None:
            aws.ec2.authorize_security_group_ingress(
                GroupId=group, IpProtocol="tcp", FromPort=2049, ToPort=2049, CidrIp=open_to
            )
        subnets = aws.ec2.describe_subnets(
            Filters=[
                {"Name": "availability-zone", "Values": [zone]},
                {"Name": "vpc-id", "Values": [aws.vpc_id]},
            ]
        )["Subnets"]
        efs.create_mount_target(
            FileSystemId=file_system, SubnetId=subnets[0]["SubnetId"], SecurityGroups=[group]
        )
        return str(file_system), str(group)

    def test_serves(self, aws: Aws) -> None:
        file_system, _ = self.make(aws, "us-east-1a", open_to="172.31.0.0/16")
        assert found(aws.ask(f"storage: {{efs: {{id: {file_system}}}}}\n")) == []

    def test_unknown(self, aws: Aws) -> None:
        assert found(aws.ask("storage: {efs: {id: fs-0123456789abcdef0}}\n")) == [
            (
                "MN208",
                "storage.efs.id",
                "there is no file system `fs-0123456789abcdef0` in us-east-1",
            )
        ]

    def test_no_mount_target_in_the_zone(self, aws: Aws) -> None:
        file_system, _ = self.make(aws, "us-east-1b", open_to="172.31.0.0/16")
        problems = found(aws.ask(f"storage: {{efs: {{id: {file_system}}}}}\n"))
        assert [each[:2] for each in problems] == [("MN208", "storage.efs.id")]
        assert "no mount target in us-east-1a" in problems[0][2]

    @pytest.mark.parametrize("open_to", [None, "172.31.0.0/20"])
    def test_lets_nobody_or_too_few_in(self, aws: Aws, open_to: str | None) -> None:
        file_system, _ = self.make(aws, "us-east-1a", open_to=open_to)
        assert [
            each[0] for each in found(aws.ask(f"storage: {{efs: {{id: {file_system}}}}}\n"))
        ] == ["MN209"]

    def test_default_group_lets_its_own_members_in(self, aws: Aws) -> None:
        """As the tutorial has it: mount targets without a named group, nodes in the default one."""
        efs: Any = aws.connect("efs", REGION)
        file_system = efs.create_file_system(CreationToken=uuid4().hex)["FileSystemId"]
        groups = aws.ec2.describe_security_groups(
            Filters=[
                {"Name": "vpc-id", "Values": [aws.vpc_id]},
                {"Name": "group-name", "Values": ["default"]},
            ]
        )["SecurityGroups"]
        subnet = aws.ec2.describe_subnets(
            Filters=[
                {"Name": "availability-zone", "Values": ["us-east-1a"]},
                {"Name": "vpc-id", "Values": [aws.vpc_id]},
            ]
        )["Subnets"][0]["SubnetId"]
        efs.create_mount_target(FileSystemId=file_system, SubnetId=subnet)
        part = f"storage: {{efs: {{id: {file_system}}}}}\n"
        member = f"network: {{security_groups: [{groups[0]['GroupId']}]}}\n"
        assert found(aws.ask(part + member)) == []
        assert [each[0] for each in found(aws.ask(part))] == ["MN209"]

    def test_named_group_gets_the_rule(self, aws: Aws) -> None:
        file_system, group = self.make(aws, "us-east-1a", open_to=None)
        part = f"storage: {{efs: {{id: {file_system}, security_group: {group}}}}}\n"
        assert found(aws.ask(part)) == []

    def test_named_group_is_not_the_mount_targets(self, aws: Aws) -> None:
        file_system, _ = self.make(aws, "us-east-1a", open_to="172.31.0.0/16")
        part = f"storage: {{efs: {{id: {file_system}, security_group: {aws.security_group()}}}}}\n"
        assert [each[:2] for each in found(aws.ask(part))] == [
            ("MN209", "storage.efs.security_group")
        ]

    def test_cannot_be_in_a_new_vpc(self, aws: Aws) -> None:
        file_system, _ = self.make(aws, "us-east-1a", open_to="172.31.0.0/16")
        part = (
            f"network: {{vpc: new, zones: [us-east-1a]}}\nstorage: {{efs: {{id: {file_system}}}}}\n"
        )
        assert [each[0] for each in found(aws.ask(part))] == ["MN208"]

    def test_mount_target_in_a_secondary_range(self, aws: Aws) -> None:
        vpc = aws.vpc("10.20.0.0/16")
        aws.ec2.associate_vpc_cidr_block(VpcId=vpc, CidrBlock="100.64.0.0/16")
        aws.gateway_route(vpc)
        subnet = aws.subnet(vpc, "100.64.1.0/24")
        aws.ec2.modify_subnet_attribute(SubnetId=subnet, MapPublicIpOnLaunch={"Value": True})
        efs: Any = aws.connect("efs", REGION)
        file_system = efs.create_file_system(CreationToken=uuid4().hex)["FileSystemId"]
        group = aws.security_group(vpc)
        efs.create_mount_target(FileSystemId=file_system, SubnetId=subnet, SecurityGroups=[group])
        part = (
            f"network: {{vpc: {vpc}, subnets: [{subnet}]}}\n"
            f"storage: {{efs: {{id: {file_system}}}}}\n"
        )
        nfs = {"GroupId": group, "IpProtocol": "tcp", "FromPort": 2049, "ToPort": 2049}
        aws.ec2.authorize_security_group_ingress(**nfs, CidrIp="10.20.0.0/16")
        assert [each[0] for each in found(aws.ask(part, skip=("MN206",)))] == ["MN209"]
        aws.ec2.authorize_security_group_ingress(**nfs, CidrIp="100.64.0.0/16")
        assert found(aws.ask(part, skip=("MN206",))) == []

    def policy(self, aws: Aws, *statements: dict[str, Any], more: str = "") -> list[str]:
        file_system, _ = self.make(aws, "us-east-1a", open_to="172.31.0.0/16")
        document = {"Version": "2012-10-17", "Statement": list(statements)}
        aws.connect("efs", REGION).put_file_system_policy(
            FileSystemId=file_system, Policy=json.dumps(document)
        )
        problems = found(aws.ask(f"storage: {{efs: {{id: {file_system}{more}}}}}\n"))
        assert {each[:2] for each in problems} <= {("MN224", "storage.efs.id")}
        return [each[2] for each in problems]

    # As the console writes them:
    # https://docs.aws.amazon.com/efs/latest/ug/access-control-block-public-access.html
    ANYONE: ClassVar[dict[str, Any]] = {
        "Effect": "Allow",
        "Principal": {"AWS": "*"},
        "Action": [
            "elasticfilesystem:ClientRootAccess",
            "elasticfilesystem:ClientWrite",
            "elasticfilesystem:ClientMount",
        ],
        "Condition": {"Bool": {"elasticfilesystem:AccessedViaMountTarget": "true"}},
    }
    ENCRYPTED: ClassVar[dict[str, Any]] = {
        "Effect": "Deny",
        "Principal": {"AWS": "*"},
        "Action": "*",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }

    def test_policy_that_lets_one_other_role_in(self, aws: Aws) -> None:
        role = f"arn:aws:iam::{ACCOUNT_ID}:role/other"
        [message] = self.policy(aws, {**self.ANYONE, "Principal": {"AWS": role}})
        assert "denies them ClientMount, ClientWrite, ClientRootAccess" in message

    def test_policy_of_the_console(self, aws: Aws) -> None:
        assert self.policy(aws, self.ANYONE, self.ENCRYPTED) == []
        [message] = self.policy(aws, self.ANYONE, self.ENCRYPTED, more=", tls: false")
        assert "without TLS" in message

    def test_policy_that_keeps_root_out(self, aws: Aws) -> None:
        actions = self.ANYONE["Action"][1:]
        [message] = self.policy(aws, {**self.ANYONE, "Action": actions})
        assert message.endswith("denies them ClientRootAccess")
        read_only = {**self.ANYONE, "Action": "elasticfilesystem:ClientMount"}
        [message] = self.policy(aws, read_only)
        assert message.endswith("denies them ClientWrite, ClientRootAccess")

    def point(self, aws: Aws, file_system: str) -> tuple[str, str]:
        made = aws.connect("efs", REGION).create_access_point(
            ClientToken=uuid4().hex, FileSystemId=file_system
        )
        return str(made["AccessPointId"]), str(made["AccessPointArn"])

    def judged(
        self, aws: Aws, file_system: str, *statements: dict[str, Any], more: str = ""
    ) -> tuple[list[str | None], list[str | None]]:
        document = {"Version": "2012-10-17", "Statement": list(statements)}
        aws.connect("efs", REGION).put_file_system_policy(
            FileSystemId=file_system, Policy=json.dumps(document)
        )
        answers = aws.ask(f"storage: {{efs: {{id: {file_system}{more}}}}}\n")
        return [each[0] for each in found(answers)], [each.hint for each in answers.problems]

    def test_policy_that_requires_iam(self, aws: Aws) -> None:
        """As the documentation has it: grant a role read and write access, and nobody else."""
        file_system, _ = self.make(aws, "us-east-1a", open_to="172.31.0.0/16")
        role = {
            **self.ANYONE,
            "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT_ID}:role/EfsReadWrite"},
            "Condition": {"Bool": {"aws:SecureTransport": "true"}},
        }
        ids, [hint] = self.judged(aws, file_system, role)
        assert ids == ["MN224"]
        assert "write `iam: true`" in str(hint)
        assert self.judged(aws, file_system, role, more=", iam: true") == ([], [])
        # What is denied to everyone, no role may do.
        deny = {**self.ANYONE, "Effect": "Deny", "Action": "elasticfilesystem:ClientRootAccess"}
        ids, [hint] = self.judged(aws, file_system, role, deny, more=", iam: true")
        assert ids == ["MN224"]
        assert "write `iam: true`" not in str(hint)

    def test_policy_of_an_organization(self, aws: Aws) -> None:
        """A client without IAM has no principal, and so none of the organization."""
        file_system, _ = self.make(aws, "us-east-1a", open_to="172.31.0.0/16")
        own = {**self.ANYONE, "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-123"}}}
        ids, [hint] = self.judged(aws, file_system, own)
        assert ids == ["MN224"]
        assert "write `iam: true`" in str(hint)
        assert self.judged(aws, file_system, own, more=", iam: true") == ([], [])

    def test_policy_that_requires_an_access_point(self, aws: Aws) -> None:
        file_system, _ = self.make(aws, "us-east-1a", open_to="172.31.0.0/16")
        point, arn = self.point(aws, file_system)
        other, _ = self.point(aws, file_system)
        condition = {"StringEquals": {"elasticfilesystem:AccessPointArn": arn}}
        through = {**self.ANYONE, "Condition": condition}
        ids, [hint] = self.judged(aws, file_system, through)
        assert ids == ["MN224"]
        assert f"`access_point: {point}`" in str(hint)
        more = f", access_point: {point}"
        assert self.judged(aws, file_system, through, more=more) == ([], [])
        ids, _ = self.judged(aws, file_system, through, more=f", access_point: {other}")
        assert ids == ["MN224"]
        # The same as a denial of all others.
        unless = {"StringNotEquals": {"elasticfilesystem:AccessPointArn": arn}}
        deny = {**self.ANYONE, "Effect": "Deny", "Condition": unless}
        for iam in ("", ", iam: true"):
            ids, [hint] = self.judged(aws, file_system, self.ANYONE, deny, more=iam)
            assert ids == ["MN224"]
            assert f"`access_point: {point}`" in str(hint)
            assert self.judged(aws, file_system, self.ANYONE, deny, more=more + iam) == ([], [])

    def test_access_point_that_is_not_there_or_elsewhere(self, aws: Aws) -> None:
        file_system, _ = self.make(aws, "us-east-1a", open_to="172.31.0.0/16")
        elsewhere, _ = self.make(aws, "us-east-1b", open_to=None)
        point, _ = self.point(aws, file_system)
        wrong, _ = self.point(aws, elsewhere)

        def asked(name: str) -> list[tuple[str | None, str, str]]:
            part = f"storage: {{efs: {{id: {file_system}, access_point: {name}}}}}\n"
            return found(aws.ask(part))

        assert asked(point) == []
        [(rule, path, message)] = asked(wrong)
        assert (rule, path) == ("MN226", "storage.efs.access_point")
        assert f"belongs to `{elsewhere}`, not to `{file_system}`" in message
        [(rule, _, message)] = asked("fsap-0123456789abcdef0")
        assert rule == "MN226"
        assert "there is no access point" in message


@pytest.fixture
def lacking(sandbox: Sandbox, aws: Aws) -> Iterator[Callable[[dict[str, list[str]]], None]]:
    """Let zones lack endpoint services."""

    yield lambda wanted: control(sandbox, region=REGION, lacking=wanted)
    control(sandbox, region=REGION, lacking={})


def test_endpoint_services_that_a_zone_does_not_offer(
    aws: Aws, lacking: Callable[[dict[str, list[str]]], None]
) -> None:
    zones = "zones: [us-east-1a, us-east-1e]"
    part = f"network: {{{zones}, endpoints: [s3, ecs-agent, logs]}}\n"
    skip = ("MN161", "MN206")
    assert found(aws.ask(part, skip=skip)) == []

    lacking({"us-east-1e": ["ecs-agent"]})
    answers = aws.ask(part, skip=skip)
    [(rule, path, message)] = found(answers)
    assert (rule, path) == ("MN228", "network.endpoints[1]")
    assert "`ecs-agent` is not offered in us-east-1e" in message
    assert answers.problems[0].hint == "write `zones: [us-east-1a]` to leave us-east-1e out"
    # As AWS does: the service is not described in that zone, and refused there.
    subnets = aws.ec2.describe_subnets(
        Filters=[
            {"Name": "availability-zone", "Values": ["us-east-1e"]},
            {"Name": "vpc-id", "Values": [aws.vpc_id]},
        ]
    )["Subnets"]
    with pytest.raises(aws.ec2.exceptions.ClientError) as refused:
        aws.ec2.create_vpc_endpoint(
            VpcId=aws.vpc_id,
            ServiceName=f"com.amazonaws.{REGION}.ecs-agent",
            VpcEndpointType="Interface",
            SubnetIds=[subnets[0]["SubnetId"]],
        )
    assert refused.value.response["Error"]["Code"] == "InvalidParameter"

    lacking({"us-east-1e": ["logs"], "us-east-1a": ["logs"]})
    answers = aws.ask(part, skip=skip)
    [(rule, path, message)] = found(answers)
    assert (rule, path) == ("MN227", "network.endpoints[2]")
    assert message == "`logs` is not offered in us-east-1a, us-east-1e"
    assert "zones: [us-east-1b, us-east-1c" in str(answers.problems[0].hint)


def test_a_zone_without_efs_refuses_mount_targets(
    aws: Aws, lacking: Callable[[dict[str, list[str]]], None]
) -> None:
    efs = aws.connect("efs", REGION)
    system = efs.create_file_system(CreationToken=uuid4().hex)["FileSystemId"]
    lacking({"us-east-1e": ["efs"]})
    places = {
        each["AvailabilityZone"]: each["SubnetId"]
        for each in aws.ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [aws.vpc_id]}])[
            "Subnets"
        ]
    }
    with pytest.raises(efs.exceptions.UnsupportedAvailabilityZone):
        efs.create_mount_target(FileSystemId=system, SubnetId=places["us-east-1e"])
    efs.create_mount_target(FileSystemId=system, SubnetId=places["us-east-1a"])


def test_a_vpc_that_resolves_no_names(aws: Aws) -> None:
    vpc = aws.vpc(hostnames=False)
    aws.gateway_route(vpc)
    subnet = aws.subnet(vpc, "10.1.0.0/24")
    aws.ec2.modify_subnet_attribute(SubnetId=subnet, MapPublicIpOnLaunch={"Value": True})
    part = f"network: {{vpc: {vpc}, subnets: [{subnet}], endpoints: [s3, logs]}}\n"
    answers = aws.ask(part, skip=("MN206",))
    [(rule, path, message)] = found(answers)
    assert (rule, path) == ("MN221", "network.vpc")
    assert "`enableDnsHostnames` is off" in message
    assert "the file system does not resolve, and interface endpoints cannot" in message
    assert f"--vpc-id {vpc} --enable-dns-hostnames" in str(answers.problems[0].hint)
    aws.ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
    assert found(aws.ask(part, skip=("MN206",))) == []
    aws.ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsSupport={"Value": False})
    assert [each[0] for each in found(aws.ask(part, skip=("MN206",)))] == ["MN221"]


EFA = "environments:\n  r5: {instance: c5n.18xlarge, max_nodes: 2, efa: true}\n"


# As docs/images.md has them copied.
INSTALLER = (
    "aws-efa-installer-1.50.0.tar.gz",
    "aws-efa-installer-1.50.0.tar.gz.sig",
    "aws-efa-installer.key",
)


def test_the_efa_installer_is_in_the_bucket_and_can_be_read(aws: Aws) -> None:
    part = "image: {efa_installer: s3://software/tools/efa/}\n"

    def asked() -> tuple[list[str], list[str | None]]:
        answers = aws.ask(part, environments=EFA)
        assert {each[:2] for each in found(answers)} <= {("MN229", "image.efa_installer")}
        return [each[2] for each in found(answers)], [each.hint for each in answers.problems]

    assert asked()[0] == ["there is no bucket `software`"]
    s3: Any = aws.connect("s3", REGION)
    s3.create_bucket(Bucket="software")
    [message], _ = asked()
    assert message.startswith("`s3://software/tools/efa/` does not have ")
    assert all(name in message for name in INSTALLER)
    for name in INSTALLER:
        s3.put_object(Bucket="software", Key=f"tools/efa/{name}", Body=b"x")
    assert asked() == ([], [])

    kms: Any = aws.connect("kms", REGION)
    key = kms.create_key()["KeyMetadata"]["Arn"]
    last = {"Bucket": "software", "Key": f"tools/efa/{INSTALLER[2]}", "Body": b"x"}
    s3.put_object(**last, ServerSideEncryption="aws:kms", SSEKMSKeyId=key)
    [message], [hint] = asked()
    assert f"encrypted with {key}" in message
    assert "--sse AES256" in str(hint)
    s3.put_object(**last)

    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::software/*",
    }
    # What Security Hub's control S3.5 asks for, which TLS satisfies.
    secure = {**statement, "Condition": {"Bool": {"aws:SecureTransport": "false"}}}
    here = {**statement, "Resource": "arn:aws:s3:::soft*/tools/*"}
    elsewhere = {**statement, "Resource": "arn:aws:s3:::software/private/*"}
    but = {key: value for key, value in statement.items() if key != "Resource"}
    others = {**but, "NotResource": "arn:aws:s3:::software/tools/efa/*"}
    for each, denied in (
        (secure, False),
        (statement, True),
        (here, True),
        (elsewhere, False),
        (others, False),
    ):
        document = json.dumps({"Version": "2012-10-17", "Statement": [each]})
        s3.put_bucket_policy(Bucket="software", Policy=document)
        assert ("denies everyone" in "".join(asked()[0])) is denied


@pytest.mark.parametrize(
    ("part", "version"),
    [("base: amazon-linux-2", "1.49.0"), ("efa_version: 1.48.0", "1.48.0")],
)
def test_the_installer_in_the_bucket_is_that_of_the_base(aws: Aws, part: str, version: str) -> None:
    s3: Any = aws.connect("s3", REGION)
    s3.create_bucket(Bucket="versions")
    whole = f"image: {{efa_installer: s3://versions/, {part}}}\n"
    [message] = [each[2] for each in found(aws.ask(whole, environments=EFA)) if each[0] == "MN229"]
    assert f"aws-efa-installer-{version}.tar.gz.sig" in message


def test_an_installer_in_another_region(aws: Aws) -> None:
    s3: Any = aws.connect("s3", "eu-west-1")
    place = {"LocationConstraint": "eu-west-1"}
    s3.create_bucket(Bucket="software-eu", CreateBucketConfiguration=place)
    part = "image: {efa_installer: s3://software-eu/efa/}\n"
    [(rule, _, message)] = found(aws.ask(part, environments=EFA))
    assert rule == "MN229"
    assert "is in eu-west-1, and the builders are in us-east-1" in message


def test_the_default_group_decides_whether_nodes_with_efa_meet(aws: Aws) -> None:
    vpc = aws.vpc()
    aws.gateway_route(vpc)
    subnet = aws.subnet(vpc, "10.1.0.0/24")
    aws.ec2.modify_subnet_attribute(SubnetId=subnet, MapPublicIpOnLaunch={"Value": True})
    part = f"network: {{vpc: {vpc}, subnets: [{subnet}]}}\n"

    def ids() -> list[tuple[str | None, str]]:
        return [each[:2] for each in found(aws.ask(part, environments=EFA, skip=("MN206",)))]

    # As AWS makes it: https://docs.aws.amazon.com/vpc/latest/userguide/default-security-group.html
    assert ids() == []
    [group] = aws.ec2.describe_security_groups(
        Filters=[{"Name": "vpc-id", "Values": [vpc]}, {"Name": "group-name", "Values": ["default"]}]
    )["SecurityGroups"]
    # And closed, as Security Hub's control EC2.2 wants it.
    closed = {"GroupId": group["GroupId"]}
    aws.ec2.revoke_security_group_ingress(**closed, IpPermissions=group["IpPermissions"])
    assert ids() == [("MN222", "environments.r5.efa")]
    aws.ec2.revoke_security_group_egress(**closed, IpPermissions=group["IpPermissionsEgress"])
    hint = str(aws.ask(part, environments=EFA, skip=("MN206",)).problems[0].hint)
    assert "authorize-security-group-ingress" in hint
    assert "authorize-security-group-egress" in hint
    assert found(aws.ask(part, skip=("MN206",))) == []


def test_builders_of_efa_images_need_a_way_out_or_a_bucket(aws: Aws) -> None:
    vpc = aws.vpc()
    subnet = aws.subnet(vpc, "10.1.0.0/24")
    services = "s3, ecr.api, ecr.dkr, logs, ecs, ecs-agent, ecs-telemetry, ssm, ssmmessages"
    part = f"network: {{vpc: {vpc}, subnets: [{subnet}], endpoints: [{services}]}}\n"
    assert [each[:2] for each in found(aws.ask(part, environments=EFA))] == [
        ("MN223", "environments.r5.efa")
    ]
    s3: Any = aws.connect("s3", REGION)
    s3.create_bucket(Bucket="my-software")
    for name in INSTALLER:
        s3.put_object(Bucket="my-software", Key=f"efa/{name}", Body=b"x")
    bucket = "image: {efa_installer: s3://my-software/efa/}\n"
    assert found(aws.ask(part + bucket, environments=EFA)) == []
    assert found(aws.ask(part)) == []


class TestKey:
    """The key for EBS, whose rules are those of EC2 Auto Scaling's documentation."""

    ROLE = (
        f"arn:aws:iam::{ACCOUNT_ID}:role/aws-service-role/autoscaling.amazonaws.com/"
        "AWSServiceRoleForAutoScaling"
    )
    ACCOUNT: ClassVar[dict[str, Any]] = {
        "Sid": "Enable IAM User Permissions",
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT_ID}:root"},
        "Action": "kms:*",
        "Resource": "*",
    }

    def key(self, aws: Aws, *statements: dict[str, Any]) -> str:
        document = {"Version": "2012-10-17", "Statement": [self.ACCOUNT, *statements]}
        made = aws.connect("kms", REGION).create_key(Policy=json.dumps(document))
        return str(made["KeyMetadata"]["Arn"])

    @contextmanager
    def default(self, aws: Aws, key: str) -> Iterator[None]:
        aws.ec2.modify_ebs_default_kms_key_id(KmsKeyId=key)
        try:
            yield
        finally:
            aws.ec2.reset_ebs_default_kms_key_id()

    def test_default_key_that_only_the_account_may_use(self, aws: Aws) -> None:
        key = self.key(aws)
        with self.default(aws, key):
            answers = aws.ask()
        [(rule, path, message)] = found(answers)
        assert (rule, path) == ("MN225", "environments.r5.instance")
        assert key in message
        assert "CreateGrant, Decrypt, DescribeKey" in message
        assert f"--grantee-principal {self.ROLE}" in str(answers.problems[0].hint)
        assert found(aws.ask()) == []

    def test_the_statements_of_the_documentation_suffice(self, aws: Aws) -> None:
        use = {
            "Sid": "Allow service-linked role use of the customer managed key",
            "Effect": "Allow",
            "Principal": {"AWS": [self.ROLE]},
            "Action": [
                "kms:Encrypt",
                "kms:Decrypt",
                "kms:ReEncrypt*",
                "kms:GenerateDataKey*",
                "kms:DescribeKey",
            ],
            "Resource": "*",
        }
        grant = {
            **use,
            "Sid": "Allow attachment of persistent resources",
            "Action": ["kms:CreateGrant"],
            "Condition": {"Bool": {"kms:GrantIsForAWSResource": True}},
        }
        with self.default(aws, self.key(aws, use, grant)):
            assert found(aws.ask()) == []
        with self.default(aws, self.key(aws, use)):
            [(_, _, message)] = found(aws.ask())
        assert message.endswith("it lacks CreateGrant")

    def test_a_grant_suffices_and_a_key_can_be_named(self, aws: Aws) -> None:
        key = self.key(aws)
        part = f"image: {{kms_key: '{key}'}}\n"
        [(rule, path, message)] = found(aws.ask(part))
        assert (rule, path) == ("MN225", "image.kms_key")
        aws.connect("kms", REGION).create_grant(
            KeyId=key,
            GranteePrincipal=self.ROLE,
            Operations=message.partition("it lacks ")[2].split(", "),
        )
        assert found(aws.ask(part)) == []


def test_key_pair(aws: Aws) -> None:
    part = "network: {ssh: {key_pair: my-kay, from: [10.0.0.0/8]}}\n"
    aws.ec2.create_key_pair(KeyName="my-key")

    answers = aws.ask(part)

    assert found(answers) == [
        ("MN210", "network.ssh.key_pair", "there is no key pair `my-kay` in us-east-1")
    ]
    assert answers.problems[0].hint == "did you mean `my-key`?"
    assert found(aws.ask(part.replace("my-kay", "my-key"))) == []


def test_quota(aws: Aws) -> None:
    with aws.quota("L-1216C47A", 100):
        answers = aws.ask()
    [(rule, path, message)] = found(answers)
    assert (rule, path) == ("MN211", "environments.r5.max_nodes")
    assert message.startswith("4 nodes are 192 vCPUs, and the quota")
    assert message.endswith("is 100: enough for 2 nodes")
    assert answers.problems[0].position == Position(4, 42)


def test_spot_has_a_quota_of_its_own(aws: Aws) -> None:
    quotas: Any = aws.connect("service-quotas", REGION)
    quotas.request_service_quota_increase(ServiceCode="ec2", QuotaCode="L-34B43A08", DesiredValue=0)
    assert found(aws.ask()) == []
    spot = ENVIRONMENT.replace("zones", "purchase: spot, multi_node: false, zones")
    assert [each[0] for each in found(aws.ask(environments=spot))] == ["MN211"]


def several(instance: str, *others: str, zone: str = "us-east-1a") -> str:
    """Return the environment with several types."""
    types = f"{instance}, alternatives: [{', '.join(others)}], multi_node: false"
    return ENVIRONMENT.replace("r5.12xlarge", types).replace("us-east-1a", zone)


def test_one_type_whose_quota_suffices_is_enough(aws: Aws) -> None:
    # x2iezn counts against the quota of X instances, r5 against that of standard ones.
    both = several("r5.12xlarge", "x2iezn.12xlarge")
    standard, x = "L-1216C47A", "L-7295265B"
    with aws.quota(x, 48), aws.quota(standard, 192):
        assert found(aws.ask(environments=both)) == []
    with aws.quota(x, 192), aws.quota(standard, 48):
        assert found(aws.ask(environments=both)) == []
    with aws.quota(x, 96), aws.quota(standard, 48):
        answers = aws.ask(environments=both)
    [(rule, path, message)] = found(answers)
    assert (rule, path) == ("MN211", "environments.r5.max_nodes")
    assert message.endswith('"Running On-Demand X instances" is 96: enough for 2 nodes')


def test_one_type_that_a_zone_offers_is_enough(aws: Aws) -> None:
    # us-east-1e has m4, and neither r5 nor m5.
    for types in (("r5.4xlarge", "m4.4xlarge"), ("m4.4xlarge", "r5.4xlarge")):
        assert found(aws.ask(environments=several(*types, zone="us-east-1e"))) == []
    environments = several("r5.4xlarge", "m5.4xlarge", zone="us-east-1e")
    answers = aws.ask(environments=environments)
    message = "none of `r5.4xlarge`, `m5.4xlarge` is offered in us-east-1e"
    assert found(answers) == [("MN212", "environments.r5.zones", message)]
    assert "one of them is offered in us-east-1a, us-east-1b" in str(answers.problems[0].hint)


def test_type_is_offered_elsewhere(aws: Aws) -> None:
    # us-east-1e is the zone of old: it has no r5.
    answers = aws.ask(environments=ENVIRONMENT.replace("us-east-1a", "us-east-1e"))
    assert found(answers) == [
        ("MN212", "environments.r5.zones", "`r5.12xlarge` is not offered in us-east-1e")
    ]
    assert "it is offered in us-east-1a, us-east-1b" in str(answers.problems[0].hint)


def test_type_is_not_offered_in_the_region(aws: Aws) -> None:
    environments = "environments:\n  r5: {instance: hpc7a.96xlarge, max_nodes: 1}\n"
    assert found(
        aws.ask(
            "network: {vpc: new, zones: [us-east-1a]}\n", environments=environments, skip=("MN131",)
        )
    ) == [("MN212", "environments.r5.instance", "`hpc7a.96xlarge` is not offered in us-east-1")]


class TestImages:
    def newest(self, aws: Aws, architecture: str = "x86_64") -> str:
        """Ask for one AMI: the emulated EC2 takes a second to list all."""
        name = base_image_parameter("amazon-linux-2023", architecture)
        ssm: Any = aws.connect("ssm", REGION)
        return str(ssm.get_parameter(Name=name)["Parameter"]["Value"])

    def with_another_disk(self, aws: Aws) -> str:
        wanted = {"architecture": "x86_64", "root-device-name": "/dev/sda1"}
        filters = [{"Name": name, "Values": [value]} for name, value in wanted.items()]
        return str(aws.ec2.describe_images(Filters=filters)["Images"][0]["ImageId"])

    def bake(self, aws: Aws, tag: str | None, architecture: str = "x86_64") -> str:
        image = aws.ec2.copy_image(
            Name="baked", SourceImageId=self.newest(aws, architecture), SourceRegion=REGION
        )
        if tag is not None:
            aws.ec2.create_tags(
                Resources=[image["ImageId"]], Tags=[{"Key": "mngen:image", "Value": tag}]
            )
        return str(image["ImageId"])

    def test_fits(self, aws: Aws) -> None:
        assert (
            found(aws.ask(images={"r5.12xlarge": AmiRecord(id=self.bake(aws, "r5.12xlarge"))}))
            == []
        )

    def test_is_gone(self, aws: Aws) -> None:
        [(rule, path, message)] = found(
            aws.ask(images={"r5.12xlarge": AmiRecord(id="ami-0123456789abcdef0")})
        )
        assert (rule, path) == ("MN213", "environments.r5.instance")
        assert "(ami-0123456789abcdef0) is not there" in message

    @pytest.mark.parametrize(
        ("tag", "architecture", "said"),
        [
            ("r5.24xlarge", "x86_64", "was baked as `r5.24xlarge`"),
            (None, "x86_64", "has no tag `mngen:image`"),
            ("r5.12xlarge", "arm64", "is for arm64, and `r5.12xlarge` is x86_64"),
        ],
    )
    def test_is_of_another(self, aws: Aws, tag: str | None, architecture: str, said: str) -> None:
        image = AmiRecord(id=self.bake(aws, tag, architecture))
        problems = found(aws.ask(images={"r5.12xlarge": image}))
        assert [each[0] for each in problems] == ["MN213"]
        assert said in problems[0][2]

    @pytest.mark.parametrize(
        ("limit", "said"),
        [("24", None), ("48", "was baked with nr_cpus=48, where 24 is wanted")],
    )
    def test_is_shared_with_types_that_want_the_same_limit(
        self, aws: Aws, limit: str, said: str | None
    ) -> None:
        image = self.bake(aws, "m5.12xlarge")
        aws.ec2.create_tags(Resources=[image], Tags=[{"Key": "mngen:nr-cpus", "Value": limit}])
        problems = found(aws.ask(images={"r5.12xlarge": AmiRecord(id=image)}))
        assert [message.endswith(said or "?") for _, _, message in problems] == [True] * bool(said)

    def test_one_that_exists_is_there_and_of_the_architecture(self, aws: Aws) -> None:
        def judged(image: str) -> list[tuple[str | None, str, str]]:
            own = ENVIRONMENT.replace("zones:", f"image: {image}, zones:")
            return found(aws.ask(environments=own))

        assert judged(self.newest(aws)) == []
        other = self.with_another_disk(aws)
        assert judged(other) == [
            ("MN236", "environments.r5.image", f"the AMI {other} has /dev/sda1")
        ]
        [(rule, path, message)] = judged(self.newest(aws, "arm64"))
        assert (rule, path) == ("MN213", "environments.r5.image")
        assert message.endswith("is for arm64, and `r5.12xlarge` is x86_64")
        [(_, path, message)] = judged("ami-0123456789abcdef0")
        assert (path, message) == (
            "environments.r5.image",
            "the AMI ami-0123456789abcdef0 is not there, or not shared with this account",
        )

    def test_one_to_bake_from_is_like_an_ecs_optimized_one(self, aws: Aws) -> None:
        def judged(ami: str, key: str = "x86_64") -> list[tuple[str | None, str, str]]:
            part = f"image: {{base_amis: {{{key}: {ami}}}}}\n"
            return found(aws.ask(part, skip=("MN433",)))

        base = self.newest(aws)
        assert judged(base) == []
        path = "image.base_amis.x86_64"
        assert judged(base, "arm64") == [
            ("MN255", "image.base_amis.arm64", f"the AMI {base} is for x86_64, not arm64")
        ]
        gone = "ami-0123456789abcdef0"
        missing = f"the AMI {gone} is not there, or not shared with this account"
        assert judged(gone) == [("MN255", path, missing)]
        other = self.with_another_disk(aws)
        message = f"the AMI {other} has the root device /dev/sda1, not /dev/xvda"
        assert ("MN255", path, message) in judged(other)

    def test_a_public_one_is_of_amazon_or_of_this_account(self) -> None:
        public: Any = {"Public": True, "OwnerId": "210987654321"}
        assert _is_of_a_stranger(public, ACCOUNT_ID)
        assert not _is_of_a_stranger(public, "210987654321")
        assert not _is_of_a_stranger(public | {"ImageOwnerAlias": "amazon"}, ACCOUNT_ID)
        # Its owner has shared it with this account.
        assert not _is_of_a_stranger(public | {"Public": False}, ACCOUNT_ID)

    def test_one_to_bake_from_fits_on_a_builder(self) -> None:
        image: Any = {
            "State": "available",
            "Architecture": "x86_64",
            "RootDeviceName": "/dev/xvda",
            "BlockDeviceMappings": [
                {"DeviceName": "/dev/sdb", "VirtualName": "ephemeral0"},
                {"DeviceName": "/dev/sdc", "Ebs": {"VolumeSize": 500}},
                {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 30}},
            ],
        }
        assert _wrong_base(image, "x86_64", 30) is None
        image["BlockDeviceMappings"][-1]["Ebs"]["VolumeSize"] = 31
        said = "has a root volume of 31 GiB, and builders have 30"
        assert _wrong_base(image, "x86_64", 30) == said
        assert _wrong_base(image, "x86_64", 31) is None
        assert (
            _wrong_base(image | {"State": "pending"}, "x86_64", 30) == "is pending, not available"
        )

    def test_one_to_bake_from_fits_on_a_builder_with_container_images(self) -> None:
        part = "image: {preload: true}\njobs: {j: {queue: mpi, command: [x]}}\n"
        environments = ENVIRONMENT.replace("max_nodes:", "root_volume: 100, max_nodes:")
        cluster = require(load(part, environments), load_catalog())
        assert _smallest_volume(cluster, "x86_64") == 100
        assert _smallest_volume(cluster, "arm64") == 30
        plain = require(load("", environments), load_catalog())
        assert _smallest_volume(plain, "x86_64") == 30

    def test_has_an_old_base(self, aws: Aws) -> None:
        image = self.bake(aws, "r5.12xlarge")
        for base in (self.newest(aws), "ami-0123456789abcdef0"):
            made_of = BakedFrom(
                architecture="x86_64",
                base="amazon-linux-2023",
                base_ami=base,
                nr_cpus=24,
                efa=False,
                efs="fs-1",
                mount="/efs",
                tls=True,
                playbooks="",
            )
            problems = found(
                aws.ask(images={"r5.12xlarge": AmiRecord(id=image, baked_from=made_of)})
            )
            old = base == "ami-0123456789abcdef0"
            assert [each[0] for each in problems] == ["MN219"] * old
            # One that the spec names is not compared with the newest.
            own = aws.ask(
                f"image: {{base_amis: {{x86_64: {base}}}}}\n",
                images={"r5.12xlarge": AmiRecord(id=image, baked_from=made_of)},
                skip=("MN255",),
            )
            assert found(own) == []


def test_identities(aws: Aws) -> None:
    iam: Any = aws.connect("iam", REGION)
    document = trust("batch.amazonaws.com")
    role = iam.create_role(RoleName="batch", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    profile = iam.create_instance_profile(InstanceProfileName="nodes")["InstanceProfile"]["Arn"]
    gone = f"arn:aws:iam::{ACCOUNT_ID}"
    part = f"""\
roles:
  service: {role}
  instance_profile: {profile}
  spot_fleet: {gone}:role/fleet
  job_policies: ["arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess", "{gone}:policy/gone"]
  permissions_boundary: {gone}:policy/boundary
"""
    problems = found(aws.ask(part))
    assert [each[:2] for each in problems] == [
        ("MN214", "roles.instance_profile"),
        ("MN214", "roles.spot_fleet"),
        ("MN214", "roles.job_policies[1]"),
        ("MN214", "roles.permissions_boundary"),
    ]
    further = f'roles:\n  instance_policies: ["{gone}:policy/gone"]\n'
    assert [each[:2] for each in found(aws.ask(further))] == [
        ("MN214", "roles.instance_policies[0]")
    ]
    assert "has no role" in problems[0][2]

    iam.add_role_to_instance_profile(InstanceProfileName="nodes", RoleName="batch")
    assert found(aws.ask(f"roles:\n  service: {role}\n  instance_profile: {profile}\n")) == []
    missing = f"roles:\n  instance_profile: {gone}:instance-profile/gone\n"
    assert [each[2] for each in found(aws.ask(missing))] == [
        f"there is no instance profile {gone}:instance-profile/gone"
    ]


class TestQueueParts:
    """What the queues of a spec name, as DescribeComputeEnvironments and its like show it."""

    def judged(self, aws: Aws, *lines: str) -> list[tuple[str | None, str, str]]:
        return found(self.answers(aws, *lines))

    def hints(self, aws: Aws, *lines: str) -> list[str | None]:
        return [each.hint for each in self.answers(aws, *lines).problems]

    def answers(self, aws: Aws, *lines: str) -> Answers:
        queue = "queues:\n  mpi:\n    environments: [r5]\n" + "".join(f"    {x}\n" for x in lines)
        loaded = load_text((HEAD + ENVIRONMENT + queue).encode())
        spec = require(loaded, load_catalog())
        return check_aws(spec, document=loaded.document, connect=aws.connect)

    def environment(self, aws: Aws, kind: str, instance: str = "r5.24xlarge") -> str:
        resources: dict[str, Any] = {
            "type": kind,
            "maxvCpus": 96,
            "subnets": [aws.ec2.describe_subnets()["Subnets"][0]["SubnetId"]],
            "securityGroupIds": [aws.security_group()],
        }
        if kind == "EC2":
            made = aws.connect("iam", REGION).create_instance_profile(
                InstanceProfileName=f"old-{uuid4().hex}"
            )
            profile = made["InstanceProfile"]["Arn"]
            resources |= {"instanceTypes": [instance], "minvCpus": 0, "instanceRole": profile}
        made = aws.connect("batch", REGION).create_compute_environment(
            computeEnvironmentName=f"old-{uuid4().hex}", type="MANAGED", computeResources=resources
        )
        return str(made["computeEnvironmentArn"])

    def test_environments_of_ec2_are_taken_and_others_named(self, aws: Aws) -> None:
        assert self.judged(aws, f"legacy: ['{self.environment(aws, 'EC2')}']") == []
        for instance in ("optimal", "m5"):
            assert self.judged(aws, f"legacy: ['{self.environment(aws, 'EC2', instance)}']") == []
        for instance in ("r6g.4xlarge", "c7g"):
            arm = self.environment(aws, "EC2", instance)
            said = f"the compute environment `{arm.rpartition('/')[2]}` is for arm64, and the queue"
            assert self.judged(aws, f"legacy: ['{arm}']") == [
                ("MN230", "queues.mpi.legacy[0]", f"{said} for x86_64")
            ]
        missing = f"arn:aws:batch:{REGION}:{ACCOUNT_ID}:compute-environment/gone"
        fargate = self.environment(aws, "FARGATE")
        assert self.judged(aws, f"legacy: ['{fargate}', '{missing}']") == [
            (
                "MN230",
                "queues.mpi.legacy[0]",
                f"the compute environment `{fargate.rpartition('/')[2]}` has the type FARGATE",
            ),
            (
                "MN230",
                "queues.mpi.legacy[1]",
                "the compute environment `gone` does not exist",
            ),
        ]

    def test_a_scheduling_policy_exists_and_stays_what_it_is(self, aws: Aws) -> None:
        batch = aws.connect("batch", REGION)
        policy = batch.create_scheduling_policy(name="fair")["arn"]
        other = policy.replace("/fair", "/other")
        assert self.judged(aws, f"scheduling_policy: {policy}") == []
        assert self.judged(aws, f"scheduling_policy: {other}") == [
            ("MN231", "queues.mpi.scheduling_policy", "there is no scheduling policy `other`")
        ]

        order = [{"order": 1, "computeEnvironment": self.environment(aws, "EC2")}]
        for name, arguments in (("plain", {}), ("fair", {"schedulingPolicyArn": policy})):
            batch.create_job_queue(
                jobQueueName=name, priority=1, computeEnvironmentOrder=order, **arguments
            )
        assert self.judged(aws, "aws_name: plain", f"scheduling_policy: {policy}") == [
            ("MN232", "queues.mpi.scheduling_policy", "the queue `plain` has no scheduling policy")
        ]
        assert self.judged(aws, "aws_name: fair") == [
            ("MN232", "queues.mpi", f"the queue `fair` has the scheduling policy `{policy}`")
        ]
        assert self.judged(aws, "aws_name: fair", f"scheduling_policy: {policy}") == []
        # One that mngen made, or is to make.
        assert self.judged(aws, "aws_name: plain", "shares: {}") == [
            ("MN232", "queues.mpi.shares", "the queue `plain` has no scheduling policy")
        ]
        assert self.judged(aws, "aws_name: fair", "shares: {}") == []
        assert self.hints(aws, "aws_name: fair") == [
            f"write `scheduling_policy: {policy}` to keep it"
        ]
        # `shares: {}` alone would set the weights of the policy back.
        made = batch.create_scheduling_policy(name="seismic-mpi")["arn"]
        batch.update_job_queue(jobQueue="fair", schedulingPolicyArn=made)
        assert self.hints(aws, "aws_name: fair") == [
            "write `shares: {}`, with its weights, to keep it"
        ]


def test_an_existing_placement_group_is_a_cluster(aws: Aws) -> None:
    aws.ec2.create_placement_group(GroupName="Wave Group", Strategy="cluster")
    aws.ec2.create_placement_group(GroupName="wide", Strategy="spread")
    assert [said(aws, name) for name in ("Wave Group", "wide", "gone")] == [
        [],
        ["MN233: the placement group `wide` has the strategy spread"],
        ["MN233: there is no placement group `gone` in us-east-1"],
    ]


def said(aws: Aws, group: str) -> list[str]:
    existing = f"placement_group: {{existing: {group}}}"
    environments = ENVIRONMENT.replace("zones:", f"{existing}, zones:")
    return [f"{rule}: {message}" for rule, _, message in found(aws.ask(environments=environments))]


def test_the_log_group_exists(aws: Aws) -> None:
    aws.connect("logs", REGION).create_log_group(logGroupName="/lab/jobs")
    assert found(aws.ask("logs: {group: /lab/jobs}\n")) == []
    assert found(aws.ask("logs: {group: /lab/job}\n")) == [
        ("MN234", "logs.group", "there is no log group `/lab/job` in us-east-1")
    ]


def test_roles_of_containers_exist(aws: Aws) -> None:
    role = f"arn:aws:iam::{ACCOUNT_ID}:role/lab-jobs"
    assert [each[:2] for each in found(aws.ask(f"roles: {{job: {role}}}\n"))] == [
        ("MN214", "roles.job")
    ]
    aws.connect("iam", REGION).create_role(
        RoleName="lab-jobs", AssumeRolePolicyDocument=trust("ecs-tasks.amazonaws.com")
    )
    assert found(aws.ask(f"roles: {{job: {role}}}\n")) == []


def trust(*services: str) -> str:
    """Return a trust policy in the form of IAM's guide, with one service as text, not as a list.

    Source: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html
    """
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": services[0] if len(services) == 1 else list(services)},
        "Action": "sts:AssumeRole",
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement] if services else []})


def test_roles_trust_the_service_that_uses_them(aws: Aws) -> None:
    iam: Any = aws.connect("iam", REGION)
    arns = {}
    for name, services in (
        ("nobody", ()),
        ("ec2", ("ec2.amazonaws.com",)),
        ("batch", ("batch.amazonaws.com",)),
        ("both", ("ec2.amazonaws.com", "ecs-tasks.amazonaws.com")),
    ):
        role = f"trusts-{name}"
        made = iam.create_role(RoleName=role, AssumeRolePolicyDocument=trust(*services))
        arns[name] = made["Role"]["Arn"]
    for key, name, service in (
        ("job", "nobody", "ecs-tasks"),
        ("job", "ec2", "ecs-tasks"),
        ("job", "both", None),
        ("service", "both", "batch"),
        ("service", "batch", None),
    ):
        said = f"the role {arns[name]} does not trust {service}.amazonaws.com"
        wanted = [("MN235", f"roles.{key}", said)] if service else []
        assert found(aws.ask(f"roles: {{{key}: {arns[name]}}}\n")) == wanted


def test_security_groups(aws: Aws) -> None:
    ids = [aws.security_group(), "sg-0123456789abcdef0", aws.security_group(aws.vpc())]
    part = f"network: {{security_groups: [{', '.join(ids)}]}}\n"

    assert [each[:2] for each in found(aws.ask(part))] == [
        ("MN215", "network.security_groups[1]"),
        ("MN215", "network.security_groups[2]"),
    ]
    assert [
        each[0]
        for each in found(aws.ask(part.replace("{sec", "{vpc: new, zones: [us-east-1a], sec")))
    ] == ["MN215"] * 3


def test_state_bucket(aws: Aws) -> None:
    part = "state: {bucket: seismic-state}\n"
    assert found(aws.ask(part)) == [("MN216", "state.bucket", "there is no bucket `seismic-state`")]

    s3: Any = aws.connect("s3", REGION)
    s3.create_bucket(Bucket="seismic-state")
    answers = aws.ask(part)
    assert [each[0] for each in found(answers)] == ["MN217"]
    assert answers.problems[0].severity is Severity.WARNING

    s3.put_bucket_versioning(Bucket="seismic-state", VersioningConfiguration={"Status": "Enabled"})
    assert found(aws.ask(part)) == []


def test_addresses(aws: Aws) -> None:
    vpc = aws.vpc()
    aws.gateway_route(vpc)
    subnet = aws.subnet(vpc, "10.1.0.0/28")
    aws.ec2.modify_subnet_attribute(SubnetId=subnet, MapPublicIpOnLaunch={"Value": True})
    part = f"network: {{vpc: {vpc}, subnets: [{subnet}]}}\n"
    many = ENVIRONMENT.replace("max_nodes: 4", "max_nodes: 6")

    assert found(aws.ask(part, skip=("MN206",))) == []
    assert found(aws.ask(part, environments=many, skip=("MN206",))) == [
        (
            "MN218",
            "environments.r5.max_nodes",
            "6 nodes take 12 addresses, and the subnets in us-east-1a have 11",
        )
    ]


def test_without_credentials_one_answer_covers_all_rules(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sandbox.applied(REGION):
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        answers = check_aws(cluster())

    assert answers.problems == ()
    [unanswered] = answers.unanswered
    assert unanswered.rule == "MN201"
    assert "AWS credentials are missing" in unanswered.message
    assert "MN212" in unanswered.message


def test_unreachable_service_hides_no_other(
    aws: Aws, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(service: str, region: str) -> Any:
        # Nothing listens on port 9, the discard protocol of old.
        down = service == "service-quotas"
        return (
            client(service, region, endpoint_url="http://127.0.0.1:9")
            if down
            else aws.connect(service, region)
        )

    with sandbox.applied(REGION):
        answers = check_aws(
            cluster("network: {ssh: {key_pair: gone, from: [10.0.0.0/8]}}\n"), connect=connect
        )

    assert [each.rule for each in answers.problems] == ["MN210"]
    assert [each.rule for each in answers.unanswered] == ["MN211"]
    assert "cannot reach AWS" in answers.unanswered[0].message


def test_every_rule_names_its_calls() -> None:
    assert all(rule.calls for rule in AWS_RULES)
    assert "ec2:DescribeSubnets" in aws_calls()
    assert list(aws_calls()) == sorted(set(aws_calls()))


def test_facts_are_asked_for_once(aws: Aws) -> None:
    account = Account(cluster(), {}, aws.connect)
    asked: list[str] = []

    def note(model: Any, params: Any, **_: object) -> None:
        # An attribute of a VPC is a fact of its own, of which EC2 tells one a call.
        asked.append(f"{model.name} {params['body'].get('Attribute', '')}".strip())

    account.ec2.meta.events.register("before-call", note)

    matches: list[tuple[type[AwsRule], Match]] = [
        (rule, match) for rule in AWS_RULES for match in rule.matches(account)
    ]

    account.ec2.meta.events.unregister("before-call", note)
    assert matches == []
    assert "DescribeSubnets" in asked
    assert len(asked) == len(set(asked))
