"""From an account to a spec, in few calls, and with some of them denied."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from mngen.adoption import (
    Adoption,
    Inventory,
    Item,
    Outcome,
    Place,
    Wishes,
    adopt,
    look_up,
    read_account,
    read_json,
)
from mngen.adoption._budget import budget_of
from mngen.adoption._deployed import Deployed
from mngen.catalog import load_catalog
from mngen.cluster import queue_name
from mngen.errors import InputError, ToolError
from mngen.spec import load_text
from tests.support.adoption import (
    ACCOUNT,
    ARN,
    DEFINITION,
    ENVIRONMENT,
    IMAGE,
    QUEUE,
    REGION,
    SPOT,
    Account,
    changed,
    described,
    write,
)

if TYPE_CHECKING:
    from collections.abc import Callable

CATALOG = load_catalog(Path("mngen.yaml"))
SYSTEM = {"FileSystemId": "fs-0123456789abcdef0", "Name": "shared", "Encrypted": False}


@pytest.fixture
def handmade() -> Callable[..., Account]:
    def made(**rest: Any) -> Account:
        environment, queue, definition = described(ENVIRONMENT, QUEUE, DEFINITION)
        return Account([environment], [queue], [definition], **rest)

    return made


def adopted(account: Account, *queues: str, jobs: tuple[str, ...] = (), **wishes: Any) -> Adoption:
    inventory = read_account(queues, jobs, region=REGION, connect=account.connect)
    return adopt(inventory, Wishes(name="tsunami", jobs=frozenset(jobs), **wishes), CATALOG)


def test_account_gives_names_ids_and_the_old_environment(
    handmade: Callable[..., Account],
) -> None:
    adoption = adopted(handmade(file_systems=(SYSTEM,)))
    assert adoption.count(Outcome.CANNOT) == 0
    spec = yaml.safe_load(adoption.spec)
    assert spec["network"] == {
        "vpc": "vpc-0123456789abcdef0",
        "subnets": ["subnet-0123456789abcdef0"],
        "endpoints": [],
        "security_groups": ["sg-0123456789abcdef0"],
    }
    assert spec["storage"] == {
        "efs": {
            "mount": "/efs",
            "id": "fs-0123456789abcdef0",
            "security_group": "sg-00000000000000efd",
        }
    }
    name = "TSUNAMI_ON_DEMAND_MAXCPU_12"
    assert spec["queues"]["TsunamiQueue_MAX_12"] == {
        "environments": [name],
        "aws_name": "TsunamiQueue_MAX_12",
        "priority": 1000,
        "cancel_after": {"misconfiguration": None},
        "protect": True,
        "legacy": [f"{ARN}compute-environment/{name}"],
    }
    # The environment in AWS stays in the queue; that of the spec waits for a baked AMI.
    assert "image" not in spec["environments"][name]
    assert spec["environments"][name]["zones"] == [f"{REGION}b"]
    assert "# image: ami-0123456789abcdef0" in adoption.spec


def test_import_block_takes_over_the_queue(
    handmade: Callable[..., Account],
) -> None:
    adoption = adopted(handmade())
    blocks = adoption.imports.split("\n\n")[1:]
    assert [each.strip().splitlines()[1:3] for each in blocks] == [
        [
            "  to = module.queue_TsunamiQueue_MAX_12[0].aws_batch_job_queue.this",
            f'  id = "{ARN}job-queue/TsunamiQueue_MAX_12"',
        ],
    ]


def test_job_definition_is_taken_over_if_it_is_named(handmade: Callable[..., Account]) -> None:
    arn = f"{ARN}job-definition/tsunami_nodes:1"
    adoption = adopted(handmade())
    assert adoption.files == {}
    (line,) = [each for each in adoption.lines if each.place.pointer == "/jobDefinitionName"]
    assert line.todo == "--job tsunami_nodes takes it into the spec"

    adoption = adopted(handmade(), jobs=("tsunami_nodes",))
    assert adoption.count(Outcome.CANNOT) == 0
    assert yaml.safe_load(adoption.spec)["jobs"] == {
        "tsunami_nodes": {
            "queue": "TsunamiQueue_MAX_12",
            "aws_name": "tsunami_nodes",
            "definition": "definitions/tsunami_nodes.json",
            "protect": True,
        }
    }
    # What describes it in AWS is not part of it.
    (text,) = adoption.files.values()
    assert json.loads(text) == DEFINITION
    assert adoption.imports.endswith(
        "import {\n  to = module.job_tsunami_nodes.aws_batch_job_definition.this\n"
        f'  id = "{arn}"\n}}\n'
    )
    assert "state rm module.job_tsunami_nodes" in adoption.report
    assert "it imports 2 resources" in adoption.report


def test_job_definition_that_is_not_there_is_refused(handmade: Callable[..., Account]) -> None:
    with pytest.raises(InputError, match='no active job definition "tsunami_node"') as caught:
        adopted(handmade(), jobs=("tsunami_node",))
    assert caught.value.problems[0].hint == "did you mean `tsunami_nodes`?"


@pytest.mark.parametrize(
    ("change", "pointer", "why"),
    [
        ({"platformCapabilities": ["FARGATE"]}, "/jobDefinitionName", "Fargate"),
        (
            {"consumableResourceProperties": {"consumableResourceList": [{"quantity": 1}]}},
            "/consumableResourceProperties",
            "not supported by the AWS provider",
        ),
    ],
)
def test_named_job_definition_that_cannot_be_taken_over_is_an_error(
    change: dict[str, Any], pointer: str, why: str
) -> None:
    environment, queue, definition = described(ENVIRONMENT, QUEUE, DEFINITION)
    adoption = adopted(
        Account([environment], [queue], [definition | change]), jobs=("tsunami_nodes",)
    )
    (line,) = [each for each in adoption.lines if each.outcome is Outcome.CANNOT]
    assert line.place.pointer == pointer
    assert why in line.why
    assert adoption.files == {}
    assert "module.job_" not in adoption.imports


def test_file_system_is_never_imported(handmade: Callable[..., Account]) -> None:
    adoption = adopted(handmade(file_systems=(SYSTEM,)), take_repository=True)
    assert "aws_efs" not in adoption.imports
    assert 'id = "tsunami"' in adoption.imports
    (line,) = [line for line in adoption.lines if line.spec == "storage.efs.id"]
    assert "not encrypted at rest" in line.why


def test_queue_keeps_its_policy_and_limits() -> None:
    environment, queue, definition = described(ENVIRONMENT, QUEUE, DEFINITION)
    queue["schedulingPolicyArn"] = f"{ARN}scheduling-policy/fair"
    queue["jobStateTimeLimitActions"] = [
        {
            "reason": "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY",
            "state": "RUNNABLE",
            "maxTimeSeconds": 7200,
            "action": "CANCEL",
        }
    ]
    environment["computeResources"]["launchTemplate"] = {
        "launchTemplateId": "lt-1",
        "version": "$Latest",
    }
    templates: dict[str, dict[str, Any]] = {"lt-1": {"EbsOptimized": True}}
    adoption = adopted(Account([environment], [queue], [definition], templates=templates))
    entry = yaml.safe_load(adoption.spec)["queues"]["TsunamiQueue_MAX_12"]
    assert entry["scheduling_policy"] == f"{ARN}scheduling-policy/fair"
    assert entry["cancel_after"] == {"misconfiguration": None, "capacity": 7200}
    (line,) = [line for line in adoption.lines if line.place.pointer.endswith("/launchTemplate")]
    assert "$Latest" in line.why
    assert line.breaks


RESERVED = "cr-0123456789abcdef0"
POOL = f"arn:aws:resource-groups:{REGION}:{ACCOUNT}:group/lab"


@pytest.mark.parametrize(
    ("target", "market", "capacity"),
    [
        ({"CapacityReservationId": RESERVED}, None, {"reservation": RESERVED}),
        ({"CapacityReservationId": RESERVED}, "capacity-block", {"block": RESERVED}),
        ({"CapacityReservationResourceGroupArn": POOL}, None, {"group": POOL}),
        (None, None, None),
    ],
)
def test_reserved_capacity_of_a_launch_template(
    target: dict[str, str] | None, market: str | None, capacity: dict[str, str] | None
) -> None:
    # EC2 sells blocks of few types only.
    instance = "p5.48xlarge" if market else "r5.12xlarge"
    environment, queue, definition = described(ENVIRONMENT, QUEUE, DEFINITION)
    environment = changed(environment, placementGroup=None, instanceTypes=[instance])
    environment["computeResources"]["launchTemplate"] = {"launchTemplateId": "lt-1"}
    preference = {"CapacityReservationPreference": "open"}
    data: dict[str, Any] = {
        "CapacityReservationSpecification": {"CapacityReservationTarget": target}
        if target
        else preference
    }
    if market:
        data["InstanceMarketOptions"] = {"MarketType": market}
    adoption = adopted(Account([environment], [queue], [definition], templates={"lt-1": data}))
    (entry,) = yaml.safe_load(adoption.spec)["environments"].values()
    assert entry.get("capacity") == capacity
    said = [line.why for line in adoption.lines if ".capacity." in line.spec]
    assert said == ([next(iter(capacity.values()))] if capacity else [])
    assert ("placement_group" in entry) is (capacity is None)


def in_one_queue(*instances: str) -> tuple[Adoption, list[str]]:
    """Adopts a queue with an environment for each instance type; returns also their ARNs."""
    environment, queue, definition = described(ENVIRONMENT, QUEUE, DEFINITION)
    environments, arns = [], []
    for number, instance in enumerate(instances):
        name = f"number_{number}"
        arns.append(f"{ARN}compute-environment/{name}")
        environments.append(
            {
                **changed(environment, instanceTypes=[instance]),
                "computeEnvironmentName": name,
                "computeEnvironmentArn": arns[-1],
            }
        )
    queue["computeEnvironmentOrder"] = [
        {"order": 9 - number, "computeEnvironment": arn} for number, arn in enumerate(arns)
    ]
    return adopted(Account(environments, [queue], [definition])), arns[::-1]


def test_queue_never_loses_an_environment_that_jobs_run_on() -> None:
    adoption, arns = in_one_queue("r5.12xlarge", "optimal")
    (queue,) = yaml.safe_load(adoption.spec)["queues"].values()
    assert queue["environments"] == ["number_0"]
    assert queue["legacy"] == arns
    assert "the spec has nothing in place of number_1" in [line.todo for line in adoption.lines]

    adoption, arns = in_one_queue("r5.12xlarge", "m5.4xlarge")
    (queue,) = yaml.safe_load(adoption.spec)["queues"].values()
    assert queue["environments"] == ["number_1"]
    assert queue["legacy"] == arns
    (line,) = [line for line in adoption.lines if line.outcome is Outcome.CANNOT]
    assert line.todo == "add it to the queue when you remove `legacy`"


def test_queue_without_room_is_not_taken_over() -> None:
    adoption, _ = in_one_queue("r5.12xlarge", "m5.4xlarge", "c5n.18xlarge")
    (line,) = [line for line in adoption.lines if line.outcome is Outcome.CANNOT]
    assert line.todo == "remove one from the queue before you import it"
    assert (adoption.spec, adoption.imports) == ("", "")


def test_only_the_queue_asked_for_is_read() -> None:
    environment, queue, definition = described(ENVIRONMENT, QUEUE, DEFINITION)
    spot, spot_queue, _ = described(SPOT, {**QUEUE, "jobQueueName": "spot"}, DEFINITION)
    spot["computeResources"]["type"] = "FARGATE"
    account = Account([environment, spot], [queue, spot_queue], [definition])
    adoption = adopted(account, "TsunamiQueue_MAX_12")
    assert adoption.count(Outcome.CANNOT) == 0
    assert list(yaml.safe_load(adoption.spec)["queues"]) == ["TsunamiQueue_MAX_12"]
    # Together with the other queue, Fargate is named.
    assert adopted(account).count(Outcome.CANNOT) == 2


def test_unknown_queue_is_refused_with_the_nearest(handmade: Callable[..., Account]) -> None:
    with pytest.raises(InputError) as caught:
        adopted(handmade(), "TsunamiQueue_MAX_21")
    (problem,) = caught.value.problems
    assert problem.message == f'there is no job queue "TsunamiQueue_MAX_21" in {REGION}'
    assert problem.hint == "did you mean `TsunamiQueue_MAX_12`?"


def test_newest_active_revision_counts() -> None:
    environment, queue, definition = described(ENVIRONMENT, QUEUE, DEFINITION)
    arn = f"{ARN}job-definition/tsunami_nodes"
    revisions = [
        {**definition, "revision": number, "jobDefinitionArn": f"{arn}:{number}"}
        for number in (2, 10, 9)
    ]
    adoption = adopted(Account([environment], [queue], revisions))
    (line,) = [each for each in adoption.lines if each.place.pointer == "/jobDefinitionName"]
    assert line.place.file == f"{arn}:10"


def test_200_queues_and_1000_definitions_take_at_most_40_calls() -> None:
    environment, queue, definition = described(ENVIRONMENT, QUEUE, DEFINITION)
    environments, queues, definitions = [], [], []
    for number in range(200):
        arn = f"{ARN}compute-environment/e{number}"
        one = copy.deepcopy(environment)
        one |= {"computeEnvironmentName": f"e{number}", "computeEnvironmentArn": arn}
        environments.append(one)
        queues.append(
            {
                **queue,
                "jobQueueName": f"q{number}",
                "jobQueueArn": f"{ARN}job-queue/q{number}",
                "computeEnvironmentOrder": [{"order": 1, "computeEnvironment": arn}],
            }
        )
    for number in range(1000):
        name = f"d{number}"
        arn = f"{ARN}job-definition/{name}:1"
        definitions.append({**definition, "jobDefinitionName": name, "jobDefinitionArn": arn})
    account = Account(environments, queues, definitions)
    inventory = read_account(region=REGION, connect=account.connect)
    assert (len(inventory.queues), len(inventory.definitions)) == (200, 1000)
    assert len(inventory.environments) == 200
    assert len(account.calls) <= 40
    assert account.calls.count("DescribeJobDefinitions") == 10


def test_denied_look_ups_are_reported_and_the_rest_is_read(
    handmade: Callable[..., Account],
) -> None:
    adoption = adopted(handmade(denied=("DescribeFileSystems", "DescribeVpcEndpoints")))
    said = [line.why for line in adoption.lines if "AWS denies" in line.why]
    assert [each.partition(":")[0] for each in said] == [
        "AWS denies DescribeVpcEndpoints",
        "AWS denies DescribeFileSystems",
    ]
    assert "vpc: vpc-0123456789abcdef0" in adoption.spec


def test_denied_subnets_hide_nothing_else() -> None:
    environment, queue, definition = described(
        changed(ENVIRONMENT, instanceRole="tsunami"), QUEUE, DEFINITION
    )
    account = Account(
        [environment],
        [queue],
        [definition],
        denied=("DescribeSubnets",),
        file_systems=(SYSTEM,),
    )
    adoption = adopted(account)
    assert adoption.count(Outcome.CANNOT) == 0
    assert [line.why.partition(":")[0] for line in adoption.lines if "denies" in line.why] == [
        "AWS denies DescribeSubnets"
    ]
    spec = yaml.safe_load(adoption.spec)
    assert spec["network"]["vpc"] == "default"
    assert spec["storage"]["efs"]["id"] == "fs-0123456789abcdef0"
    profile = f"arn:aws:iam::{ACCOUNT}:instance-profile/batch/tsunami"
    assert spec["roles"]["instance_profile"] == profile


def test_account_where_queues_may_not_be_listed(handmade: Callable[..., Account]) -> None:
    with pytest.raises(ToolError, match="AWS denies DescribeJobQueues"):
        adopted(handmade(denied=("DescribeJobQueues",)))


READ = (
    *("GetCallerIdentity", "DescribeJobQueues", "DescribeComputeEnvironments"),
    "DescribeJobDefinitions",
)
LOOKED_UP = (
    *("DescribeSubnets", "DescribeVpcEndpoints", "DescribeFileSystems", "DescribeMountTargets"),
    *("DescribeMountTargetSecurityGroups", "GetInstanceProfile"),
)


@pytest.mark.parametrize("call", [*READ, *LOOKED_UP])
def test_each_call_may_be_denied(call: str) -> None:
    environment, queue, definition = described(
        changed(ENVIRONMENT, instanceRole="tsunami"), QUEUE, DEFINITION
    )
    parts = ([environment], [queue], [definition])
    account = Account(*parts, file_systems=(SYSTEM,))
    adopted(account)
    assert set(account.calls) == {*READ, *LOOKED_UP}
    denied = Account(*parts, file_systems=(SYSTEM,), denied=(call,))
    if call in READ:
        with pytest.raises(ToolError, match=f"AWS denies {call}"):
            adopted(denied)
        return
    adoption = adopted(denied)
    assert QUEUE["jobQueueName"] in adoption.spec
    said = [line for line in adoption.lines if f"AWS denies {call}" in line.why]
    assert [line.outcome for line in said] == [Outcome.CHANGED]
    assert f"permission for {call}" in said[0].todo
    # A name in place of an ARN is asked for.
    assert adoption.count(Outcome.CANNOT) == (call == "GetInstanceProfile")


def test_account_without_queues() -> None:
    with pytest.raises(InputError, match=f"account {ACCOUNT} has no job queues in {REGION}"):
        adopted(Account([], [], []))


def test_role_name_in_a_file_becomes_the_arn_of_its_profile(tmp_path: Path) -> None:
    queue = {
        **QUEUE,
        "computeEnvironmentOrder": [{"order": 1, "computeEnvironment": "TSUNAMI_SPOT"}],
    }
    inventory = read_json(write(tmp_path, SPOT, queue))
    look_up(inventory, REGION, connect=Account([], [], []).connect)
    adoption = adopt(inventory, Wishes(name="tsunami", region=REGION), CATALOG)
    assert adoption.count(Outcome.CANNOT) == 0
    profile = yaml.safe_load(adoption.spec)["roles"]["instance_profile"]
    assert profile == f"arn:aws:iam::{ACCOUNT}:instance-profile/batch/tsunami"


def test_queues_of_a_deployment_that_end_alike_have_a_key_each() -> None:
    environment, taken, _ = described(
        {**ENVIRONMENT, "computeEnvironmentName": "reef-mpi-" + "0" * 26},
        {**QUEUE, "jobQueueName": "mpi"},
        DEFINITION,
    )
    own = {**taken, "jobQueueName": "reef-mpi", "jobQueueArn": f"{ARN}job-queue/reef-mpi"}
    inventory = Inventory(
        source="the account",
        environments=[Item(environment, Place("environment"))],
        queues=[Item(each, Place(each["jobQueueArn"])) for each in (taken, own)],
        name="reef",
        region=REGION,
        deployed=Deployed(name="reef"),
    )
    spec = load_text(adopt(inventory, Wishes(name="reef"), CATALOG).spec.encode()).require()
    assert sorted(queue_name(spec, key) for key in spec.queues) == ["mpi", "reef-mpi"]


def test_image_of_another_registry_is_not_taken_over() -> None:
    environment, queue, definition = described(ENVIRONMENT, QUEUE, DEFINITION)
    text = json.dumps(definition).replace(IMAGE, "docker.io/waves/tsunami:v3")
    adoption = adopted(Account([environment], [queue], [json.loads(text)]), take_repository=True)
    (line,) = [line for line in adoption.lines if line.outcome is Outcome.CANNOT]
    assert "docker.io/waves/tsunami:v3 does not name a repository of Amazon ECR" in line.why


def test_no_budget_is_asked_for_where_aws_has_no_budgets() -> None:
    """In GovCloud, the name of their endpoint does not resolve.

    https://docs.aws.amazon.com/govcloud-us/latest/UserGuide/govcloud-abp.html
    """

    def connect(service: str, region: str) -> Any:
        pytest.fail(f"{service} is asked in {region}")

    assert budget_of("reef", "us-gov-west-1", connect) == {}
