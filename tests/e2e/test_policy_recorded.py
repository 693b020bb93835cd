"""The deployer's policy against what real Terraform asks of AWS, recorded call by call.

Enough: every call of an apply, of a change of tags and of a destroy is allowed, resource by
resource. Not too much: what is granted and never called has a reason in the code, and the policy of
another deployment in the same account and region allows none of the calls that change anything.
"""

from __future__ import annotations

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from mngen.catalog import load_catalog
from mngen.cluster import Cluster, resolve
from mngen.policy import UNSEEN, Part, documents
from mngen.render import Deployment, render
from mngen.rules import require
from mngen.sandbox import ACCOUNT_ID, WORKSPACE, sandbox_environment
from mngen.spec import load_text
from tests.support.authorization import Authorizer
from tests.support.iam import Request, actions, allows
from tests.support.recording import Call, Recording
from tests.support.sandbox import client

if TYPE_CHECKING:
    from mngen.sandbox import Sandbox

# One recording serves all tests here, so one worker runs them all.
pytestmark = pytest.mark.xdist_group("policy")

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

# What no example has: a new VPC with a NAT gateway, created roles, SSH, a boundary around a bucket.
NAT = """
name: nat
region: us-west-2
network:
  vpc: new
  zones: [us-west-2a, us-west-2b]
  ssh: {key_pair: mine, from: [10.0.0.0/8]}
storage: {bucket: inputs}
roles:
  service: create
  spot_fleet: create
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
  hello: {queue: mpi, nodes: 2, command: [hostname]}
"""


@dataclass
class Recorded:
    """A deployment with all that Terraform asked of AWS for it.

    Attributes:
        cluster: What was deployed.
        decisions: Each call, with what IAM would have decided on.
    """

    cluster: Cluster
    decisions: list[tuple[Call, list[Request]]]

    @property
    def seen(self) -> set[str]:
        """Every action that was needed."""
        return {request.action for _, requests in self.decisions for request in requests}


def cluster_of(text: str) -> Cluster:
    return require(load_text(text.encode()), load_catalog())


def texts(sandbox: Sandbox) -> dict[str, tuple[str, str | None]]:
    """Each spec, with the same one after a change of its tags where that is tried."""
    found: dict[str, tuple[str, str | None]] = {"nat": (NAT, None)}
    for file in sorted(EXAMPLES.glob("*.yaml")):
        text = file.read_text(encoding="utf-8").replace("protect: true", "protect: false")
        changed = None
        if file.stem == "minimal":
            # The default VPC of a region takes one endpoint for S3, and the tutorial's is there.
            text = text.replace("us-east-1", "us-east-2")
        if "cost-center" in text:
            changed = text.replace("cost-center", "grant")
        found[file.stem] = (text, changed)
    existing, _ = found["existing-network"]
    found["existing-network"] = (with_existing_things(existing, sandbox), None)
    return found


def with_existing_things(text: str, sandbox: Sandbox) -> str:
    """Make what a spec expects to be there, and put its ids into the text."""
    spec = load_text(text.encode()).require()
    ec2, iam = client(sandbox, "ec2", spec.region), client(sandbox, "iam", spec.region)
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    ids = {spec.network.vpc: vpc}
    for number, subnet in enumerate(spec.network.subnets):
        made = ec2.create_subnet(
            VpcId=vpc,
            CidrBlock=f"10.9.{number}.0/24",
            AvailabilityZone=f"{spec.region}{'ab'[number]}",
        )
        ids[subnet] = made["Subnet"]["SubnetId"]
    for table in spec.network.route_tables:
        ids[table] = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    efs = spec.storage.efs
    assert efs.id is not None
    assert efs.security_group is not None
    for group in (*spec.network.security_groups, efs.security_group):
        made = ec2.create_security_group(GroupName=group[3:], Description="existing", VpcId=vpc)
        ids[group] = made["GroupId"]
    file_system = client(sandbox, "efs", spec.region).create_file_system(CreationToken="existing")
    ids[efs.id] = file_system["FileSystemId"]
    for name in ("AWSBatchServiceRole", "ecsInstanceRole"):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument="{}")
    iam.attach_role_policy(
        RoleName="AWSBatchServiceRole",
        PolicyArn="arn:aws:iam::aws:policy/service-role/AWSBatchServiceRole",
    )
    iam.create_instance_profile(InstanceProfileName="ecsInstanceRole")
    iam.add_role_to_instance_profile(
        InstanceProfileName="ecsInstanceRole", RoleName="ecsInstanceRole"
    )
    iam.create_policy(
        PolicyName="department-boundary",
        PolicyDocument=json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [{"Effect": "Allow", "Action": "batch:*", "Resource": "*"}],
            }
        ),
    )
    for old, new in ids.items():
        text = text.replace(old, new)
    return text


def record(
    cluster: Cluster, changed: Cluster | None, folder: Path, endpoint: str, env: dict[str, str]
) -> list[Call]:
    """Apply, change and destroy a deployment; return all that was asked of AWS."""
    deploy = Deployment(folder)
    deploy.write(render(cluster, provider=5))
    root = folder / "terraform"
    amis = {image: {"id": "ami-0123456789abcdef0"} for image in cluster.images}
    (root / "amis.auto.tfvars.json").write_text(json.dumps({"amis": amis}), encoding="utf-8")
    with Recording(endpoint) as recording:
        own = sandbox_environment(recording.endpoint, cluster.spec.region, env)
        # A state in a bucket has another key in any other than the default workspace.
        assert own.pop("TF_WORKSPACE") == WORKSPACE
        terraform(root, own, "init")
        terraform(root, own, "apply", "-auto-approve")
        if changed is not None:
            deploy.write(render(changed, provider=5))
            terraform(root, own, "apply", "-auto-approve")
        terraform(root, own, "destroy", "-auto-approve")
    return recording.calls


def terraform(folder: Path, env: dict[str, str], *arguments: str) -> None:
    done = subprocess.run(
        ["terraform", *arguments, "-no-color"],
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:]


@pytest.fixture(scope="module")
def recorded(
    sandbox: Sandbox,
    terraform_env: dict[str, str],
    requires_provider: None,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Recorded]:
    """Every example and one more, all at a time in one account: Terraform mostly waits."""
    sandbox.reset()
    found = texts(sandbox)
    clusters = {
        name: (cluster_of(text), cluster_of(changed) if changed else None)
        for name, (text, changed) in found.items()
    }
    for cluster, _ in clusters.values():
        if cluster.spec.state:
            client(sandbox, "s3").create_bucket(Bucket=cluster.spec.state.bucket)
    with ThreadPoolExecutor(len(clusters)) as pool:
        runs = {
            name: pool.submit(
                record,
                cluster,
                changed,
                tmp_path_factory.mktemp(name),
                sandbox.endpoint,
                terraform_env,
            )
            for name, (cluster, changed) in clusters.items()
        }
        results = {}
        for name, run in runs.items():
            authorizer = Authorizer(ACCOUNT_ID)
            decisions = [(call, authorizer.requests(call)) for call in run.result()]
            results[name] = Recorded(clusters[name][0], decisions)
    return results


NAMES = sorted(["nat", *(file.stem for file in EXAMPLES.glob("*.yaml"))])


@pytest.mark.parametrize("name", NAMES)
def test_the_policy_allows_all_that_terraform_asks(
    name: str, recorded: dict[str, Recorded]
) -> None:
    each = recorded[name]
    policies = documents(Part.DEPLOYER, each.cluster, ACCOUNT_ID)
    assert len(each.decisions) > 100
    assert len(each.seen) > 40
    denied = [
        (call.operation, request)
        for call, requests in each.decisions
        for request in requests
        if not allows(policies, request)
    ]
    assert denied == []


@pytest.mark.parametrize("name", NAMES)
def test_what_terraform_never_asks_has_a_reason(name: str, recorded: dict[str, Recorded]) -> None:
    each = recorded[name]
    granted = actions(documents(Part.DEPLOYER, each.cluster, ACCOUNT_ID))
    assert granted - each.seen - UNSEEN.keys() == set()


def test_no_reason_is_for_what_terraform_always_asks(recorded: dict[str, Recorded]) -> None:
    always = set.intersection(*(each.seen for each in recorded.values()))
    assert always & UNSEEN.keys() == set()


@pytest.mark.parametrize("name", NAMES)
def test_another_deployments_policy_allows_no_change(
    name: str, recorded: dict[str, Recorded]
) -> None:
    each = recorded[name]
    spec = each.cluster.spec
    other = resolve(msgspec.structs.replace(spec, name="other"), load_catalog())
    policies = documents(Part.DEPLOYER, other, ACCOUNT_ID)
    changes = [
        (call, requests)
        for call, requests in each.decisions
        if requests
        and not call.operation.startswith(("Describe", "Get", "Head", "List"))
        # The group of an existing file system is both deployments' to open and close.
        and call.values.get("GroupId") != (spec.storage.efs.security_group or "none")
    ]
    assert len(changes) > 30
    allowed = [
        call.operation
        for call, requests in changes
        if all(allows(policies, request) for request in requests)
    ]
    assert allowed == []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("part", [Part.BAKER, Part.SUBMITTER])
def test_the_other_parts_can_change_nothing_that_terraform_made(
    name: str, part: Part, recorded: dict[str, Recorded]
) -> None:
    each = recorded[name]
    policies = documents(part, each.cluster, ACCOUNT_ID)
    allowed = {
        call.operation
        for call, requests in each.decisions
        if requests
        and not call.operation.startswith(("Describe", "Get", "Head", "List"))
        and all(allows(policies, request) for request in requests)
    }
    assert allowed == set()
