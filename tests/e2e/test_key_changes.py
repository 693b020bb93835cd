"""What each key of the spec says of its change, held against plans of the real AWS provider.

Two deployments stand in the sandbox; each change is rendered and planned, and never applied. What
replaces a resource is the provider's own business. Which parameters of a compute environment make
AWS Batch replace its instances is written in AWS's model of UpdateComputeEnvironment, which
botocore ships; instance types are only in the list of the user guide:
https://docs.aws.amazon.com/batch/latest/userguide/updating-compute-environments.html
"""

from __future__ import annotations

import json
import re
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import botocore.session
import pytest

from mngen.catalog import load_catalog
from mngen.cost import recorded_cluster
from mngen.graph import mermaid_texts, planned_graph
from mngen.spec import Effect, keys
from mngen.terraform import Plan as SavedPlan
from mngen.terraform import render_markdown, summarise
from tests.support import key_changes
from tests.support.sandbox import client
from tests.support.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.sandbox import Sandbox
    from tests.support.key_changes import Data, Key

pytestmark = pytest.mark.xdist_group("key changes")

DECLARED = {path: set(effects) for path, effects in keys()}
ENTRY = "<name>"
COMMENT = Path(__file__).parent / "data" / "comment.md"

ENVIRONMENT = "aws_batch_compute_environment"
QUEUE = "aws_batch_job_queue"
POLICY = "aws_batch_scheduling_policy"
JOB = "aws_batch_job_definition"
ROLE_POLICY = "aws_iam_role_policy"
TEMPLATE = "aws_launch_template"

UPDATE, CREATE, DELETE, REPLACE = {"update"}, {"create"}, {"delete"}, {"create", "delete"}

BAKED = (
    "r5.12xlarge",
    "r5.12xlarge-12",
    "r5.24xlarge",
    "c5d.18xlarge",
    "c5d.18xlarge-scratch",
    "c5n.18xlarge",
    "c5n.18xlarge-efa",
    "x86_64",
    "x86_64-gpu",
)

UNSEEN = {Effect.BAKE, Effect.NEW_AMI}
"""What a bake makes is not Terraform's."""

NOTHING = {Effect.NONE}


def replacing_parameters() -> set[str]:
    """Read from AWS's model which parameters start an infrastructure update, in lower case."""
    model = botocore.session.get_session().get_service_model("batch")
    members = cast("Any", model.shape_for("ComputeResourceUpdate")).members
    found = {name for name, shape in members.items() if _says_so(shape.documentation)}
    return {name.lower() for name in {*found, "instanceTypes"}}


def _says_so(text: str) -> bool:
    return "infrastructure update" in text


REPLACING = replacing_parameters()
PARAMETERS = {"instance_type": "instancetypes"}
"""The provider's names that are not AWS's, underscores aside."""


class Plan:
    """What Terraform plans.

    Args:
        data: What `terraform show -json` prints of it.
    """

    def __init__(self, data: Data) -> None:
        self.data = data
        self._changes = [
            each
            for each in data["resource_changes"]
            if each["mode"] == "managed" and each["change"]["actions"] != ["no-op"]
        ]

    def changes(self, module: str = "", kind: str = "") -> list[Data]:
        """Return the resources that change, of a module and a type where they are given."""
        return [
            each
            for each in self._changes
            if not module or each.get("module_address", "").partition("[")[0] == f"module.{module}"
            if not kind or each["type"] == kind
        ]

    def actions(self, kind: str, module: str = "") -> list[set[str]]:
        """Return what happens to each resource of a type that changes."""
        return [set(each["change"]["actions"]) for each in self.changes(module, kind)]

    def seen(self, *modules: str) -> set[Effect]:
        """Return what a plan does to environments, queues and jobs, in the words of the keys."""
        return {
            effect
            for module in modules
            for each in self.changes(module)
            for effect in _effects(each)
        }


def _effects(resource: Data) -> set[Effect]:
    kind, change = resource["type"], resource["change"]
    if kind == JOB:
        return {Effect.JOBS}
    if kind == POLICY:
        return {Effect.IN_PLACE} if change["actions"] == ["update"] else set()
    if kind == QUEUE:
        # AWS Batch does not do what the provider plans here, see API_CreateJobQueue.
        before, after = (change[side].get("scheduling_policy_arn") for side in ("before", "after"))
        unknown = change["after_unknown"].get("scheduling_policy_arn")
        if bool(before) != bool(after or unknown):
            return {Effect.SCHEDULING}
        return {Effect.QUEUE if set(change["actions"]) == REPLACE else Effect.IN_PLACE}
    if kind != ENVIRONMENT:
        return set()
    if set(change["actions"]) == REPLACE:
        return {Effect.ENVIRONMENT}
    assert change["actions"] == ["update"]
    names = {PARAMETERS.get(name, name.replace("_", "")) for name in parameters(change)}
    return {Effect.INSTANCES if names & REPLACING else Effect.IN_PLACE}


def parameters(change: Data) -> set[str]:
    """Return which parameters of a compute environment an update changes."""
    [before], [after] = (change[side]["compute_resources"] for side in ("before", "after"))
    # An empty mapping is no mapping.
    return {
        name
        for name in {*before, *after}
        if (before.get(name) or None) != (after.get(name) or None)
    }


def _deploy(stack: Stack, base: Data) -> None:
    stack.render(json.dumps(base))
    stack.record_images(*BAKED)
    stack.apply()


def _plan(stack: Stack, changed: Data) -> Plan:
    stack.render(json.dumps(changed))
    return Plan(stack.plan())


@pytest.fixture(scope="module")
def plans(
    sandbox: Sandbox,
    terraform_env: dict[str, str],
    requires_provider: None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, Future[Plan]]]:
    """Deploy both at the same time, which mostly wait; then plan one change after the other."""
    sandbox.reset()
    other = client(sandbox, "efs").create_file_system(CreationToken="other")["FileSystemId"]
    for bucket in ("few-cases", "few-results", key_changes.MANY_STATES):
        client(sandbox, "s3").create_bucket(Bucket=bucket)
    elsewhere: dict[Key, Any] = {
        ("storage", "efs", "id"): other,
        ("storage", "efs", "security_group"): "sg-0b1c2d3e4f5a60718",
        ("storage", "fsx", "id"): "fs-0a1b2c3d4e5f60718",
        ("storage", "fsx", "security_group"): "sg-0b1c2d3e4f5a60718",
    }

    def many(results: dict[str, Future[Plan]]) -> None:
        with Stack(tmp_path_factory.mktemp("many"), env) as stack:
            _deploy(stack, key_changes.many())
            results["many"].set_result(_plan(stack, key_changes.many_changed()))

    def few(results: dict[str, Future[Plan]]) -> None:
        base = key_changes.few()
        with Stack(tmp_path_factory.mktemp("few"), env) as stack:
            _deploy(stack, base)
            for name, change in changes.items():
                results[name].set_result(_plan(stack, key_changes.changed(base, change)))
            results["folders"].set_result(_plan(stack, key_changes.links_exchanged()))

    env = sandbox.environment("us-east-1", terraform_env)
    changes = {"common": key_changes.COMMON, **key_changes.ALONE}
    changes["service"] = {**changes["service"], **elsewhere}
    changes["execution"] = {**changes["execution"], **key_changes.links()}
    names = ("many", "folders", *changes)
    results: dict[str, Future[Plan]] = {name: Future() for name in names}
    with ThreadPoolExecutor(2) as pool:
        for way in (many, few):
            pool.submit(way, results).add_done_callback(lambda done: _fail(results, done))
        yield results


def _fail(results: dict[str, Future[Plan]], done: Future[None]) -> None:
    """Hand on why a deployment failed to every test that waits for it."""
    error = done.exception()
    if error is not None:
        for result in results.values():
            if not result.done():
                result.set_exception(error)


def declared(*path: str) -> set[Effect]:
    """Return what a key says of its change, as far as Terraform has a part in it."""
    return DECLARED[path] - UNSEEN


@pytest.mark.parametrize("key", list(key_changes.ENVIRONMENTS))
def test_a_key_of_an_environment_does_what_it_says(
    key: str, plans: dict[str, Future[Plan]]
) -> None:
    name = key_changes.entry(key)
    seen = plans["many"].result().seen(f"environment_{name}", f"job_on-{name}")
    assert seen == declared("environments", ENTRY, *key.split("."))


@pytest.mark.parametrize("key", list(key_changes.QUEUES), ids=".".join)
def test_a_key_of_a_queue_does_what_it_says(key: Key, plans: dict[str, Future[Plan]]) -> None:
    plan = plans["many"].result()
    seen = plan.seen(f"queue_{key_changes.entry(key[-1])}") or NOTHING
    assert seen == declared("queues", ENTRY, *key)


@pytest.mark.parametrize("key", list(key_changes.JOBS))
def test_a_key_of_a_job_does_what_it_says(key: str, plans: dict[str, Future[Plan]]) -> None:
    plan = plans["many"].result()
    seen = plan.seen(f"job_{key_changes.entry(key)}") or NOTHING
    assert seen == declared("jobs", ENTRY, key)


@pytest.mark.parametrize("key", list(key_changes.GROUPS))
def test_a_key_of_a_node_group_does_what_it_says(key: str, plans: dict[str, Future[Plan]]) -> None:
    seen = plans["many"].result().seen(f"job_{key_changes.group_entry(key)}") or NOTHING
    assert seen == declared("jobs", ENTRY, "groups", ENTRY, key)


def test_more_attempts_make_a_new_revision_in_place(plans: dict[str, Future[Plan]]) -> None:
    """A definition that is replaced is deregistered first."""
    assert plans["many"].result().actions(JOB, "job_attempts") == [UPDATE]


def test_an_environment_without_its_new_ami_is_deleted(plans: dict[str, Future[Plan]]) -> None:
    unbaked = f"environment_{key_changes.UNBAKED}"
    assert plans["many"].result().actions(ENVIRONMENT, unbaked) == [DELETE]
    assert Effect.NEW_AMI in DECLARED["environments", ENTRY, "instance"]


@pytest.mark.parametrize(
    ("kind", "module", "type_"),
    [
        ("environments", "environment_removed", ENVIRONMENT),
        ("queues", "queue_removed", QUEUE),
        ("jobs", "job_removed", JOB),
    ],
)
def test_an_entry_that_is_removed_is_deleted(
    kind: str, module: str, type_: str, plans: dict[str, Future[Plan]]
) -> None:
    plan = plans["many"].result()
    assert plan.actions(type_, module) == [DELETE]
    assert DECLARED[(kind,)] == {Effect.ENTRY}


def test_what_no_key_is_about_stays(plans: dict[str, Future[Plan]]) -> None:
    plan = plans["many"].result()
    assert plan.changes("environment_plain") == plan.changes("queue_plain") == []


def test_keys_that_are_in_place_change_only_what_they_are_about(
    plans: dict[str, Future[Plan]],
) -> None:
    plan = plans["many"].result()
    about = {
        ("network", "nat"): {
            *("aws_eip.nat", "aws_internet_gateway.this", "aws_nat_gateway.this"),
            *("aws_route.private", "aws_route.public", "aws_route_table.public"),
            *("aws_route_table_association.public", "aws_subnet.public"),
            *(f"aws_vpc_security_group_egress_rule.{name}" for name in ("https", "s3")),
        },
        ("network", "endpoints"): {
            *("aws_vpc_endpoint.interface", "aws_security_group.endpoints"),
            *(f"aws_vpc_security_group_{way}_rule.endpoints" for way in ("ingress", "egress")),
        },
        ("network", "ssh", "from"): {"aws_vpc_security_group_ingress_rule.ssh"},
        ("storage", "efs", "throughput"): {"aws_efs_file_system.this"},
        ("storage", "efs", "backup"): {"aws_efs_backup_policy.this"},
        ("storage", "efs", "protect"): set(),
        ("storage", "efs", "iam"): {
            f"aws_iam_role_policy.{name}_file_system" for name in ("builder", "instance")
        },
        ("container", "protect"): set(),
        ("image", "connect"): {"aws_iam_role_policy_attachment.builder_sessions"},
        ("image", "ssh_from"): set(),
        ("image", "efa_installer"): {"aws_iam_role_policy.builder_efa_installer"},
        ("image", "preload"): {"aws_iam_role_policy.builder_preload"},
        ("roles", "instance_policies"): {"aws_iam_role_policy_attachment.instance_further"},
        ("roles", "job_policies"): {"aws_iam_role_policy_attachment.job"},
        ("roles", "secret_keys"): {"aws_iam_role_policy.execution"},
        ("roles", "permissions_boundary"): {
            f"aws_iam_role.{name}" for name in ("builder", "instance", "job")
        },
    }
    assert about.keys() == key_changes.IN_PLACE.keys()
    for key, resources in about.items():
        assert declared(*key) - {Effect.NONE} == ({Effect.IN_PLACE} if resources else set()), key
    # Of the key `efa`: the group of the VPC in which containers of multi-node jobs then are.
    efa = {
        *(f"aws_default_security_group.{name}" for name in ("closed", "containers")),
        "aws_vpc_security_group_ingress_rule.endpoints_containers",
    }
    changes = [
        each
        for module in ("network", "storage", "identity", "registry")
        for each in plan.changes(module)
    ]
    # The first job with secrets needs a role for them; the first one with a shell, and the first
    # with outputs, permissions.
    jobs = {
        "aws_iam_role.execution",
        *(f"aws_iam_role_policy.job_{name}" for name in ("outputs", "shell")),
    }
    seen = {f"{each['type']}.{each['name']}" for each in changes}
    assert seen == efa.union(jobs, *about.values())
    [file_system] = plan.actions("aws_efs_file_system")
    assert file_system == UPDATE


def test_a_comment_on_a_pull_request_has_the_words_of_a_real_plan(
    plans: dict[str, Future[Plan]], *, update_golden: bool
) -> None:
    data = plans["aws_name"].result().data
    plan = SavedPlan(summarise(data), is_destroy=False, has_changes=True, descriptor=-1, data=data)
    after, before = (
        recorded_cluster(each, load_catalog()) for each in (plan.spec, plan.spec_before)
    )
    assert after is not None
    pictures = mermaid_texts(planned_graph(plan, after, before))
    shown = render_markdown(plan.summary, pictures=pictures)
    # What AWS and Terraform number as they go.
    shown = re.sub(r"\d{18}[0-9a-f]{8}", "<number>", shown)
    shown = re.sub(r"\b(subnet|vpc|sg|lt|fs|rtb)-[0-9a-f]{8,17}\b", r"\1-<id>", shown)
    if update_golden:
        COMMENT.write_text(shown, encoding="utf-8")
    assert shown == COMMENT.read_text(encoding="utf-8")


def test_keys_that_reach_into_an_environment_replace_its_instances(
    plans: dict[str, Future[Plan]],
) -> None:
    plan = plans["common"].result()
    [environment] = plan.changes("environment_mpi", ENVIRONMENT)
    [template] = plan.changes("environment_mpi", TEMPLATE)
    assert environment["change"]["actions"] == template["change"]["actions"] == ["update"]
    about = {
        ("network", "ssh", "key_pair"): "ec2_key_pair",
        ("network", "security_groups"): "security_group_ids",
        ("image", "base"): "ec2_configuration",
        ("roles", "instance_profile"): "instance_role",
        ("tags",): "launch_template",
        ("image", "kms_key"): "launch_template",
    }
    assert parameters(environment["change"]) == set(about.values())
    before, after = template["change"]["before"], template["change"]["after"]
    assert before["tag_specifications"] != after["tag_specifications"]
    assert before["block_device_mappings"] != after["block_device_mappings"]
    for key, parameter in about.items():
        assert parameter.replace("_", "") in REPLACING
        assert declared(*key) == {Effect.INSTANCES}, key


def test_keys_that_reach_into_jobs_make_a_new_definition(plans: dict[str, Future[Plan]]) -> None:
    plan = plans["common"].result()
    [job] = plan.changes("job_hello", JOB)
    [node] = json.loads(job["change"]["after"]["node_properties"])["nodeRangeProperties"]
    container = node["container"]
    assert job["change"]["actions"] == ["update"]
    assert [each["containerPath"] for each in container["mountPoints"]] == ["/data", "/fast"]
    assert declared("storage", "fsx", "mount") == {Effect.JOBS}
    # Of a job with outputs; the policies of the role that name the bucket change in place.
    variables = {each["name"]: each["value"] for each in container["environment"]}
    assert variables["MNGEN_OUTPUTS_TO"] == "s3://other-inputs/mngen/few/outputs/"
    policies = {each["name"]: each["change"]["actions"] for each in plan.changes(kind=ROLE_POLICY)}
    assert policies == {"job_inputs": ["update"], "job_outputs": ["update"]}
    assert declared("storage", "bucket") == {Effect.IN_PLACE, Effect.JOBS}
    assert declared("storage", "efs", "mount") == declared("container", "tag") == {Effect.JOBS}
    assert container["image"].endswith("/few/mpi:v2")
    assert declared("account") == {Effect.NONE}


def test_another_role_for_spot_replaces_the_environment(plans: dict[str, Future[Plan]]) -> None:
    [change] = plans["common"].result().changes("environment_spot", ENVIRONMENT)
    assert set(change["change"]["actions"]) == REPLACE
    assert change["change"]["replace_paths"] == [["compute_resources", 0, "spot_iam_fleet_role"]]
    assert declared("roles", "spot_fleet") == {Effect.ENVIRONMENT}


def test_a_service_role_replaces_every_environment(plans: dict[str, Future[Plan]]) -> None:
    assert plans["service"].result().actions(ENVIRONMENT) == [REPLACE, REPLACE]
    assert declared("roles", "service") == {Effect.ENVIRONMENT}


def test_another_repository_deletes_the_former_one(plans: dict[str, Future[Plan]]) -> None:
    plan = plans["cidr"].result()
    assert plan.actions("aws_ecr_repository") == [REPLACE]
    assert plan.actions(JOB) == [UPDATE]
    assert declared("container", "repository") == {Effect.REPOSITORY, Effect.JOBS}


def test_another_retention_changes_the_log_group_in_place(plans: dict[str, Future[Plan]]) -> None:
    plan = plans["cidr"].result()
    assert plan.actions("aws_cloudwatch_log_group") == [UPDATE]
    changed = summarise(plan.data).changed
    [group] = [each for each in changed if each.type == "aws_cloudwatch_log_group"]
    assert group.consequence == "the job logs in it that are older than 7 days are deleted"
    assert declared("logs", "retention") == {Effect.RETENTION}


def test_another_name_of_the_repository_deletes_the_former_one(
    plans: dict[str, Future[Plan]],
) -> None:
    plan = plans["aws_name"].result()
    assert plan.actions("aws_ecr_repository") == [REPLACE]
    assert plan.actions(JOB) == [UPDATE]
    assert declared("container", "aws_name") == {Effect.REPOSITORY, Effect.JOBS}


def changed_properties(plan: Plan) -> set[str]:
    """Return which properties of the container of `few`'s job change."""
    [job] = (each["change"] for each in plan.changes("job_hello", JOB))
    before, after = (
        json.loads(job[side]["node_properties"])["nodeRangeProperties"][0]["container"]
        for side in ("before", "after")
    )
    # An empty list is no list.
    return {
        name for name in {*before, *after} if (before.get(name) or []) != (after.get(name) or [])
    }


def test_a_role_and_a_log_group_that_exist_delete_those_of_the_deployment(
    plans: dict[str, Future[Plan]],
) -> None:
    plan = plans["execution"].result()
    assert plan.actions(JOB) == [UPDATE]
    assert changed_properties(plan) == {"executionRoleArn"}
    # That of AWS Budgets goes as well: see `test_who_is_denied_submissions_is_changed_in_place`.
    assert {each["address"] for each in plan.changes(kind="aws_iam_role")} == {
        "module.identity.aws_iam_role.execution",
        "module.deny_submit.aws_iam_role.this",
    }
    assert plan.actions("aws_iam_role") == [DELETE, DELETE]
    assert declared("roles", "execution") == {Effect.JOBS}

    plan = plans["jobs"].result()
    assert plan.actions(JOB) == [UPDATE]
    assert changed_properties(plan) == {"jobRoleArn", "logConfiguration"}
    assert [each["name"] for each in plan.changes(kind="aws_iam_role")] == ["job"]
    assert plan.actions("aws_iam_role") == plan.actions("aws_cloudwatch_log_group") == [DELETE]
    assert declared("roles", "job") == {Effect.JOBS}
    assert declared("logs", "group") == {Effect.LOGS, Effect.JOBS}


def test_keys_of_messages_change_no_other_resource(plans: dict[str, Future[Plan]]) -> None:
    plan = plans["execution"].result()
    found = {
        f"{each['name']}.{each['type']}": each["change"]["actions"]
        for each in plan.changes("notify")
        if each["type"] != "aws_sns_topic_subscription"
    }
    assert found == {
        "jobs.aws_cloudwatch_event_rule": ["delete"],
        "jobs.aws_cloudwatch_event_target": ["delete"],
        "this.aws_sns_topic": ["update"],
    }
    subscriptions = {
        (each["name"], each["index"]): each["change"]["actions"]
        for each in plan.changes("notify", "aws_sns_topic_subscription")
    }
    assert subscriptions == {
        ("emails", "few@example.org"): ["delete"],
        ("emails", "other@example.org"): ["create"],
        ("webhooks", "https://hooks.example.org/few"): ["create"],
    }
    for key in ("events", "kms_key"):
        assert declared("notify", key) == {Effect.IN_PLACE}
    for key in ("emails", "webhooks"):
        assert declared("notify", key) == {Effect.NOTIFY}


def test_a_budget_is_changed_in_place(plans: dict[str, Future[Plan]]) -> None:
    [budget] = plans["execution"].result().changes(kind="aws_budgets_budget")
    assert budget["change"]["actions"] == ["update"]
    after = budget["change"]["after"]
    assert after["limit_amount"] == "7000"
    [alert] = after["notification"]
    assert alert["threshold"] == 50
    assert alert["subscriber_email_addresses"] == ["other@example.org"]
    for key in ("monthly", "emails", "alerts"):
        assert declared("budget", key) == {Effect.IN_PLACE}


def test_who_is_denied_submissions_is_changed_in_place(plans: dict[str, Future[Plan]]) -> None:
    plan = plans["execution"].result()
    [action] = plan.changes(kind="aws_budgets_budget_action")
    assert action["change"]["actions"] == ["update"]
    after = action["change"]["after"]
    assert after["action_threshold"] == [
        {"action_threshold_type": "PERCENTAGE", "action_threshold_value": 120}
    ]
    [definition] = after["definition"][0]["iam_action_definition"]
    assert definition["roles"] == ["others"]
    assert definition["groups"] == ["others"]
    assert definition["users"] == ["other"]
    assert ":policy/" in definition["policy_arn"]
    assert ":role/" in after["execution_role_arn"]
    for key in ("at", "roles", "groups", "users", "policy", "role"):
        assert declared("budget", "deny_submit", key) == {Effect.IN_PLACE}


def test_a_dashboard_is_added_beside_the_rest(plans: dict[str, Future[Plan]]) -> None:
    [dashboard] = plans["execution"].result().changes(kind="aws_cloudwatch_dashboard")
    assert dashboard["change"]["actions"] == ["create"]
    assert declared("dashboard") == {Effect.IN_PLACE}


def test_an_existing_topic_deletes_the_one_that_was_made(plans: dict[str, Future[Plan]]) -> None:
    plan = plans["aws_name"].result()
    assert plan.actions("aws_sns_topic") == plan.actions("aws_sns_topic_subscription") == [DELETE]
    assert plan.actions("aws_cloudwatch_event_rule") == []
    assert plan.actions("aws_cloudwatch_event_target") == [UPDATE, UPDATE]
    assert declared("notify", "topic") == {Effect.NOTIFY}


def test_an_image_from_elsewhere_deletes_the_repository(plans: dict[str, Future[Plan]]) -> None:
    plan = plans["service"].result()
    assert plan.actions("aws_ecr_repository") == [DELETE]
    assert plan.actions(JOB) == [UPDATE]
    assert declared("container", "image") == {Effect.REPOSITORY, Effect.JOBS}


def test_another_file_system_deletes_the_one_that_was_made(plans: dict[str, Future[Plan]]) -> None:
    plan = plans["service"].result()
    assert plan.actions("aws_efs_file_system") == [DELETE]
    assert declared("storage", "efs", "id") == {Effect.FILE_SYSTEM}
    assert plans["lustre"].result().actions("aws_efs_file_system") == [REPLACE]
    assert declared("storage", "efs", "kms_key") == {Effect.FILE_SYSTEM}
    # The rule that lets the nodes in belongs to the other group.
    assert plan.actions("aws_vpc_security_group_ingress_rule", "storage") == [REPLACE]
    assert declared("storage", "efs", "security_group") == {Effect.IN_PLACE}


LUSTRE = "aws_fsx_lustre_file_system"
LINK = "aws_fsx_data_repository_association"
# What each key is called in the resource.
ATTRIBUTES = {
    "size": "storage_capacity",
    "throughput": "per_unit_storage_throughput",
    "compression": "data_compression_type",
    "zone": "subnet_ids",
    "kms_key": "kms_key_id",
    "backup_days": "automatic_backup_retention_days",
    "maintenance": "weekly_maintenance_start_time",
    "type": "deployment_type",
}


def replaced_by(plan: Plan) -> set[str]:
    """Return the attributes that make the provider replace the FSx for Lustre file system."""
    [change] = (each["change"] for each in plan.changes("fsx", LUSTRE))
    assert set(change["actions"]) == REPLACE
    return {path[0] for path in change["replace_paths"]}


def test_keys_of_lustre_replace_it_or_change_it_in_place(plans: dict[str, Future[Plan]]) -> None:
    plan = plans["lustre"].result()
    replaced = replaced_by(plan)
    [change] = (each["change"] for each in plan.changes("fsx", LUSTRE))
    keys = {path[-1] for path in key_changes.ALONE["lustre"] if "fsx" in path} - {"s3"}
    for key in keys:
        attribute = ATTRIBUTES[key]
        unknown = change["after_unknown"].get(attribute)
        assert change["before"][attribute] != change["after"].get(attribute) or unknown, key
        if attribute in replaced:
            assert declared("storage", "fsx", key) == {Effect.FILE_SYSTEM}, key
        else:
            assert declared("storage", "fsx", key) <= {Effect.IN_PLACE, Effect.SIZE}, key
    assert plan.actions(LINK) == [DELETE, DELETE]
    assert declared("storage", "fsx", "s3") == {Effect.LINK}
    assert "deployment_type" in replaced_by(plans["jobs"].result())
    assert declared("storage", "fsx", "type") == {Effect.FILE_SYSTEM}


def test_an_existing_lustre_deletes_the_one_that_was_made(plans: dict[str, Future[Plan]]) -> None:
    plan = plans["service"].result()
    assert plan.actions(LUSTRE) == [DELETE]
    assert declared("storage", "fsx", "id") == {Effect.FILE_SYSTEM}
    # The rules that let the nodes in belong to the other group.
    groups = {
        each["change"]["after"]["security_group_id"]
        for each in plan.changes("fsx", "aws_vpc_security_group_ingress_rule")
        if each["name"] == "from_nodes" and each["change"]["after"]
    }
    assert groups == {"sg-0b1c2d3e4f5a60718"}
    assert declared("storage", "fsx", "security_group") == {Effect.IN_PLACE}


def test_keys_of_links_replace_them_or_change_them_in_place(
    plans: dict[str, Future[Plan]],
) -> None:
    plan = plans["execution"].result()
    assert plan.changes(kind=LUSTRE) == []
    found = {each["name"]: set(each["change"]["actions"]) for each in plan.changes("fsx", LINK)}
    # The path of one is another; of the other, the import is switched on and the export off.
    assert found == {"s3_cases": REPLACE, "s3_results": REPLACE}
    [results] = (
        each["change"]["after"]["s3"]
        for each in plan.changes("fsx", LINK)
        if each["name"] == "s3_results"
    )
    assert [each["auto_import_policy"] for each in results] == [[{"events": ["NEW"]}]]
    assert not any(each.get("auto_export_policy") for each in results)
    for key in key_changes.LINKS:
        assert declared("storage", "fsx", "s3", ENTRY, key) == {Effect.LINK}


def test_a_link_stays_where_others_come_and_go(plans: dict[str, Future[Plan]]) -> None:
    """The one that is removed was created before the one that stays, and so is its successor."""
    plan = plans["folders"].result()
    found = {each["name"]: each["change"]["actions"] for each in plan.changes("fsx", LINK)}
    assert found == {"s3_cases": ["delete"], "s3-new_-cases": ["create"]}


@pytest.mark.parametrize(("key", "name"), [("cidr", "cidr"), ("vpc", "jobs")])
def test_another_network_replaces_all_in_it(
    key: str, name: str, plans: dict[str, Future[Plan]]
) -> None:
    plan = plans[name].result()
    assert plan.actions("aws_vpc") == ([REPLACE] if key == "cidr" else [DELETE])
    assert REPLACE in plan.actions("aws_efs_mount_target")
    assert plan.actions("aws_efs_file_system") == []
    # Another type in the same plan replaces it as well.
    assert "subnet_ids" in replaced_by(plan)
    assert declared("network", key) == {Effect.NETWORK}


def test_other_zones_keep_what_they_have(plans: dict[str, Future[Plan]]) -> None:
    """One of two zones gives way to another, and the one that stays is named last now."""
    plan = plans["execution"].result()
    assert plan.actions("aws_vpc") == plan.actions("aws_efs_file_system") == []
    for kind in ("aws_efs_mount_target", "aws_subnet", "aws_route_table_association"):
        found = {
            each["index"]: each["change"]["actions"]
            for each in plan.changes("network", kind) + plan.changes("storage", kind)
            if "index" in each
        }
        assert found == {"us-east-1a": ["delete"], "us-east-1c": ["create"]}, kind
    assert plan.seen("environment_mpi", "environment_spot") == {Effect.INSTANCES}
    for name in ("mpi", "spot"):
        [environment] = plan.changes(f"environment_{name}", ENVIRONMENT)
        assert parameters(environment["change"]) == {"subnets"}
    assert declared("network", "zones") == {Effect.SUBNETS, Effect.INSTANCES}
    # How nodes mount is in the AMI alone.
    assert DECLARED["storage", "efs", "tls"] == {Effect.BAKE}


def test_another_name_replaces_what_is_named_after_it(plans: dict[str, Future[Plan]]) -> None:
    plan = plans["name"].result()
    for kind in (ENVIRONMENT, QUEUE, "aws_ecr_repository", "aws_cloudwatch_log_group"):
        assert {frozenset(each) for each in plan.actions(kind)} == {frozenset(REPLACE)}, kind
    for kind in ("aws_vpc", "aws_efs_file_system", LUSTRE):
        assert plan.actions(kind) == [UPDATE]
    assert declared("name") == {Effect.RENAMED}


@pytest.mark.parametrize("name", ["many", "common", "cidr", "name"])
def test_a_plan_names_the_keys_that_changed(name: str, plans: dict[str, Future[Plan]]) -> None:
    plan = plans[name].result()
    found = {each.path: set(each.effects) for each in summarise(plan.data).keys}
    if name == "many":
        wanted = {
            *(
                ("environments", key_changes.entry(key), *key.split("."))
                for key in key_changes.ENVIRONMENTS
            ),
            *(
                ("queues", key_changes.entry(key[-1]), *key)
                for key in key_changes.QUEUES
                if key != ("shares", "weights")
            ),
            # A change of a mapping names its entry.
            *(
                ("queues", "weights", "shares", "weights", user)
                for user in ("alice", "bob", "physics*")
            ),
            *(
                ("jobs", key_changes.entry(key), key, *(value if isinstance(value, dict) else ()))
                for key, value in key_changes.JOBS.items()
            ),
            *(
                (
                    "jobs",
                    key_changes.group_entry(key),
                    "groups",
                    "main",
                    key,
                    *(value if isinstance(value, dict) else ()),
                )
                for key, value in key_changes.GROUPS.items()
            ),
            ("jobs", key_changes.group_entry("nodes"), "groups", "others", "nodes"),
            *((kind, "removed") for kind in ("environments", "queues", "jobs")),
            *key_changes.IN_PLACE,
            ("environments", key_changes.UNBAKED, "instance"),
        }
    else:
        changes = key_changes.COMMON if name == "common" else key_changes.ALONE[name]
        wanted = {(*path, "project") if path == ("tags",) else path for path in changes}
    assert found.keys() == wanted
