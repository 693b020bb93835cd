"""Every example, applied by real Terraform with the real provider: the two passes and the end."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mngen.adoption import Outcome
from mngen.catalog import load_catalog
from mngen.cluster import resolve
from mngen.sandbox import ACCOUNT_ID
from mngen.spec import key_changes, load_text, written
from tests.support.deployments import NAMES, SECOND, Deployments
from tests.support.events import blocked_event, fits, job_event, transformed
from tests.support.iam import action_named, overlap
from tests.support.stack import only

if TYPE_CHECKING:
    from mngen.spec import Spec

# They are deployed once, by one worker.
pytestmark = pytest.mark.xdist_group("deployments")

TEMPLATES = Path(__file__).resolve().parents[2] / "templates" / "terraform"


@pytest.mark.parametrize("name", NAMES)
def test_two_passes_and_nothing_left(name: str, deployments: Deployments) -> None:
    run = deployments[name]
    spec = run.cluster.spec
    assert set(map(tuple, run.first.values())) == {("create",)}
    assert run.waiting
    # What has an AMI of its own needs no bake.
    at_once = sorted(name for name, each in spec.environments.items() if each.image)
    assert [name.rpartition("-")[0] for name in run.first_environments] == [
        f"{spec.name}-{name}" for name in at_once
    ]

    # Nothing of the first pass is touched by the second, but queues that were there for the
    # environments of before; nor would a third one do anything.
    waited = {
        f"module.queue_{name}[0].aws_batch_job_queue.this"
        for name, queue in spec.queues.items()
        if queue.legacy
    }
    # The dashboard shows the clusters of the environments.
    waited |= {"module.dashboard.aws_cloudwatch_dashboard.this"} if spec.dashboard else set()
    assert only(run.second, "update") == {each: ["update"] for each in waited}
    assert set(run.second) & set(run.first) == waited
    assert {tuple(run.second[each]) for each in run.second.keys() - waited} == {("create",)}
    assert run.unchanged

    outputs = run.outputs
    assert outputs["images_to_bake"] == []
    assert set(outputs["compute_environments"]) == set(spec.environments)
    for kind, entries in (("queues", spec.queues), ("job_definitions", spec.jobs)):
        assert outputs[kind] == {
            entry: given.aws_name or f"{spec.name}-{entry}" for entry, given in entries.items()
        }
    stood = deployments.stood(name)
    own = [each for each in stood.environments if _belongs(each, outputs)]
    assert len(own) == len(spec.environments)
    assert {each["status"] for each in own} == {"VALID"}
    protected = spec.storage.efs.protect or spec.container.protect
    protected |= spec.storage.fsx is not None and spec.storage.fsx.protect
    protected |= any(queue.protect for queue in spec.queues.values())
    protected |= any(job.protect for job in spec.jobs.values())
    assert (run.refused is not None) == protected
    assert run.refused is None or "prevent_destroy" in run.refused
    assert run.left == []


# What no account shows; docs/adoption.md lists it.
LOST = re.compile(
    r"provider|state\..*|.*\.protect|storage\.efs\.tls|image\.(connect|ssh_from|base_amis\..*|packages|playbooks|efa_version)|jobs\..*"
)


@pytest.mark.parametrize("name", NAMES)
def test_import_from_the_account_gives_the_spec_back(name: str, deployments: Deployments) -> None:
    run = deployments[name]
    assert run.imported is not None
    cannot = [each for each in run.imported.lines if each.outcome is Outcome.CANNOT]
    assert cannot == []
    assert run.imported.imports == ""
    given, found = run.cluster.spec, load_text(run.imported.spec.encode()).require()
    pair = _without_choices(given), _without_choices(found)
    changes = {".".join(map(str, each.path)): each for each in key_changes(*pair)}
    account = changes.pop("account", None)
    assert account is None or (account.before, account.after) == (None, ACCOUNT_ID)
    # Without a placement group in a network of one zone, single-node environments look like others.
    alike = {"environments.g6.multi_node", "environments.g6.placement_group"}
    assert [path for path in changes if path not in alike and not LOST.fullmatch(path)] == []
    # They are left out, and not given any other value than the default.
    assert "provider" not in written(found)
    assert [
        path for path, each in changes.items() if each.after and path not in {*alike, "provider"}
    ] == []
    said = {line.spec for line in run.imported.lines}
    assert {f"jobs.{each.aws_name or key}" for key, each in given.jobs.items()} <= said


def _without_choices(spec: Spec) -> dict[str, Any]:
    """Return the keys of a spec, without what can be written in several ways that render alike."""
    keys = written(spec)
    # An account shows the name of a queue, and not how the spec abbreviates it.
    keys["queues"] = {each.get("aws_name", key): each for key, each in keys["queues"].items()}
    network = keys.get("network", {})
    for key in {"endpoints", "subnets"} & set(network):
        network[key] = sorted(network[key])
    # What is written as `hyperthreading`, or is its default for the type, limits the CPUs alike.
    for each in resolve(spec, load_catalog()).environments:
        keys["environments"][each.name].pop("hyperthreading", None)
        if each.nr_cpus is not None:
            keys["environments"][each.name]["cpus"] = each.nr_cpus
    first = network.get("zones", [f"{spec.region}a"])[:1]
    for environment in keys["environments"].values():
        if environment.get("multi_node", True) and environment.get("zones") == first:
            del environment["zones"]
    return keys


def test_messages_about_jobs_are_sent_to_the_topic_alone(deployments: Deployments) -> None:
    stood = deployments.stood("private-network")
    prefix = "mngen-private-"
    rules = {name: each for name, each in stood.event_rules.items() if name.startswith(prefix)}
    assert sorted(rules) == ["mngen-private-blocked", "mngen-private-jobs"]
    assert {each["State"] for each in rules.values()} == {"ENABLED"}
    topic = stood.topics["private-notify"]
    [subscription] = topic["Subscriptions"]
    assert subscription["Endpoint"] == "climate@example.org"
    assert subscription["SubscriptionArn"] == "PendingConfirmation"
    targets = [target for each in rules.values() for target in each["Targets"]]
    assert [each["Arn"] for each in targets] == [topic["TopicArn"]] * 2
    [allowed] = json.loads(topic["Policy"])["Statement"]
    assert allowed["Principal"] == {"Service": "events.amazonaws.com"}
    assert allowed["Action"] == "sns:Publish"
    assert allowed["Resource"] == topic["TopicArn"]
    # With a condition, EventBridge cannot publish:
    # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html
    assert "Condition" not in allowed


def test_a_budget_counts_what_has_the_tag(deployments: Deployments) -> None:
    [budget] = deployments.stood("private-network").budgets
    assert budget["BudgetName"] == "mngen-private-us-east-1"
    assert budget["BudgetLimit"] == {"Amount": "20000", "Unit": "USD"}
    # The form of https://docs.aws.amazon.com/cli/latest/reference/budgets/create-budget.html
    assert budget["CostFilters"] == {"TagKeyValue": ["user:mngen:deployment$private"]}
    assert (budget["BudgetType"], budget["TimeUnit"]) == ("COST", "MONTHLY")


@pytest.mark.parametrize(
    ("name", "dashboard"),
    [
        ("private-network", "mngen-private-us-east-1"),
        ("cfd-fsx", "mngen-cfd-eu-north-1"),
    ],
)
def test_a_dashboard_shows_what_was_made(
    name: str, dashboard: str, deployments: Deployments
) -> None:
    run, stood = deployments[name], deployments.stood(name)
    assert run.outputs["dashboard"] == dashboard
    widgets = stood.dashboards[dashboard]["widgets"]
    metrics = [
        metric
        for widget in widgets
        if widget["type"] == "metric"
        for metric in widget["properties"]["metrics"]
    ]
    shown: dict[tuple[str, str], set[str]] = {}
    for namespace, _, dimension, value, *_ in (each for each in metrics if len(each) > 1):
        shown.setdefault((namespace, dimension), set()).add(value)
    own = [each for each in stood.environments if _belongs(each, run.outputs)]
    expected = {
        ("AWS/Batch", "JobQueueName"): set(run.outputs["queues"].values()),
        ("AWS/ECS", "ClusterName"): {each["ecsClusterArn"].split("/")[1] for each in own},
        ("AWS/EFS", "FileSystemId"): {run.outputs["efs"]["id"]},
    }
    if name == "cfd-fsx":
        expected["AWS/FSx", "FileSystemId"] = {run.outputs["fsx"]["id"]}
        [nat] = shown.pop(("AWS/NATGateway", "NatGatewayId"))
        assert re.fullmatch(r"nat-[0-9a-f]+", nat)
    assert shown == expected
    regions = {each["properties"].get("region") for each in widgets if each["type"] != "text"}
    assert regions == {run.cluster.spec.region}


@pytest.mark.parametrize(
    ("event", "rule"),
    [
        (
            job_event("private-ocean-a", "FAILED", reason="Host EC2 terminated"),
            "mngen-private-jobs",
        ),
        (job_event("private-ocean-b", "SUCCEEDED"), "mngen-private-jobs"),
        (blocked_event("private-ocean-a", "MISCONFIGURATION:JOB"), "mngen-private-blocked"),
        # Each node of a multi-node job and each job of an array would send one as well.
        (job_event("private-ocean-a", "FAILED", index="#1"), None),
        (job_event("private-ocean-a", "FAILED", index=":10"), None),
        (job_event("private-ocean-a", "RUNNING"), None),
        (job_event("minimal-mpi", "FAILED"), None),
        (job_event("private-ocean-a-2", "FAILED"), None),
        (blocked_event("minimal-mpi", "MISCONFIGURATION:JOB"), None),
    ],
)
def test_a_message_is_sent_about_jobs_of_the_deployment(
    event: Any, rule: str | None, deployments: Deployments
) -> None:
    rules = deployments.stood("private-network").event_rules
    matching = [
        name for name, each in rules.items() if fits(json.loads(each["EventPattern"]), event)
    ]
    assert matching == ([] if rule is None else [rule])
    if rule is None:
        return
    [target] = rules[rule]["Targets"]
    text = transformed(target["InputTransformer"], event)
    detail = event["detail"]
    does = "blocks its queue" if rule == "mngen-private-blocked" else detail["status"]
    assert text.splitlines()[:3] == [
        f'"private: job event-test {does}"',
        f'"Reason: {detail.get("statusReason", "")}"',
        f'"Job: {detail["jobId"]}"',
    ]
    assert f'mngen status {detail["jobId"]}"' in text


def _belongs(environment: dict[str, object], outputs: dict[str, dict[str, object]]) -> bool:
    return environment["computeEnvironmentArn"] in outputs["compute_environments"].values()


def test_the_account_is_as_it_was_before(deployments: Deployments) -> None:
    for name in (*NAMES, SECOND):
        assert deployments[name].left == []
    assert deployments.after == deployments.before


def test_every_resource_that_can_be_rendered_was_deployed(deployments: Deployments) -> None:
    texts = [path.read_text(encoding="utf-8") for path in TEMPLATES.rglob("*") if path.is_file()]
    rendered = {
        kind for text in texts for kind in re.findall(r'^resource "(\w+)"', text, re.MULTILINE)
    }
    runs = [deployments[name] for name in NAMES]
    addresses = [address for run in runs for address in (*run.first, *run.second)]
    deployed = {re.sub(r"^(module\.[^.]+\.)*", "", address).split(".")[0] for address in addresses}
    assert len(rendered) > 25
    assert rendered - deployed == set()


def test_two_deployments_share_an_account(deployments: Deployments) -> None:
    """In one region and the same VPC, which takes each endpoint once: the second has none."""
    assert deployments[SECOND].first
    assert deployments.stood("minimal").repositories == {"minimal/mpi", f"{SECOND}/mpi"}


def test_the_training_example_targets_its_capacity_block(deployments: Deployments) -> None:
    """Compare with AWS's example for P5 on a block, whose block is the only one in the region.

    https://github.com/awslabs/awsome-distributed-ai, 1.architectures/3.aws-batch,
    0.aws-batch-distributed-training-p5.yaml: it has no placement group, and no security groups.
    """
    run, stood = deployments["llm-training"], deployments.stood("llm-training")
    [block] = [each.spec.capacity for each in run.cluster.environments if each.spec.capacity]
    made = [each.values for each in run.calls if each.action == "ec2:CreateLaunchTemplate"]
    reserved = "LaunchTemplateData.CapacityReservationSpecification.CapacityReservationTarget."
    market = "LaunchTemplateData.InstanceMarketOptions.MarketType"
    assert [
        (each[f"{reserved}CapacityReservationId"], each[market])
        for each in made
        if any(key.startswith(reserved) or key == market for key in each)
    ] == [(block.block, "capacity-block")]
    [environment] = [
        each["computeResources"]
        for each in stood.environments
        if each["computeResources"]["instanceTypes"] == ["p5.48xlarge"]
    ]
    assert environment["allocationStrategy"] == "BEST_FIT"
    assert not environment.get("placementGroup")
    assert not environment.get("securityGroupIds")


def test_batch_gets_what_the_tutorial_sends(deployments: Deployments) -> None:
    """Compare the 24-core environment and its queue with the tutorial's parameter files.

    The tutorial names the fields of its files and says what goes into each; what it leaves to the
    reader (ids) is looked up here. Where we differ on purpose, the field stands in `differs` with
    the reason.
    """
    run, stood = deployments["tutorial"], deployments.stood("tutorial")
    outputs = run.outputs
    [environment] = [
        each
        for each in stood.environments
        if each["computeEnvironmentName"].startswith("tutorial-r5-multinode-24-")
        and _belongs(each, outputs)
    ]
    [queue] = [
        each for each in stood.queues if each["jobQueueName"] == "tutorial-MultiNodeQueue_R5_MAX_24"
    ]
    zone_a = outputs["network"]["subnets_by_zone"]["us-east-1a"]

    resources = environment["computeResources"]
    tutorial = {
        "type": "EC2",
        "instanceTypes": ["r5.24xlarge"],
        "minvCpus": 0,
        "ec2KeyPair": "user_key_pair",
        "instanceRole": outputs["instance_profile_arn"],
    }
    assert {field: resources[field] for field in tutorial} == tutorial
    assert (environment["type"], environment["state"]) == ("MANAGED", "ENABLED")

    differs = {
        # The tutorial lists every subnet, but a cluster placement group lives in one zone.
        "subnets": zone_a,
        # The default group lets in whatever else is in it; ours lets in the nodes alone.
        "securityGroupIds": outputs["network"]["security_group_ids"],
        # A fixed name would stop a second deployment in the account.
        "placementGroup": "tutorial-MPIgroup",
        # `imageId` is deprecated and not updated in place.
        "ec2Configuration": [
            {"imageType": "ECS_AL2023", "imageIdOverride": run.amis["r5.24xlarge-24"]}
        ],
        # Unset there, which means BEST_FIT, with which nothing is updated in place.
        "allocationStrategy": "BEST_FIT_PROGRESSIVE",
    }
    assert {field: resources[field] for field in differs} == differs
    assert "imageId" not in resources
    # Needed for Spot alone, where the tutorial fills it in for every environment.
    assert "spotIamFleetRole" not in resources
    # The tutorial's AWSBatchServiceRole would have each change replace the environment.
    assert environment["serviceRole"].endswith("/AWSServiceRoleForBatch")

    assert queue["jobQueueName"] == "tutorial-MultiNodeQueue_R5_MAX_24"
    assert queue["state"] == "ENABLED"
    assert queue["computeEnvironmentOrder"] == [
        {"order": 0, "computeEnvironment": environment["computeEnvironmentArn"]}
    ]
    [group] = [each for each in stood.placement_groups if each["GroupName"].startswith("tutorial-")]
    assert (group["GroupName"], group["Strategy"]) == ("tutorial-MPIgroup", "cluster")
    [endpoint] = [each for each in stood.endpoints if each["VpcId"] == outputs["network"]["vpc_id"]]
    assert endpoint["ServiceName"] == "com.amazonaws.us-east-1.s3"


def test_the_agent_may_only_start_the_jobs_with_secrets(deployments: Deployments) -> None:
    """What the role's policy says when real Terraform has written it, by AWS's own tables."""
    [call] = [
        each
        for each in deployments["nat"].calls
        if each.operation == "PutRolePolicy" and each.values["PolicyName"] == "start"
    ]
    found: dict[str, list[str]] = {}
    for statement in json.loads(call.values["PolicyDocument"])["Statement"]:
        assert statement["Effect"] == "Allow"
        names, arns = (
            [each] if isinstance(each, str) else each
            for each in (statement["Action"], statement["Resource"])
        )
        found |= dict.fromkeys(names, arns)
    for name, arns in found.items():
        patterns = [each.arn for each in action_named(name).types] or ["*"]
        assert all(any(overlap(arn, pattern) for pattern in patterns) for arn in arns), name
    here = f"us-west-2:{ACCOUNT_ID}"
    images = [f"arn:aws:ecr:{here}:repository/nat/mpi"]
    streams = [f"arn:aws:logs:{here}:log-group:/mngen/nat/jobs:*"]
    assert found == {
        "secretsmanager:GetSecretValue": [
            "arn:aws:secretsmanager:us-west-2:123456789012:secret:lab-AbCdEf"
        ],
        "ssm:GetParameters": [f"arn:aws:ssm:{here}:parameter/lab/user"],
        "ecr:GetAuthorizationToken": ["*"],
        "ecr:BatchCheckLayerAvailability": images,
        "ecr:BatchGetImage": images,
        "ecr:GetDownloadUrlForLayer": images,
        "logs:CreateLogStream": streams,
        "logs:PutLogEvents": streams,
    }
