"""Every example and two specs more, deployed by real Terraform once, for all tests that look at it.

What a test asserts on is kept here while the deployments stand: what Terraform planned and did,
what the account held, every call that was made. All are deployed at the same time in one account:
Terraform mostly waits, and deployments must bear each other.
"""

from __future__ import annotations

import json
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Barrier, BrokenBarrierError
from typing import TYPE_CHECKING, Any

from mngen.adoption import Wishes, adopt, read_account
from mngen.catalog import load_catalog
from mngen.rules import require
from mngen.sandbox import ACCOUNT_ID, WORKSPACE, sandbox_environment
from mngen.spec import ExistingGroup, load_text
from tests.support.batch import make_block
from tests.support.recording import Call, Recording
from tests.support.sandbox import client, make_amis, make_environment
from tests.support.stack import Changes, Stack, TerraformError

if TYPE_CHECKING:
    import pytest

    from mngen.adoption import Adoption
    from mngen.cluster import Cluster
    from mngen.sandbox import Sandbox
    from mngen.spec import Spec

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

# What no example has: a new VPC with a NAT gateway, created roles, SSH, a boundary around a bucket,
# container images in the AMIs.
_NAT = """
name: nat
region: us-west-2
network:
  vpc: new
  zones: [us-west-2a, us-west-2b]
  ssh: {key_pair: mine, from: [10.0.0.0/8]}
storage: {bucket: inputs}
image: {preload: true}
roles:
  service: create
  spot_fleet: create
  instance_policies: ["arn:aws:iam::aws:policy/CloudWatchAgentServerPolicy"]
  job_policies: ["arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"]
  permissions_boundary: arn:aws:iam::aws:policy/PowerUserAccess
environments:
  mpi: {instance: r5.12xlarge, max_nodes: 4}
  spot:
    instance: m4.4xlarge
    max_nodes: 4
    multi_node: false
    purchase: spot
    allocation: best-fit
queues:
  mpi: {environments: [mpi]}
  spot: {environments: [spot]}
jobs:
  hello:
    queue: mpi
    nodes: 2
    command: [hostname]
    user: "1000:1000"
    shell: true
    secrets:
      TOKEN: "arn:aws:secretsmanager:us-west-2:123456789012:secret:lab-AbCdEf:token::"
      LAB_USER: /lab/user
    ulimits: {stack: -1, nofile: {soft: 1024, hard: 65536}}
    tmpfs: [{path: /work, size: 64, options: [exec]}, {path: /cache, size: 64}]
    mounts:
      - {host: /opt/licences, path: /licences, read_only: true}
      - {host: /var/work, path: /var/work}
    container_properties:
      linuxParameters:
        initProcessEnabled: true
        devices: [{hostPath: /dev/fuse, containerPath: /dev/fuse, permissions: [READ, WRITE]}]
      volumes: [{name: models, host: {sourcePath: /opt/models}}]
      mountPoints: [{sourceVolume: models, containerPath: /models, readOnly: true}]
  alone:
    queue: spot
    command: [hostname]
    privileged: true
    ulimits: {core: 0}
    container_properties: {readonlyRootFilesystem: true}
"""

NAMES = sorted(["nat", *(file.stem for file in EXAMPLES.glob("*.yaml"))])
"""The deployments, each by the name of its example."""

SECOND = "second"
"""One more, beside `minimal` in one account, region and VPC; its images are never baked."""


@dataclass
class Account:
    """What an account held in one region at one instant.

    Attributes:
        environments: Batch's compute environments.
        queues: Batch's job queues.
        placement_groups: EC2's placement groups.
        endpoints: EC2's VPC endpoints.
        repositories: Names of ECR's repositories.
        event_rules: EventBridge's rules by name, each with its `Targets`.
        topics: SNS's topics: their attributes by name, each with its `Subscriptions`.
        budgets: Budgets of the account, of all regions.
        dashboards: Bodies of CloudWatch's dashboards by name, of all regions.
    """

    environments: list[dict[str, Any]]
    queues: list[dict[str, Any]]
    placement_groups: list[dict[str, Any]]
    endpoints: list[dict[str, Any]]
    repositories: set[str]
    event_rules: dict[str, dict[str, Any]]
    topics: dict[str, dict[str, Any]]
    budgets: list[dict[str, Any]]
    dashboards: dict[str, dict[str, Any]]


@dataclass
class Deployed:
    """A deployment from its first apply to its end.

    Attributes:
        cluster: What was deployed.
        first: What the first apply did, before any image was baked.
        first_environments: Names of its compute environments after that.
        waiting: The images that it asked for.
        amis: The AMI that was then recorded for each.
        second: What the second apply did. This and the next two are empty for `SECOND`.
        unchanged: Whether a plan after that showed no change.
        outputs: Its outputs at that time.
        stood: Its region when all deployments stood.
        imported: What an import from the account then made of it; None for `SECOND`.
        changed: What an apply with other tags did; None where that is not tried.
        refused: Terraform's answer to a destroy while something was protected; None where it
            printed nothing, or was not asked.
        left: Resources that are in the state after the destroy.
        calls: All that Terraform asked of AWS.
    """

    cluster: Cluster
    first: Changes = field(default_factory=dict)
    first_environments: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    amis: dict[str, str] = field(default_factory=dict)
    second: Changes = field(default_factory=dict)
    unchanged: bool = False
    outputs: dict[str, Any] = field(default_factory=dict)
    stood: Account | None = None
    imported: Adoption | None = None
    changed: Changes | None = None
    refused: str | None = None
    left: list[str] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)


@dataclass
class Deployments:
    """All of them.

    Attributes:
        before: What each region held before the first began, by region and kind.
        after: What it held after the last one's end.
        runs: Each by its name.
    """

    before: dict[str, dict[str, list[str]]]
    after: dict[str, dict[str, list[str]]]
    runs: dict[str, Future[Deployed]]

    def __getitem__(self, name: str) -> Deployed:
        """Return one of them; where it failed, the test that wants it fails with its error."""
        return self.runs[name].result()

    def stood(self, name: str) -> Account:
        """Return the region of one of them as it was when all of them stood."""
        stood = self[name].stood
        assert stood is not None
        return stood


def deploy_all(
    sandbox: Sandbox, env: dict[str, str], folders: pytest.TempPathFactory
) -> Deployments:
    """Deploy, change and destroy all of them in an emulated AWS."""
    sandbox.reset()
    texts = _texts(sandbox)
    clusters = {name: cluster_of(text) for name, text in texts.items()}
    regions = {cluster.spec.region for cluster in clusters.values()}
    before = {region: everything(sandbox, region) for region in regions}
    meeting = Barrier(len(texts))
    with ThreadPoolExecutor(len(texts)) as pool:
        runs = {
            name: pool.submit(
                _Run(clusters[name], text, folders.mktemp(name), sandbox, env, meeting).deploy
            )
            for name, text in texts.items()
        }
    after = {region: everything(sandbox, region) for region in regions}
    return Deployments(before, after, runs)


def cluster_of(text: str) -> Cluster:
    """Resolve a spec that no rule refuses."""
    return require(load_text(text.encode()), load_catalog())


class _Run:
    """One deployment from its first apply to its end, in a separate thread."""

    def __init__(
        self,
        cluster: Cluster,
        text: str,
        folder: Path,
        sandbox: Sandbox,
        env: dict[str, str],
        meeting: Barrier,
    ) -> None:
        self._cluster = cluster
        self._text = text
        self._folder = folder
        self._sandbox = sandbox
        self._env = env
        self._meeting = meeting

    def deploy(self) -> Deployed:
        """Walk it; where it fails, the others do not wait for it."""
        try:
            return self._deploy()
        except BaseException:
            self._meeting.abort()
            raise

    def _deploy(self) -> Deployed:
        found = Deployed(self._cluster)
        spec = found.cluster.spec
        with Recording(self._sandbox.endpoint) as recording:
            env = sandbox_environment(recording.endpoint, spec.region, self._env)
            # A state in a bucket has another key in any other than the default workspace.
            assert env.pop("TF_WORKSPACE") == WORKSPACE
            with Stack(self._folder, env) as stack:
                self._walk(stack, found)
        found.calls = recording.calls
        return found

    def _walk(self, stack: Stack, found: Deployed) -> None:
        spec = found.cluster.spec
        stack.render(self._text)
        found.first = stack.apply()
        found.first_environments = self._environments(spec)
        found.waiting = stack.outputs()["images_to_bake"]
        if spec.name != SECOND:
            found.amis = make_amis(self._sandbox, found.cluster)
            stack.record_amis(found.amis)
            found.second = stack.apply(refresh=False)
            found.unchanged = stack.unchanged()
            found.outputs = stack.outputs()
        self._meet()
        found.stood = _look(self._sandbox, spec.region)
        if spec.name != SECOND:
            found.imported = self._import(spec)
        self._meet()
        if "cost-center" in self._text:
            self._text = self._text.replace("cost-center", "grant")
            stack.render(self._text)
            found.changed = stack.apply()
        if "protect: true" in self._text:
            try:
                stack.destroy()
            except TerraformError as error:
                found.refused = str(error)
            stack.render(self._text.replace("protect: true", "protect: false"))
        stack.destroy()
        found.left = stack.resources()

    def _import(self, spec: Spec) -> Adoption:
        def connect(service: str, region: str) -> Any:
            return client(self._sandbox, service, region)

        inventory = read_account(name=spec.name, region=spec.region, connect=connect)
        return adopt(inventory, Wishes(name=spec.name), load_catalog())

    def _environments(self, spec: Spec) -> list[str]:
        batch = client(self._sandbox, "batch", spec.region)
        found = batch.describe_compute_environments()["computeEnvironments"]
        names = sorted(each["computeEnvironmentName"] for each in found)
        return [name for name in names if name.startswith(f"{spec.name}-")]

    def _meet(self) -> None:
        """Wait until every deployment stands; those of them that can, where one failed."""
        with suppress(BrokenBarrierError):
            self._meeting.wait()


def _look(sandbox: Sandbox, region: str) -> Account:
    batch, ec2, ecr = (client(sandbox, name, region) for name in ("batch", "ec2", "ecr"))
    return Account(
        batch.describe_compute_environments()["computeEnvironments"],
        batch.describe_job_queues()["jobQueues"],
        ec2.describe_placement_groups()["PlacementGroups"],
        ec2.describe_vpc_endpoints()["VpcEndpoints"],
        {each["repositoryName"] for each in ecr.describe_repositories()["repositories"]},
        *_messages(sandbox, region),
        client(sandbox, "budgets").describe_budgets(AccountId=ACCOUNT_ID)["Budgets"],
        _dashboards(sandbox),
    )


def _dashboards(sandbox: Sandbox) -> dict[str, dict[str, Any]]:
    cloudwatch = client(sandbox, "cloudwatch")
    names = [each["DashboardName"] for each in cloudwatch.list_dashboards()["DashboardEntries"]]
    return {
        name: json.loads(cloudwatch.get_dashboard(DashboardName=name)["DashboardBody"])
        for name in names
    }


def _messages(
    sandbox: Sandbox, region: str
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    events, sns = client(sandbox, "events", region), client(sandbox, "sns", region)
    rules = {
        each["Name"]: {**each, "Targets": events.list_targets_by_rule(Rule=each["Name"])["Targets"]}
        for each in events.list_rules()["Rules"]
    }
    topics = {
        arn.rpartition(":")[2]: {
            **sns.get_topic_attributes(TopicArn=arn)["Attributes"],
            "Subscriptions": sns.list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"],
        }
        for arn in (each["TopicArn"] for each in sns.list_topics()["Topics"])
    }
    return rules, topics


def _texts(sandbox: Sandbox) -> dict[str, str]:
    """Read the specs, and make what they expect to be there."""
    texts = {"nat": _NAT}
    texts |= {file.stem: file.read_text(encoding="utf-8") for file in EXAMPLES.glob("*.yaml")}
    # The default VPC of a region takes one endpoint for S3, and the tutorial's is there.
    texts["minimal"] = texts["minimal"].replace("us-east-1", "us-east-2")
    texts[SECOND] = (
        texts["minimal"].replace("name: minimal", f"name: {SECOND}") + "network: {endpoints: []}\n"
    )
    for name, text in texts.items():
        spec = load_text(text.encode()).require()
        if spec.state is not None:
            client(sandbox, "s3").create_bucket(Bucket=spec.state.bucket)
        for link in spec.storage.fsx.s3.values() if spec.storage.fsx else ():
            bucket = link.path.removeprefix("s3://").partition("/")[0]
            client(sandbox, "s3").create_bucket(Bucket=bucket)
        if spec.network.vpc.startswith("vpc-"):
            texts[name] = _with_existing_network(text, sandbox, spec)
        for environment in spec.environments.values():
            if environment.capacity and environment.capacity.block:
                ec2 = client(sandbox, "ec2", spec.region)
                block = make_block(ec2, environment.instance, environment.max_nodes)
                texts[name] = texts[name].replace(environment.capacity.block, block)
        if any(queue.legacy for queue in spec.queues.values()):
            _make_parts(sandbox, spec)
        for environment in spec.environments.values():
            if environment.image:
                made = client(sandbox, "ec2", spec.region).register_image(Name="own")
                texts[name] = texts[name].replace(environment.image, made["ImageId"])
    return texts


def _make_parts(sandbox: Sandbox, spec: Spec) -> None:
    """Make the compute environments and scheduling policies that the queues of a spec name."""
    batch, ec2, logs = (client(sandbox, name, spec.region) for name in ("batch", "ec2", "logs"))
    if spec.logs.group:
        logs.create_log_group(logGroupName=spec.logs.group)
    for environment in spec.environments.values():
        if isinstance(environment.placement_group, ExistingGroup):
            ec2.create_placement_group(
                GroupName=environment.placement_group.existing, Strategy="cluster"
            )
    for queue in spec.queues.values():
        for arn in queue.legacy:
            assert make_environment(sandbox, spec.region, arn.rpartition("/")[2]) == arn
        if queue.scheduling_policy:
            made = batch.create_scheduling_policy(
                name=queue.scheduling_policy.rpartition("/")[2],
                fairsharePolicy={"shareDistribution": []},
            )
            assert made["arn"] == queue.scheduling_policy


def _with_existing_network(text: str, sandbox: Sandbox, spec: Spec) -> str:
    ec2, efs, iam = (client(sandbox, name, spec.region) for name in ("ec2", "efs", "iam"))
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    made = {spec.network.vpc: vpc}
    for number, subnet in enumerate(spec.network.subnets):
        made[subnet] = ec2.create_subnet(
            VpcId=vpc,
            CidrBlock=f"10.9.{number}.0/24",
            AvailabilityZone=f"{spec.region}{'ab'[number]}",
        )["Subnet"]["SubnetId"]
    for table in spec.network.route_tables:
        made[table] = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    efs_group = spec.storage.efs.security_group
    assert efs_group is not None
    for number, group in enumerate([*spec.network.security_groups, efs_group]):
        made[group] = ec2.create_security_group(
            VpcId=vpc, GroupName=f"group-{number}", Description="existing"
        )["GroupId"]
    assert spec.storage.efs.id is not None
    system = efs.create_file_system(CreationToken="existing")["FileSystemId"]
    made[spec.storage.efs.id] = system
    efs.create_mount_target(
        FileSystemId=system,
        SubnetId=made[spec.network.subnets[0]],
        SecurityGroups=[made[efs_group]],
    )
    _make_roles(iam)
    for old, new in made.items():
        text = text.replace(old, new)
    return text.replace("storage:\n", f"storage:\n  fsx: {_existing_lustre(sandbox, spec, made)}\n")


def _existing_lustre(sandbox: Sandbox, spec: Spec, made: dict[str, str]) -> str:
    """Make a file system whose servers reach nothing but each other, and return its section."""
    ec2, fsx = (client(sandbox, name, spec.region) for name in ("ec2", "fsx"))
    group = ec2.create_security_group(
        VpcId=made[spec.network.vpc], GroupName="lustre", Description="existing"
    )["GroupId"]
    itself = [
        {
            "IpProtocol": "tcp",
            "FromPort": first,
            "ToPort": last,
            "UserIdGroupPairs": [{"GroupId": group}],
        }
        for first, last in ((988, 988), (1018, 1023))
    ]
    [there] = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]
    ec2.revoke_security_group_egress(GroupId=group, IpPermissions=there["IpPermissionsEgress"])
    for authorize in (ec2.authorize_security_group_ingress, ec2.authorize_security_group_egress):
        authorize(GroupId=group, IpPermissions=itself)
    system = fsx.create_file_system(
        FileSystemType="LUSTRE",
        FileSystemTypeVersion="2.15",
        StorageCapacity=1200,
        SubnetIds=[made[spec.network.subnets[0]]],
        SecurityGroupIds=[group],
        LustreConfiguration={"DeploymentType": "SCRATCH_2"},
    )["FileSystem"]["FileSystemId"]
    return f"{{id: {system}, security_group: {group}}}"


def _make_roles(iam: Any) -> None:
    """Make the roles that the example names; Batch refuses a service role without its policy."""
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole"}
    for role, service, policy in (
        ("AWSBatchServiceRole", "batch", "AWSBatchServiceRole"),
        ("ecsInstanceRole", "ec2", "AmazonEC2ContainerServiceforEC2Role"),
    ):
        principal = {"Principal": {"Service": f"{service}.amazonaws.com"}}
        document = {"Version": "2012-10-17", "Statement": [{**trust, **principal}]}
        iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps(document))
        iam.attach_role_policy(
            RoleName=role, PolicyArn=f"arn:aws:iam::aws:policy/service-role/{policy}"
        )
    iam.create_instance_profile(InstanceProfileName="ecsInstanceRole")
    iam.add_role_to_instance_profile(
        InstanceProfileName="ecsInstanceRole", RoleName="ecsInstanceRole"
    )
    allowed = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    iam.create_policy(
        PolicyName="department-boundary",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allowed]}),
    )


def everything(sandbox: Sandbox, region: str) -> dict[str, list[str]]:
    """List what a deployment could leave behind in a region, by kind."""

    def names(service: str, call: str, items: str, key: str, **arguments: Any) -> list[str]:
        api = client(sandbox, service, region)
        found = getattr(api, call)(**arguments)[items]
        # EC2 goes on showing for a while what is gone.
        return [item[key] for item in found if item.get("State") != "deleted"]

    found = {
        "environments": names(
            "batch",
            "describe_compute_environments",
            "computeEnvironments",
            "computeEnvironmentName",
        ),
        "queues": names("batch", "describe_job_queues", "jobQueues", "jobQueueName"),
        "templates": names(
            "ec2", "describe_launch_templates", "LaunchTemplates", "LaunchTemplateName"
        ),
        "groups": names("ec2", "describe_placement_groups", "PlacementGroups", "GroupName"),
        "security groups": names("ec2", "describe_security_groups", "SecurityGroups", "GroupName"),
        "endpoints": names("ec2", "describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId"),
        "nat": names("ec2", "describe_nat_gateways", "NatGateways", "NatGatewayId"),
        "addresses": names("ec2", "describe_addresses", "Addresses", "AllocationId"),
        "vpcs": names("ec2", "describe_vpcs", "Vpcs", "VpcId"),
        "subnets": names("ec2", "describe_subnets", "Subnets", "SubnetId"),
        "route tables": names("ec2", "describe_route_tables", "RouteTables", "RouteTableId"),
        "gateways": names(
            "ec2", "describe_internet_gateways", "InternetGateways", "InternetGatewayId"
        ),
        "file systems": names("efs", "describe_file_systems", "FileSystems", "FileSystemId"),
        "Lustre": names("fsx", "describe_file_systems", "FileSystems", "FileSystemId"),
        "links": names(
            "fsx", "describe_data_repository_associations", "Associations", "AssociationId"
        ),
        "repositories": names("ecr", "describe_repositories", "repositories", "repositoryName"),
        # AWS creates the service-linked one automatically, for the account, not a deployment.
        "roles": [
            role
            for role in names("iam", "list_roles", "Roles", "RoleName")
            if not role.startswith("AWSServiceRoleFor")
        ],
        "profiles": names(
            "iam", "list_instance_profiles", "InstanceProfiles", "InstanceProfileName"
        ),
        "policies": names("iam", "list_policies", "Policies", "PolicyName", Scope="Local"),
        "budgets": names(
            "budgets", "describe_budgets", "Budgets", "BudgetName", AccountId=ACCOUNT_ID
        ),
        "dashboards": names("cloudwatch", "list_dashboards", "DashboardEntries", "DashboardName"),
        "event rules": names("events", "list_rules", "Rules", "Name"),
        "topics": names("sns", "list_topics", "Topics", "TopicArn"),
        "log groups": names("logs", "describe_log_groups", "logGroups", "logGroupName"),
        "active job definitions": names(
            "batch",
            "describe_job_definitions",
            "jobDefinitions",
            "jobDefinitionName",
            status="ACTIVE",
        ),
    }
    return {kind: sorted(items) for kind, items in found.items()}
