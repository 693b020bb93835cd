"""The policies as documents: sound by AWS's own tables, no wider than a spec needs, in size."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.session import Session

from mngen._budget_action import execute_command
from mngen.catalog import load_catalog
from mngen.cluster import (
    creates_execution_role,
    denied_submitters,
    efa_installer,
    pulled_repositories,
    resolve,
)
from mngen.cluster.names import partition_of
from mngen.errors import InputError
from mngen.policy import (
    MAX_CHARACTERS,
    UNSEEN,
    Part,
    account_of,
    characters,
    documents,
    policy,
    split,
)
from mngen.rules import aws_calls, open_cluster
from mngen.rules.account._budget import SubmissionsOpen
from mngen.spec import Fsx, load_text
from tests.support.authorization import linked
from tests.support.iam import Request, action_named, actions, allows, matches, overlap
from tests.support.specs import make_spec, pairwise, to_yaml

if TYPE_CHECKING:
    from mngen.cluster import Cluster

ACCOUNT = "123456789012"
EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
DOCS = EXAMPLES.with_name("docs")
SPECS = Path(__file__).resolve().parents[2] / "specs"

# Actions that the tables name as dependencies, and that nothing here asks for.
NOT_NEEDED = {
    # Of a final backup of FSx for Lustre, which is not asked for.
    "fsx:CreateBackup",
    # Of budgets with a billing view, which those of mngen do not have.
    "billing:GetBillingViewData",
    # Of launch templates and machines whose image is named as `resolve:ssm:…`; ours are ids.
    "ssm:GetParameters",
    # Of resource groups that are queries. Capacity reservations are members of theirs, and
    # ParallelCluster's policy for those has neither (cloudformation/policies).
    "cloudformation:DescribeStacks",
    "cloudformation:ListStackResources",
    "tag:GetResources",
    # Of quotas of services other than EC2.
    "autoscaling:DescribeAccountLimits",
    "cloudformation:DescribeAccountLimits",
    "dynamodb:DescribeLimits",
    "elasticloadbalancing:DescribeAccountLimits",
    "iam:GetAccountSummary",
    "kinesis:DescribeLimits",
    "rds:DescribeAccountAttributes",
    "route53:GetAccountLimit",
}


def cluster_of(text: str) -> Cluster:
    return resolve(load_text(text.encode()).require(), load_catalog())


@lru_cache
def example(name: str, region: str | None = None) -> Cluster:
    text = (EXAMPLES / f"{name}.yaml").read_text(encoding="utf-8")
    return cluster_of(text if region is None else text.replace("us-east-1", region))


def minimal(more: str = "") -> Cluster:
    return cluster_of((EXAMPLES / "minimal.yaml").read_text(encoding="utf-8") + more)


def reserved(group: str) -> Cluster:
    """Returns a deployment in a resource group of capacity reservations."""
    text = (EXAMPLES / "minimal.yaml").read_text(encoding="utf-8")
    assert text.count("max_nodes:") == 1
    return cluster_of(text.replace("max_nodes:", f"capacity: {{group: {group}}}, max_nodes:"))


def test_policies_follow_what_definitions_in_files_name() -> None:
    cluster = open_cluster(SPECS / "definitions.yaml")
    arn = "arn:aws:{}:eu-west-1:123456789012:{}"
    submitter = [policy(Part.SUBMITTER, cluster, ACCOUNT)]
    for group, allowed in (("/coupled/worker", True), ("/aws/batch/job", True), ("/a", False)):
        read = Request("logs:GetLogEvents", arn.format("logs", f"log-group:{group}:log-stream:a"))
        assert allows(submitter, read) is allowed, group
    for repository, allowed in (("coupled", True), ("post", False)):
        look = Request("ecr:DescribeImages", arn.format("ecr", f"repository/{repository}"))
        assert allows(submitter, look) is allowed, repository
    deployer = [policy(Part.DEPLOYER, cluster, ACCOUNT)]
    to = {"iam:PassedToService": "ecs-tasks.amazonaws.com"}
    for role, allowed in (("coupled-job", True), ("coupled-execution", True), ("other", False)):
        passed = Request("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/{role}", to)
        assert allows(deployer, passed) is allowed, role


def test_a_submitter_may_look_for_every_image_of_the_spec() -> None:
    """The service asks for it for each repository:
    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerregistry.html.
    """
    registry = "999999999999.dkr.ecr.us-west-2.amazonaws.com"
    cluster = cluster_of(f"""\
name: coupled
region: us-east-1
environments:
  r5: {{instance: r5.12xlarge, max_nodes: 4, zones: [us-east-1a]}}
queues:
  mpi: {{environments: [r5]}}
container: {{image: "{registry}/common:1"}}
jobs:
  post: {{queue: mpi, command: [hostname], image: "{registry}/tools/post@sha256:{"0" * 64}"}}
  coupled:
    queue: mpi
    nodes: 2
    command: [hostname]
    groups:
      ocean: {{nodes: "0:0"}}
      ice: {{nodes: "1:", image: "{registry}/ice:1"}}
""")
    submitter = [policy(Part.SUBMITTER, cluster, ACCOUNT)]
    for repository, allowed in (
        ("common", True),
        ("tools/post", True),
        ("ice", True),
        ("other", False),
    ):
        arn = f"arn:aws:ecr:us-west-2:999999999999:repository/{repository}"
        assert allows(submitter, Request("ecr:DescribeImages", arn)) is allowed, repository


@lru_cache
def specimens() -> list[Cluster]:
    """Few clusters in which every option of a feature meets every option of another."""
    specs = [load_text(to_yaml(make_spec(choice))).require() for choice in pairwise()]
    return [resolve(spec, load_catalog()) for spec in specs]


def granted(part: Part, cluster: Cluster) -> set[str]:
    return actions([policy(part, cluster, ACCOUNT)])


def statements(part: Part, cluster: Cluster) -> dict[str, Any]:
    return {each["Sid"]: each for each in policy(part, cluster, ACCOUNT)["Statement"]}


@pytest.mark.parametrize("part", Part)
def test_every_statement_means_something_to_aws(part: Part) -> None:
    """Each action exists, each resource is one that it touches, each key one that it knows."""
    for cluster in specimens():
        document = policy(part, cluster, ACCOUNT)
        sids = [statement["Sid"] for statement in document["Statement"]]
        assert len(set(sids)) == len(sids)
        for statement in document["Statement"]:
            assert statement["Sid"].isalnum()
            keys = {key for keys in statement.get("Condition", {}).values() for key in keys}
            for name in statement["Action"]:
                assert "*" not in name
                action = action_named(name)
                if statement["Resource"] == ["*"]:
                    assert not action.types, f"{name} can be scoped"
                    assert all(known(key, action.keys) for key in keys), (name, keys)
                    continue
                assert "*" not in statement["Resource"]
                touched = [
                    kind
                    for kind in action.types
                    if any(overlap(kind.arn, pattern) for pattern in statement["Resource"])
                ]
                assert any(all(known(key, kind.keys) for key in keys) for kind in touched), (
                    f"{statement['Sid']}: {name} never holds"
                )


@pytest.mark.parametrize("part", Part)
def test_no_resource_is_named_in_vain(part: Part) -> None:
    for cluster in specimens():
        for statement in policy(part, cluster, ACCOUNT)["Statement"]:
            kinds = [kind.arn for name in statement["Action"] for kind in action_named(name).types]
            for pattern in statement["Resource"]:
                assert pattern == "*" or any(overlap(kind, pattern) for kind in kinds), pattern


@pytest.mark.parametrize("part", Part)
def test_every_action_reaches_all_that_it_touches(part: Part) -> None:
    for cluster in specimens():
        document = policy(part, cluster, ACCOUNT)
        for name in actions([document]):
            for kind in action_named(name).types:
                if not kind.required:
                    continue
                assert any(
                    overlap(kind.arn, pattern)
                    for statement in document["Statement"]
                    if name in statement["Action"]
                    for pattern in statement["Resource"]
                ), f"{name} reaches no {kind.name}"


@pytest.mark.parametrize("part", Part)
def test_what_an_action_needs_besides_is_granted(part: Part) -> None:
    for cluster in specimens():
        names = granted(part, cluster)
        spared = NOT_NEEDED
        if set(cluster.spec.network.endpoints) <= {"s3"}:
            # A gateway has no private names.
            spared = spared | {"route53:AssociateVPCWithHostedZone"}
        for name in names:
            missing = action_named(name).depends - names - spared
            if name == "budgets:ModifyBudget":
                # Of budgets with a billing view of another account:
                # https://docs.aws.amazon.com/cost-management/latest/userguide/budgets-SLR.html
                missing -= {"iam:CreateServiceLinkedRole"}
            assert not missing, f"{name} needs {missing}"


def known(key: str, keys: frozenset[str]) -> bool:
    everywhere = {"aws:RequestedRegion"}
    return key in everywhere or any(matches(each, key) for each in keys)


@pytest.mark.parametrize("part", Part)
def test_each_document_fits_and_all_hold_the_whole(part: Part) -> None:
    for cluster in specimens():
        whole = policy(part, cluster, ACCOUNT)
        parts = documents(part, cluster, ACCOUNT)
        assert all(characters(each) <= MAX_CHARACTERS for each in parts)
        assert [s for each in parts for s in each["Statement"]] == whole["Statement"]
        # As few as the length of the whole allows, or one more.
        assert len(parts) <= characters(whole) // MAX_CHARACTERS + 2


@pytest.mark.parametrize("part", Part)
def test_the_longest_names_fit_too(part: Part) -> None:
    text = (EXAMPLES / "tutorial.yaml").read_text(encoding="utf-8")
    policies = ", ".join(f"arn:aws:iam::{ACCOUNT}:policy/{n}{'p' * 255}" for n in range(10))
    further = ", ".join(f"arn:aws:iam::{ACCOUNT}:policy/{n}{'i' * 255}" for n in range(9))
    cluster = cluster_of(
        text.replace("name: tutorial", f"name: {'n' * 24}").replace(
            "spot_fleet: create",
            f"spot_fleet: create\n  service: create\n  job_policies: [{policies}]\n"
            f"  instance_policies: [{further}]\n"
            f"  permissions_boundary: arn:aws:iam::{ACCOUNT}:policy/{'b' * 256}",
        )
        + f"state: {{bucket: {'b' * 63}, key: {'k' * 512}}}\n"
    )
    for each in documents(part, cluster, ACCOUNT):
        assert characters(each) <= MAX_CHARACTERS


@pytest.mark.parametrize("part", Part)
def test_equal_input_gives_an_equal_policy(part: Part) -> None:
    one, other = minimal(), minimal()
    assert repr(policy(part, one, ACCOUNT)) == repr(policy(part, other, ACCOUNT))


def test_a_statement_too_long_for_any_document_is_refused() -> None:
    with pytest.raises(ValueError, match="Batch alone"):
        split({"Version": "x", "Statement": [{"Sid": "Batch", "Resource": ["r" * 100]}]}, 50)


def test_white_space_does_not_count_but_every_other_character_does() -> None:
    assert characters({"a": ["b", "é"]}) == len('{"a":["b","é"]}')


@pytest.mark.parametrize("part", [Part.DEPLOYER, Part.BAKER])
def test_the_checks_that_ask_aws_are_covered(part: Part) -> None:
    everything = minimal(
        "state: {bucket: my-state}\nroles: {service: create}\n"
        "image: {efa_installer: s3://my-software/efa/}\n"
        "storage: {fsx: {id: fs-0a1b2c3d4e5f60718}}\n"
        "notify: {emails: [lab@example.org]}\n"
        "budget: {monthly: 1, emails: [lab@example.org], deny_submit:"
        " {roles: [a], groups: [a], users: [a]}}\n"
    )
    given = example("existing-network")
    names = granted(part, everything) | granted(part, given) | granted(part, reserved("lab"))
    # Who one is, AWS tells everyone.
    assert set(aws_calls()) - names == {"sts:GetCallerIdentity"}


def test_a_topic_that_exists_is_not_changed() -> None:
    topic = f"arn:aws:sns:us-east-1:{ACCOUNT}:department"
    policies = documents(Part.DEPLOYER, minimal(f"notify: {{topic: '{topic}'}}\n"), ACCOUNT)
    assert allows(policies, Request("sns:GetTopicAttributes", topic))
    assert {each for each in actions(policies) if each.startswith("sns:")} == {
        "sns:GetTopicAttributes",
        "sns:ListSubscriptionsByTopic",
    }
    without = granted(Part.DEPLOYER, minimal())
    assert not any(each.startswith(("events:", "sns:")) for each in without)


def test_the_retention_of_output_may_change_to_any() -> None:
    """The provider puts days, and deletes the setting for `never`, as its source shows.

    https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/logs/group.go
    """
    policies = documents(Part.DEPLOYER, minimal("logs: {retention: never}\n"), ACCOUNT)
    group = f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:/mngen/minimal/jobs"
    for action in ("logs:PutRetentionPolicy", "logs:DeleteRetentionPolicy"):
        assert allows(policies, Request(action, group))
        assert not allows(policies, Request(action, group.replace("minimal", "other")))


@pytest.mark.parametrize("part", [Part.DEPLOYER, Part.BAKER])
def test_reserved_capacity_is_looked_at_where_the_spec_names_it(part: Part) -> None:
    arn = f"arn:aws:resource-groups:us-east-1:{ACCOUNT}:group/lab"
    for group in ("lab", arn):
        found = statements(part, reserved(group))
        assert found["CheckReservationGroups"]["Resource"] == [arn]
        assert "ec2:DescribeCapacityReservations" in found["Look"]["Action"]
    without = granted(part, minimal()) | granted(Part.SUBMITTER, minimal())
    assert not any("Reservation" in each or "resource-groups" in each for each in without)
    assert "ec2:DescribeCapacityReservations" in granted(Part.SUBMITTER, reserved("lab"))
    assert not any("resource-groups" in each for each in granted(Part.SUBMITTER, reserved("lab")))


def test_the_checks_may_look_at_the_roles_that_the_spec_names() -> None:
    found = statements(Part.DEPLOYER, example("existing-network"))
    assert found["CheckRoles"]["Resource"] == [f"arn:aws:iam::{ACCOUNT}:role/AWSBatchServiceRole"]
    assert found["CheckProfile"]["Resource"] == [
        f"arn:aws:iam::{ACCOUNT}:instance-profile/ecsInstanceRole"
    ]
    assert found["CheckPolicies"]["Resource"] == [
        "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess",
        f"arn:aws:iam::{ACCOUNT}:policy/department-boundary",
    ]


def test_no_vpc_is_made_where_one_is_there() -> None:
    for cluster in (minimal(), example("existing-network")):
        names = granted(Part.DEPLOYER, cluster)
        assert not {name for name in names if name.endswith(("Vpc", "Subnet", "Gateway", "Route"))}
        assert not {name for name in names if "Address" in name}


def test_no_nat_gateway_is_made_where_none_is_wanted() -> None:
    without = granted(Part.DEPLOYER, example("private-network"))
    with_nat = granted(Part.DEPLOYER, minimal("network: {vpc: new}\n"))
    assert {"ec2:CreateVpc", "ec2:CreateSubnet"} <= without
    assert not {"ec2:CreateNatGateway", "ec2:AllocateAddress", "ec2:CreateRoute"} & without
    assert {"ec2:CreateNatGateway", "ec2:AllocateAddress", "ec2:CreateRoute"} <= with_nat


def test_an_existing_file_system_is_only_looked_at() -> None:
    cluster = example("existing-network")
    names = granted(Part.DEPLOYER, cluster)
    assert {name for name in names if name.startswith("elasticfilesystem:")} == {
        "elasticfilesystem:DescribeAccessPoints",
        "elasticfilesystem:DescribeFileSystemPolicy",
        "elasticfilesystem:DescribeFileSystems",
        "elasticfilesystem:DescribeLifecycleConfiguration",
        "elasticfilesystem:DescribeMountTargetSecurityGroups",
        "elasticfilesystem:DescribeMountTargets",
    }
    assert "ec2:CreateNetworkInterface" not in names
    group = statements(Part.DEPLOYER, cluster)["MountTargetGroup"]
    assert group["Resource"] == [
        f"arn:aws:ec2:eu-central-1:{ACCOUNT}:security-group/sg-0b1c2d3e4f5a60718"
    ]


def test_an_image_elsewhere_needs_no_registry() -> None:
    # The importer works without a spec.
    for part in set(Part) - {Part.IMPORTER}:
        names = granted(part, example("existing-network"))
        assert not {name for name in names if name.startswith("ecr:")}


def test_names_and_parts_that_existed_before_are_listed() -> None:
    """A deployer may change the queue, and put into it what the spec names; nothing else."""
    documents = [policy(Part.DEPLOYER, example("adopted"), ACCOUNT)]
    batch = f"arn:aws:batch:eu-west-1:{ACCOUNT}:"
    old = f"{batch}compute-environment/WAVE_ON_DEMAND_MAXCPU_24"
    for action, resource, allowed in (
        ("batch:UpdateJobQueue", f"{batch}job-queue/WaveQueue_MAX_24", True),
        ("batch:TagResource", f"{batch}job-queue/WaveQueue_MAX_24", True),
        ("batch:UpdateJobQueue", f"{batch}job-queue/WaveQueue_MAX_48", False),
        ("batch:RegisterJobDefinition", f"{batch}job-definition/wave_multi_node", True),
        ("batch:DeregisterJobDefinition", f"{batch}job-definition/wave_multi_node:3", True),
        ("batch:UpdateJobQueue", old, True),
        ("batch:DeleteComputeEnvironment", old, False),
        ("batch:UpdateComputeEnvironment", old, False),
        ("batch:UpdateJobQueue", f"{batch}scheduling-policy/fair", True),
        ("ecr:TagResource", f"arn:aws:ecr:eu-west-1:{ACCOUNT}:repository/wave_mpi", True),
        ("ecr:DeleteRepository", f"arn:aws:ecr:eu-west-1:{ACCOUNT}:repository/wave/mpi", False),
    ):
        assert allows(documents, Request(action, resource)) is allowed, (action, resource)
    role = f"arn:aws:iam::{ACCOUNT}:role/wave-jobs"
    passed = Request("iam:PassRole", role, {"iam:PassedToService": "ecs-tasks.amazonaws.com"})
    assert allows(documents, passed)
    reading = [policy(Part.SUBMITTER, example("adopted"), ACCOUNT)]
    stream = f"arn:aws:logs:eu-west-1:{ACCOUNT}:log-group:/aws/batch/job:log-stream:wave/default/1"
    assert allows(reading, Request("logs:GetLogEvents", stream))
    assert not allows(reading, Request("logs:GetLogEvents", stream.replace("/job:", "/jobs:")))
    pushing = [policy(Part.BAKER, example("adopted"), ACCOUNT)]
    images = f"arn:aws:ecr:eu-west-1:{ACCOUNT}:repository/wave_mpi"
    assert allows(pushing, Request("ecr:PutImage", images))


def test_endpoints_are_made_only_where_asked_for() -> None:
    none = granted(Part.DEPLOYER, minimal("network: {endpoints: []}\n"))
    gateway = granted(Part.DEPLOYER, minimal())
    interface = granted(Part.DEPLOYER, example("private-network"))
    assert "ec2:CreateVpcEndpoint" not in none
    assert "ec2:CreateVpcEndpoint" in gateway
    assert "route53:AssociateVPCWithHostedZone" not in gateway
    assert "route53:AssociateVPCWithHostedZone" in interface


def test_links_reach_what_fsx_asks_for_and_nothing_beside_it() -> None:
    """FSx asks in the caller's name, for a link that only imports as well."""
    cluster = open_cluster(SPECS / "lustre.yaml")
    documents = [policy(Part.DEPLOYER, cluster, ACCOUNT)]
    paths = [link.path for link in (cluster.spec.storage.fsx or Fsx()).s3.values()]
    assert sorted(paths) == ["s3://my-cases/wing", "s3://my-results/"]
    asked = [request for path in paths for request in linked(path)]
    assert len(asked) > 80
    assert [each for each in asked if not allows(documents, each)] == []
    for path in ("s3://other/", "s3://my-cases/wing2", "s3://my-cases/"):
        objects = [each for each in linked(path) if "/" in each.resource]
        assert not any(allows(documents, each) for each in objects)
    names = {each.action for each in asked}
    changing = {each for each in actions(documents) if each.startswith("s3:")} - names
    assert changing == set()
    assert not {each for each in granted(Part.DEPLOYER, minimal()) if each.startswith("s3:")}


def test_roles_are_no_way_to_more_rights() -> None:
    for cluster in specimens():
        found = statements(Part.DEPLOYER, cluster)
        names = granted(Part.DEPLOYER, cluster)
        assert "iam:DeleteRolePermissionsBoundary" not in names
        denied = denied_submitters(cluster.spec)
        makes_policies = bool(names & {"iam:CreatePolicy", "iam:CreatePolicyVersion"})
        assert makes_policies == (denied is not None and denied.policy is None)
        if makes_policies:
            [pattern] = found["DenySubmitPolicy"]["Resource"]
            assert pattern.endswith(f":policy/{cluster.spec.name}-deny-submit-*")
        put = {
            arn
            for statement in found.values()
            if "iam:PutRolePolicy" in statement["Action"]
            for arn in statement["Resource"]
        }
        # FSx has the role of a link to S3 made in the caller's name.
        linked = {arn for arn in put if ":role/aws-service-role/s3.data-source.lustre.fsx" in arn}
        fsx = cluster.spec.storage.fsx
        assert bool(linked) == (fsx is not None and fsx.id is None and bool(fsx.s3))
        put -= linked
        creates = cluster.spec.roles.job == "create"
        shells = any(
            job.shell and job.role is None and job.definition is None
            for job in cluster.spec.jobs.values()
        )
        own = creates and (cluster.spec.storage.bucket is not None or shells)
        assert any("-job-" in arn for arn in put) == own
        installer = efa_installer(cluster) is not None or bool(pulled_repositories(cluster))
        mounts = cluster.spec.storage.efs.iam and cluster.spec.roles.instance_profile == "create"
        assert any("-builder-" in arn for arn in put) == (installer or mounts)
        assert any("-instance-" in arn for arn in put) == mounts
        secrets = creates_execution_role(cluster.spec)
        assert any("-execution-" in arn for arn in put) == secrets
        attaches = denied is not None and denied.role is None
        assert any("-budget-" in arn for arn in put) == attaches
        assert len(put) == sum((own, installer or mounts, mounts, secrets, attaches))
        if policies := found.get("RolePolicies"):
            attached = policies["Condition"]["ArnEquals"]["iam:PolicyARN"]
            assert not any("*" in arn for arn in attached)
            assert set(cluster.spec.roles.job_policies) <= set(attached)
            assert set(cluster.spec.roles.instance_policies) <= set(attached)
        if boundary := cluster.spec.roles.permissions_boundary:
            assert found["RoleCreate"]["Condition"] == {
                "StringEquals": {"iam:PermissionsBoundary": [boundary]}
            }
        for arn in found["PassRoles"]["Resource"]:
            assert not arn.endswith("role/*")
        services = found["PassRoles"]["Condition"]["StringEquals"]["iam:PassedToService"]
        assert ("budgets.amazonaws.com" in services) == (denied is not None)
        assert set(services) <= {
            "batch.amazonaws.com",
            "budgets.amazonaws.com",
            "ec2.amazonaws.com",
            "ecs-tasks.amazonaws.com",
            "spotfleet.amazonaws.com",
        }


@pytest.mark.parametrize("boundary", [None, f"arn:aws:iam::{ACCOUNT}:policy/department"])
def test_only_the_jobs_role_gets_a_policy_of_its_own(boundary: str | None) -> None:
    roles = f"roles: {{permissions_boundary: {boundary}}}\n" if boundary else ""
    cluster = minimal("storage: {bucket: my-inputs}\n" + roles)
    found = statements(Part.DEPLOYER, cluster)
    holders = [
        sid
        for sid, each in found.items()
        if {"iam:DeleteRolePolicy", "iam:PutRolePolicy"} & set(each["Action"])
    ]
    assert holders == ["JobPolicy"]
    job = [f"arn:aws:iam::{ACCOUNT}:role/{cluster.spec.name}-job-*"]
    assert found["JobPolicy"]["Resource"] == found["JobPolicyRead"]["Resource"] == job
    # Whatever it says, it allows no more than the boundary does.
    condition = {"StringEquals": {"iam:PermissionsBoundary": [boundary]}} if boundary else None
    assert found["JobPolicy"].get("Condition") == condition


def test_the_execution_role_gets_a_policy_of_its_own() -> None:
    jobs = "jobs: {a: {queue: mpi, nodes: 2, command: [a], secrets: {TOKEN: /lab/token}}}\n"
    text = (EXAMPLES / "minimal.yaml").read_text("utf-8").partition("\njobs:")[0] + "\n" + jobs
    found = statements(Part.DEPLOYER, cluster_of(text))
    name = found["ExecutionPolicy"]["Resource"][0].rpartition("role/")[2]
    assert name.endswith("-execution-*")
    # The role of the spec is passed, and nothing is written to it.
    own = f"arn:aws:iam::{ACCOUNT}:role/lab-execution"
    text += f"roles: {{execution: {own}}}\n"
    found = statements(Part.DEPLOYER, cluster_of(text))
    assert "ExecutionPolicy" not in found
    assert own in found["PassRoles"]["Resource"]
    assert own in found["CheckRoles"]["Resource"]


def test_roles_that_mount_with_iam_get_a_policy_of_their_own() -> None:
    efs = "id: fs-0123456789abcdef0, access_point: fsap-0123456789abcdef0"
    group = "security_group: sg-0123456789abcdef0"
    cluster = minimal(f"storage: {{efs: {{iam: true, {efs}, {group}}}}}\n")
    found = statements(Part.DEPLOYER, cluster)
    roles = f"arn:aws:iam::{ACCOUNT}:role/{cluster.spec.name}"
    assert found["MountPolicy"]["Resource"] == [f"{roles}-builder-*", f"{roles}-instance-*"]
    for part in (Part.DEPLOYER, Part.BAKER):
        looked = statements(part, cluster)["CheckFileSystem"]["Resource"]
        assert [arn.split(":", 5)[5] for arn in looked] == [
            "file-system/fs-0123456789abcdef0",
            "access-point/fsap-0123456789abcdef0",
        ]


def test_roles_are_passed_only_to_the_services_that_the_spec_uses() -> None:
    def passed_to(cluster: Cluster) -> list[str]:
        condition = statements(Part.DEPLOYER, cluster)["PassRoles"]["Condition"]
        services: list[str] = condition["StringEquals"]["iam:PassedToService"]
        return [service.partition(".")[0] for service in services]

    # Batch in any case: callers are asked for the right to pass instance and job roles to it.
    assert passed_to(minimal()) == ["batch", "ec2", "ecs-tasks"]
    assert passed_to(example("existing-network")) == ["batch", "ec2", "ecs-tasks"]
    assert passed_to(example("tutorial")) == ["batch", "ec2", "ecs-tasks", "spotfleet"]


def test_service_linked_roles_are_those_that_the_spec_brings_about() -> None:
    def services(cluster: Cluster) -> list[str]:
        statement = statements(Part.DEPLOYER, cluster).get("ServiceLinkedRoles")
        if statement is None:
            return []
        names: list[str] = statement["Condition"]["StringEquals"]["iam:AWSServiceName"]
        assert statement["Resource"] == [
            f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/{name}/*" for name in names
        ]
        return [name.partition(".")[0] for name in names]

    assert services(minimal()) == ["batch", "elasticfilesystem"]
    assert services(example("existing-network")) == []
    assert services(example("tutorial")) == ["batch", "elasticfilesystem", "spot", "spotfleet"]


def test_the_state_is_never_deleted_and_its_lock_is() -> None:
    found = statements(Part.DEPLOYER, example("private-network"))
    state = "arn:aws:s3:::climate-terraform-state/mngen/private/terraform.tfstate"
    assert found["StateWrite"]["Resource"] == [state]
    assert found["StateWrite"]["Action"] == ["s3:PutObject"]
    deleting = [each for each in found.values() if "s3:DeleteObject" in each["Action"]]
    assert [each["Resource"] for each in deleting] == [[f"{state}.tflock"]]
    prefixes = found["StateList"]["Condition"]["StringEqualsIfExists"]["s3:prefix"]
    assert prefixes == ["mngen/private/terraform.tfstate", "env:/"]


def test_only_the_deployer_writes_the_state() -> None:
    cluster = example("private-network")
    assert {name for name in granted(Part.BAKER, cluster) if name.startswith("s3:")} == {
        # Of the EFA installer's bucket.
        "s3:GetBucketPolicy",
        "s3:GetBucketVersioning",
        "s3:GetObject",
        "s3:ListBucket",
    }
    assert {name for name in granted(Part.SUBMITTER, cluster) if name.startswith("s3:")} == {
        # Of the outputs of jobs.
        "s3:GetObject",
        "s3:ListBucket",
        "s3:PutObject",
    }
    found = statements(Part.SUBMITTER, cluster)
    assert found["Inputs"]["Action"] == ["s3:PutObject"]
    assert found["Inputs"]["Resource"] == ["arn:aws:s3:::climate-inputs/mngen/private/inputs/*"]
    assert found["Outputs"]["Action"] == ["s3:GetObject"]
    assert found["Outputs"]["Resource"] == ["arn:aws:s3:::climate-inputs/mngen/private/outputs/*"]
    assert found["ListOutputs"]["Resource"] == ["arn:aws:s3:::climate-inputs"]
    assert found["ListOutputs"]["Condition"] == {
        "StringLike": {"s3:prefix": ["mngen/private/outputs/*"]}
    }


def test_who_checks_the_bucket_of_jobs_may_ask_for_it_alone() -> None:
    cluster = minimal("storage: {bucket: my-inputs}\n")
    for part in (Part.BAKER, Part.DEPLOYER):
        found = statements(part, cluster)["CheckBucket"]
        assert found["Action"] == ["s3:ListBucket"]
        assert found["Resource"] == ["arn:aws:s3:::my-inputs"]
    assert "CheckBucket" not in statements(Part.SUBMITTER, cluster)
    assert "CheckBucket" not in statements(Part.DEPLOYER, minimal())


def test_without_outputs_a_submitter_reads_nothing_in_a_bucket() -> None:
    cluster = minimal("storage: {bucket: my-inputs}\n")
    names = {name for name in granted(Part.SUBMITTER, cluster) if name.startswith("s3:")}
    assert names == {"s3:PutObject"}


def test_no_state_in_a_bucket_means_no_rights_on_buckets() -> None:
    for part in Part:
        assert not {name for name in granted(part, minimal()) if name.startswith("s3:")}


def test_a_submitter_changes_nothing_but_jobs_and_their_inputs() -> None:
    for cluster in specimens():
        writes = {
            name
            for name in granted(Part.SUBMITTER, cluster)
            if not name.partition(":")[2].startswith(("Describe", "Get", "List", "Filter"))
        }
        assert writes == {
            "batch:CancelJob",
            "batch:SubmitJob",
            "batch:TagResource",
            "batch:TerminateJob",
            *({"s3:PutObject"} if cluster.spec.storage.bucket else ()),
        }


def test_only_jobs_of_the_deployment_can_be_ended() -> None:
    end = statements(Part.SUBMITTER, minimal())["End"]
    assert end["Condition"] == {"StringEquals": {"aws:ResourceTag/mngen:deployment": ["minimal"]}}


def test_only_machines_of_the_deployment_can_be_looked_up() -> None:
    machines = statements(Part.SUBMITTER, minimal())["Instances"]
    (resource,) = machines["Resource"]
    assert resource.endswith(":container-instance/AWSBatch-minimal-*")


@pytest.mark.parametrize(
    ("region", "partition", "service"),
    [
        ("us-east-1", "aws", "ec2.amazonaws.com"),
        ("cn-north-1", "aws-cn", "ec2.amazonaws.com.cn"),
        ("us-gov-west-1", "aws-us-gov", "ec2.amazonaws.com"),
    ],
)
def test_arns_are_of_the_regions_partition(region: str, partition: str, service: str) -> None:
    cluster = example("private-network", region)
    for part in Part:
        for statement in policy(part, cluster, ACCOUNT)["Statement"]:
            for arn in statement["Resource"]:
                assert arn == "*" or arn.startswith(f"arn:{partition}:")
    passed = statements(Part.DEPLOYER, cluster)["PassRoles"]["Condition"]["StringEquals"]
    assert service in passed["iam:PassedToService"]
    attached = statements(Part.DEPLOYER, cluster)["RolePolicies"]["Condition"]["ArnEquals"]
    assert all(arn.startswith(f"arn:{partition}:iam::aws:") for arn in attached["iam:PolicyARN"])


def test_partitions_are_those_that_botocore_knows() -> None:
    session = Session()
    regions = [
        region
        for partition in session.get_available_partitions()
        for region in session.get_available_regions("ec2", partition)
    ]
    assert len(regions) > 30
    # The spec takes no region of the European sovereign cloud, whose names have another form.
    for region in regions:
        if not region.startswith("eusc-"):
            assert partition_of(region) == session.get_partition_for_region(region)


def test_a_deployer_may_run_what_is_printed_about_the_budget() -> None:
    """The actions have the names of the commands.

    https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsbudgetservice.html
    """
    printed = [execute_command("a", "b", "c", "REVERSE"), SubmissionsOpen.remedy]
    printed += [SubmissionsOpen.manual_test, (DOCS / "cost.md").read_text("utf-8")]
    commands = set(re.findall(r"aws budgets ([a-z-]+)", " ".join(printed)))
    assert len(commands) > 2
    asked = {"budgets:" + each.title().replace("-", "") for each in commands}
    assert asked <= granted(Part.DEPLOYER, example("private-network"))


def test_every_reason_is_for_something_that_a_deployer_may_do() -> None:
    everything = set.union(*(granted(Part.DEPLOYER, cluster) for cluster in specimens()))
    assert set(UNSEEN) <= everything


def test_the_account_comes_from_the_option_or_the_spec() -> None:
    assert account_of(minimal(), ACCOUNT) == ACCOUNT
    assert account_of(example("existing-network"), None) == ACCOUNT
    assert account_of(example("existing-network"), ACCOUNT) == ACCOUNT


@pytest.mark.parametrize(
    ("cluster", "given", "says"),
    [
        (minimal(), None, "not known"),
        (minimal(), "12345", "invalid AWS account"),
        (minimal(), "١٢٣٤٥٦٧٨٩٠١٢", "invalid AWS account"),
        (example("existing-network"), "210987654321", "is for the account 123456789012"),
    ],
)
def test_an_account_that_cannot_be_is_refused(
    cluster: Cluster, given: str | None, says: str
) -> None:
    with pytest.raises(InputError, match=says) as caught:
        account_of(cluster, given)
    assert caught.value.problems[0].hint
