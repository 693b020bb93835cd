"""From files for the AWS CLI to a spec: the tutorial's kind of setup, and bad input."""

from __future__ import annotations

import copy
import json
import os
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import botocore.session
import pytest
import yaml
from botocore.validate import ParamValidator

from mngen.adoption import Adoption, Line, Outcome, Wishes, adopt, line_text, read_json
from mngen.catalog import load_catalog
from mngen.errors import InputError, Problem
from mngen.rules import check
from mngen.spec import load_text
from tests.support.adoption import (
    ACCOUNT,
    DEFINITION,
    ENVIRONMENT,
    IMAGE,
    QUEUE,
    REGION,
    SPOT,
    changed,
    operation_of,
    write,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

CATALOG = load_catalog(Path("mngen.yaml"))
TUTORIAL = (ENVIRONMENT, QUEUE, DEFINITION)


def adopted(folder: Path, *objects: dict[str, Any], **wishes: Any) -> Adoption:
    files = write(folder, *objects)
    return adopt(read_json(files), Wishes(**{"name": "tsunami", **wishes}), CATALOG)


def data_of(adoption: Adoption) -> Any:
    return yaml.safe_load(adoption.spec)


def errors_of(adoption: Adoption) -> list[Problem]:
    """Checks a spec with the files that would be written beside it."""
    files = {name: text.encode() for name, text in adoption.files.items()}
    loaded = load_text(adoption.spec.encode(), files=files)
    return [each for each in check(loaded, CATALOG) if each.severity == "error"]


def line_at(adoption: Adoption, pointer: str, *, spec: str = "") -> Line:
    found = [
        line
        for line in adoption.lines
        if line.place.pointer == pointer and line.spec.startswith(spec)
    ]
    assert len(found) == 1, (pointer, found)
    return found[0]


def cannot(adoption: Adoption) -> list[str]:
    return [line.place.pointer for line in adoption.lines if line.outcome is Outcome.CANNOT]


@pytest.mark.parametrize("data", [*TUTORIAL, SPOT], ids=operation_of)
def test_fixture_is_what_the_aws_cli_takes(data: dict[str, Any]) -> None:
    model = botocore.session.Session().get_service_model("batch")
    shape = model.operation_model(operation_of(data)).input_shape
    assert shape is not None
    assert ParamValidator().validate(data, shape).generate_report() == ""


def test_tutorial_setup_becomes_a_spec_without_errors(tmp_path: Path) -> None:
    adoption = adopted(tmp_path, *TUTORIAL)
    assert cannot(adoption) == []
    spec = data_of(adoption)
    assert (spec["region"], spec["account"]) == (REGION, ACCOUNT)
    assert spec["environments"] == {
        "TSUNAMI_ON_DEMAND_MAXCPU_12": {
            "instance": "r5.12xlarge",
            "cpus": 12,
            "max_nodes": 20,
            "placement_group": {"existing": "TsunamiGroup"},
            "image": "ami-0123456789abcdef0",
        }
    }
    assert spec["queues"] == {
        "TsunamiQueue_MAX_12": {
            "environments": ["TSUNAMI_ON_DEMAND_MAXCPU_12"],
            "aws_name": "TsunamiQueue_MAX_12",
            "priority": 1000,
            "cancel_after": {"misconfiguration": None},
        }
    }
    file = "definitions/tsunami_nodes.json"
    assert spec["jobs"] == {
        "tsunami_nodes": {
            "queue": "TsunamiQueue_MAX_12",
            "aws_name": "tsunami_nodes",
            "definition": file,
        }
    }
    assert {name: json.loads(text) for name, text in adoption.files.items()} == {file: DEFINITION}
    assert spec["container"] == {"image": IMAGE}
    name = line_at(adoption, "/jobDefinitionName", spec="jobs.tsunami_nodes.aws_name")
    assert name.outcome is Outcome.KEPT
    assert adoption.imports == ""
    assert errors_of(adoption) == []


def test_an_environment_of_several_types_is_taken_over(tmp_path: Path) -> None:
    several = changed(
        SPOT,
        instanceTypes=["m4.4xlarge", "m5.4xlarge", "m5a.4xlarge"],
        allocationStrategy="SPOT_PRICE_CAPACITY_OPTIMIZED",
    )
    adoption = adopted(tmp_path, several)
    assert not [each for each in cannot(adoption) if "instanceTypes" in each]
    (entry,) = data_of(adoption)["environments"].values()
    assert entry["instance"] == "m4.4xlarge"
    assert entry["alternatives"] == ["m5.4xlarge", "m5a.4xlarge"]
    assert entry["allocation"] == "spot-price-capacity-optimized"
    assert entry["multi_node"] is False
    assert [each for each in errors_of(adoption) if each.path.startswith("environments")] == []


def test_types_that_are_not_alike_are_named(tmp_path: Path) -> None:
    several = changed(SPOT, instanceTypes=["m4.4xlarge", "m5.4xlarge", "m5.8xlarge"])
    adoption = adopted(tmp_path, several)
    assert cannot(adoption)[0] == "/computeResources/instanceTypes"
    line = line_at(adoption, "/computeResources/instanceTypes")
    assert "m5.8xlarge has 16 cores for jobs, and `m4.4xlarge` has 8" in line_text(line)


def test_node_ranges_stay_as_they_are(tmp_path: Path) -> None:
    definition = copy.deepcopy(DEFINITION)
    nodes = definition["nodeProperties"]
    first = copy.deepcopy(nodes["nodeRangeProperties"][0])
    first |= {"targetNodes": "0:0"}
    first["container"] |= {"command": ["main", "Ref::case"], "vcpus": 4, "memory": 8000}
    nodes["nodeRangeProperties"][0]["targetNodes"] = "1:"
    nodes["nodeRangeProperties"].insert(0, first)
    definition |= {"parameters": {"case": "north"}, "tags": {"group": "ocean"}}
    adoption = adopted(tmp_path, ENVIRONMENT, QUEUE, definition)
    assert cannot(adoption) == []
    assert json.loads(adoption.files["definitions/tsunami_nodes.json"]) == definition


def with_container(**changes: Any) -> dict[str, Any]:
    definition = copy.deepcopy(DEFINITION)
    definition["nodeProperties"]["nodeRangeProperties"][0]["container"] |= changes
    return definition


def test_definition_that_the_spec_cannot_carry_stays_outside(tmp_path: Path) -> None:
    definition = with_container(networkConfiguration={"assignPublicIp": "ENABLED"})
    adoption = adopted(tmp_path, ENVIRONMENT, QUEUE, definition)
    assert cannot(adoption) == []
    assert "jobs" not in data_of(adoption)
    assert adoption.files == {}
    pointer = "/nodeProperties/nodeRangeProperties/0/container/networkConfiguration"
    (line,) = [each for each in adoption.lines if "outside the spec" in each.why]
    assert (line.place.pointer, line.outcome, line.spec) == (pointer, Outcome.KEPT, "")
    assert "for jobs of Fargate only" in line.why
    assert not [each for each in adoption.lines if each.spec.startswith("jobs.")]
    assert line_at(adoption, f"{pointer.rpartition('/')[0]}/privileged").outcome is Outcome.KEPT
    assert "job definition `tsunami_nodes`: stays outside the spec" in adoption.report


def test_definition_that_no_instance_can_run_is_reported_first(tmp_path: Path) -> None:
    adoption = adopted(tmp_path, ENVIRONMENT, QUEUE, with_container(vcpus=500))
    assert cannot(adoption) == []
    assert "jobs" not in data_of(adoption)
    (line,) = [each for each in adoption.lines if "outside the spec" in each.why]
    assert line.place.pointer == "/nodeProperties/nodeRangeProperties/0/container/vcpus"
    assert line.breaks
    assert adoption.lines.index(line) < 3


def test_file_of_a_definition_cannot_leave_its_folder(tmp_path: Path) -> None:
    definition = {**DEFINITION, "jobDefinitionName": "../../tsunami"}
    adoption = adopted(tmp_path, ENVIRONMENT, QUEUE, definition)
    assert adoption.files == {}
    assert "jobs" not in data_of(adoption)


@pytest.mark.parametrize(
    "value", ["\u00b2", "9" * 5000, "0.5", ""], ids=["raised", "long", "fraction", "empty"]
)
def test_vcpus_that_are_no_number_keep_a_definition_outside(value: str, tmp_path: Path) -> None:
    needs = [{"type": "VCPU", "value": value}, {"type": "MEMORY", "value": "2000"}]
    container = {"image": IMAGE, "resourceRequirements": needs}
    data = {"jobDefinitionName": "post", "type": "container", "containerProperties": container}
    adoption = adopted(tmp_path, ENVIRONMENT, QUEUE, data)
    assert "jobs" not in data_of(adoption)
    assert errors_of(adoption) == []


def test_without_a_queue_a_definition_goes_to_the_one_that_is_added(tmp_path: Path) -> None:
    adoption = adopted(tmp_path, ENVIRONMENT, DEFINITION)
    (job,) = data_of(adoption)["jobs"].values()
    assert job["queue"] == "TSUNAMI_ON_DEMAND_MAXCPU_12"


def test_report_begins_with_what_breaks_a_job(tmp_path: Path) -> None:
    adoption = adopted(tmp_path, *TUTORIAL)
    container = "/nodeProperties/nodeRangeProperties/0/container"
    first = adoption.lines[0]
    assert (first.place.pointer, first.breaks) == (f"{container}/jobRoleArn", True)
    assert "no job role" in first.why
    assert line_at(adoption, f"{container}/privileged").outcome is Outcome.KEPT
    assert "/local" in line_at(adoption, f"{container}/volumes").why
    assert line_at(adoption, "/computeResources/desiredvCpus").outcome is Outcome.CHANGED
    rest = line_at(adoption, "/computeResources/maxvCpus")
    assert rest.outcome is Outcome.CHANGED
    assert "1000 / 48 vCPUs = 20 nodes; the remainder of 40 vCPUs" in rest.why
    shown = adoption.report.index("jobRoleArn")
    assert shown < adoption.report.index("## Changed") < adoption.report.index("## Kept")


def test_every_value_has_a_line(tmp_path: Path) -> None:
    """The report misses no value: each leaf is below the pointer of some line."""
    adoption = adopted(tmp_path, *TUTORIAL)
    for number, data in enumerate(TUTORIAL):
        file = str(tmp_path / f"{number}.json")
        told = [line.place.pointer for line in adoption.lines if line.place.file == file]
        for leaf in leaves(data):
            # Whether an object is managed and enabled is worth a line only if it is not.
            if leaf not in {"/type", "/state"} and not leaf.endswith("/order"):
                assert any(leaf == each or leaf.startswith(f"{each}/") for each in told), leaf


def leaves(data: Any, pointer: str = "") -> Iterable[str]:
    if isinstance(data, dict):
        for key, value in data.items():
            yield from leaves(value, f"{pointer}/{key}")
    elif isinstance(data, list):
        for number, value in enumerate(data):
            yield from leaves(value, f"{pointer}/{number}")
    else:
        yield pointer


def test_spot_environment_keeps_its_bid_and_asks_for_the_profile(tmp_path: Path) -> None:
    queue = {
        "jobQueueName": "spot",
        "priority": 1,
        "computeEnvironmentOrder": [{"order": 0, "computeEnvironment": "TSUNAMI_SPOT"}],
    }
    empty = changed(SPOT, imageId="", ec2KeyPair="")
    adoption = adopted(tmp_path, empty, queue, region="eu-west-1")
    assert cannot(adoption) == [
        "/computeResources/imageId",
        "/computeResources/ec2KeyPair",
        "/computeResources/instanceRole",
    ]
    role = line_at(adoption, "/computeResources/instanceRole")
    assert "aws iam get-instance-profile --instance-profile-name tsunami" in role.todo
    entry = data_of(adoption)["environments"]["TSUNAMI_SPOT"]
    assert entry == {
        "instance": "m5.4xlarge",
        "hyperthreading": True,
        "max_nodes": 62,
        "purchase": "spot",
        "multi_node": False,
        "bid_percentage": 40,
    }
    rest = line_at(adoption, "/computeResources/maxvCpus")
    assert "the remainder of 8 vCPUs is less than a node" in rest.why


@pytest.mark.parametrize(
    ("name", "limit", "entry"),
    [
        ("R5_MAXCPU_24", 24, {"hyperthreading": False}),
        ("R5_MAX_48", 48, {"hyperthreading": True}),
        ("R5_MAXCPU_16", 16, {"cpus": 16}),
        ("R5_MAXCPU_30", 48, {"hyperthreading": True}),
        ("plain", 12, {"cpus": 12}),
    ],
)
def test_cpus_of_an_ami_follow_from_the_name_or_the_jobs(
    name: str, limit: int, entry: dict[str, Any], tmp_path: Path
) -> None:
    environment = {**ENVIRONMENT, "computeEnvironmentName": name}
    queue = {
        **QUEUE,
        "computeEnvironmentOrder": [{"order": 1, "computeEnvironment": name}],
    }
    adoption = adopted(tmp_path, environment, queue, DEFINITION)
    found = data_of(adoption)["environments"][name]
    kept = {key: found[key] for key in ("hyperthreading", "cpus") if key in found}
    assert kept == entry
    line = line_at(adoption, "/computeEnvironmentName")
    assert str(limit) in line.why or entry == {"hyperthreading": False}


UNFIT = {
    "unmanaged": ({**ENVIRONMENT, "type": "UNMANAGED"}, "/type"),
    "disabled": ({**ENVIRONMENT, "state": "DISABLED"}, "/state"),
    "eks": (
        {
            **ENVIRONMENT,
            "eksConfiguration": {"eksClusterArn": "arn", "kubernetesNamespace": "batch"},
        },
        "/eksConfiguration",
    ),
    "fargate": (changed(ENVIRONMENT, type="FARGATE_SPOT"), "/computeResources/type"),
    "optimal": (
        changed(ENVIRONMENT, instanceTypes=["optimal"]),
        "/computeResources/instanceTypes",
    ),
    "family": (changed(ENVIRONMENT, instanceTypes=["r5"]), "/computeResources/instanceTypes"),
    "several": (
        changed(ENVIRONMENT, instanceTypes=["r5.large", "r5.xlarge"]),
        "/computeResources/instanceTypes",
    ),
    "unknown type": (
        changed(ENVIRONMENT, instanceTypes=["r5.13xlarge"]),
        "/computeResources/instanceTypes",
    ),
    "too small": (changed(ENVIRONMENT, maxvCpus=47), "/computeResources/maxvCpus"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_what_a_spec_has_no_word_for_is_named(case: str, tmp_path: Path) -> None:
    environment, pointer = UNFIT[case]
    adoption = adopted(tmp_path, environment, QUEUE, DEFINITION)
    assert cannot(adoption)[0] == pointer
    # Its queue cannot be written then either.
    assert cannot(adoption)[1:] == ["/computeEnvironmentOrder"]
    assert adoption.spec == ""


@pytest.mark.parametrize("case", UNFIT)
def test_what_no_queue_has_is_no_reason_to_fail(case: str, tmp_path: Path) -> None:
    """As in an account, where an environment in no queue that is asked for is not even read."""
    alone = tmp_path / "alone"
    alone.mkdir()
    expected = adopted(alone, *TUTORIAL)
    unfit, pointer = UNFIT[case]
    other = {**unfit, "computeEnvironmentName": "other", "serviceRole": ""}
    adoption = adopted(tmp_path, *TUTORIAL, other)
    assert cannot(adoption) == cannot(expected) == []
    assert data_of(adoption) == data_of(expected)
    said = {
        line.place.pointer: line.why
        for line in adoption.lines
        if line.place.file == str(tmp_path / "3.json") and line.why.startswith("left alone")
    }
    assert set(said) == {pointer, "/serviceRole"}
    # A queue has it by its ARN, too.
    order = [
        {"order": 1, "computeEnvironment": ENVIRONMENT["computeEnvironmentName"]},
        {
            "order": 2,
            "computeEnvironment": f"arn:aws:batch:{REGION}:{ACCOUNT}:compute-environment/other",
        },
    ]
    queue = {**QUEUE, "computeEnvironmentOrder": order}
    assert pointer in cannot(adopted(tmp_path, ENVIRONMENT, queue, DEFINITION, other))


def test_an_environment_in_no_queue_that_a_rule_refuses_is_left_alone(tmp_path: Path) -> None:
    # Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/placement-groups.html
    # (burstable types are in no cluster placement group)
    burstable = changed(ENVIRONMENT, instanceTypes=["t3.2xlarge"])
    adoption = adopted(tmp_path, *TUTORIAL, {**burstable, "computeEnvironmentName": "other"})
    assert cannot(adoption) == []
    assert list(data_of(adoption)["environments"]) == [ENVIRONMENT["computeEnvironmentName"]]
    (line,) = [each for each in adoption.lines if each.why.startswith("left alone")]
    assert line.place.pointer == "/computeResources/placementGroup"


def test_each_node_range_without_a_role_is_named(tmp_path: Path) -> None:
    ranges: list[dict[str, Any]] = [
        {"targetNodes": "0:0", "container": {"image": IMAGE, "command": ["main", "Ref::case"]}},
        {
            "targetNodes": "1:",
            "container": {
                "image": IMAGE,
                "jobRoleArn": f"arn:aws:iam::{ACCOUNT}:role/worker",
                "secrets": [{"name": "KEY", "valueFrom": "arn:aws:ssm:eu-west-1::parameter/key"}],
                "resourceRequirements": [
                    {"type": "VCPU", "value": "12"},
                    {"type": "MEMORY", "value": "9000"},
                ],
            },
        },
    ]
    definition = {
        "jobDefinitionName": "two",
        "type": "multinode",
        "parameters": {"case": "north"},
        "nodeProperties": {"numNodes": 3, "mainNode": 0, "nodeRangeProperties": ranges},
    }
    adoption = adopted(tmp_path, ENVIRONMENT, QUEUE, definition)
    assert line_at(adoption, "/parameters").outcome is Outcome.KEPT
    roles = [line for line in adoption.lines if line.place.pointer.endswith("/jobRoleArn")]
    assert [(line.place.pointer[-24:], line.breaks) for line in roles] == [
        ("ties/0/container/jobRoleArn"[-24:], True),
        ("ties/1/container/jobRoleArn"[-24:], False),
    ]
    secrets = line_at(adoption, "/nodeProperties/nodeRangeProperties/1/container/secrets")
    assert secrets.breaks
    assert "MN415" in secrets.why
    ranges[1]["container"]["executionRoleArn"] = f"arn:aws:iam::{ACCOUNT}:role/execution"
    adoption = adopted(tmp_path, ENVIRONMENT, QUEUE, definition)
    assert not line_at(adoption, secrets.place.pointer).breaks


def test_definition_without_a_queue_names_no_option_that_files_do_not_have(tmp_path: Path) -> None:
    adoption = adopted(tmp_path, DEFINITION)
    (line,) = [each for each in adoption.lines if "outside the spec" in each.why]
    assert "the spec has no queue for its jobs" in line.why
    assert line.todo == ""
    assert adoption.spec == ""


def test_containers_of_an_ecs_task_are_read(tmp_path: Path) -> None:
    task = {
        "containers": [
            {"image": IMAGE, "mountPoints": [{"sourceVolume": "data", "containerPath": "/d"}]},
            {
                "image": "busybox",
                "environment": [{"name": "A", "value": "b"}],
                "secrets": [{"name": "KEY", "valueFrom": "license"}],
            },
        ],
        "executionRoleArn": f"arn:aws:iam::{ACCOUNT}:role/execution",
        "ipcMode": "host",
        "volumes": [{"name": "data", "host": {"sourcePath": "/efs/data"}}],
    }
    definition = {
        "jobDefinitionName": "several",
        "type": "container",
        "ecsProperties": {"taskProperties": [task]},
    }
    adoption = adopted(tmp_path, ENVIRONMENT, QUEUE, definition)
    at = "/ecsProperties/taskProperties/0"
    assert line_at(adoption, f"{at}/taskRoleArn").breaks
    assert line_at(adoption, f"{at}/ipcMode").outcome is Outcome.KEPT
    assert line_at(adoption, f"{at}/containers/1/environment").outcome is Outcome.KEPT
    # The task has the execution role for its containers.
    assert not line_at(adoption, f"{at}/containers/1/secrets").breaks
    spec = data_of(adoption)
    assert spec["container"] == {"image": IMAGE}
    assert spec["storage"]["efs"]["mount"] == "/efs/data"


def test_fargate_definition_needs_no_role_and_no_queue_of_the_spec(tmp_path: Path) -> None:
    definition = {
        "jobDefinitionName": "small",
        "type": "container",
        "platformCapabilities": ["FARGATE"],
        "containerProperties": {"image": "busybox"},
    }
    adoption = adopted(tmp_path, ENVIRONMENT, QUEUE, definition)
    line = line_at(adoption, "/jobDefinitionName")
    assert "its jobs run on Fargate, not on the instances of the spec" in line.why
    assert not [each for each in adoption.lines if each.place.pointer.endswith("jobRoleArn")]
    assert "container" not in data_of(adoption)


def test_longer_limit_of_two_misconfigurations_counts(tmp_path: Path) -> None:
    actions = [
        {"reason": f"MISCONFIGURATION:{reason}", "state": "RUNNABLE", "action": "CANCEL"}
        | {"maxTimeSeconds": seconds}
        for reason, seconds in (
            ("JOB_RESOURCE_REQUIREMENT", 900),
            ("COMPUTE_ENVIRONMENT_MAX_RESOURCE", 600),
        )
    ]
    adoption = adopted(tmp_path, ENVIRONMENT, {**QUEUE, "jobStateTimeLimitActions": actions})
    (queue,) = data_of(adoption)["queues"].values()
    assert queue["cancel_after"] == {"misconfiguration": 900}
    assert line_at(adoption, "/jobStateTimeLimitActions/1").outcome is Outcome.CHANGED


def test_comments_and_byte_order_mark_are_allowed(tmp_path: Path) -> None:
    text = json.dumps(QUEUE, indent=2)
    file = tmp_path / "queue.json"
    commented = "\ufeff// the queue\n" + text.replace(
        '"priority"', '/* "high" */ "priority"'
    ).replace("TsunamiQueue_MAX_12", "a//b#c")
    file.write_text(commented, encoding="utf-8")
    item = read_json([file]).queues[0]
    assert item.data == {**QUEUE, "jobQueueName": "a//b#c"}


def test_unknown_key_is_named_with_the_nearest(tmp_path: Path) -> None:
    adoption = adopted(tmp_path, changed(ENVIRONMENT, maxvCPUs=7), QUEUE, DEFINITION)
    line = line_at(adoption, "/computeResources/maxvCPUs")
    assert (line.outcome, line.why) == (
        Outcome.CANNOT,
        "unknown key: the AWS CLI refuses it",
    )
    assert line.todo == "did you mean `maxvCpus`?"


BAD = {
    "not JSON": ("{", "not valid JSON", ":1:2"),
    "a list": ("[]", "expected a JSON object", ""),
    "something else": ("{}", "not a compute environment, job queue or job definition", ""),
    "key written twice": (
        '{"jobQueueName": "a", "jobQueueName": "b"}',
        'the key "jobQueueName" is written twice',
        "",
    ),
    "wrong type": (
        json.dumps(changed(ENVIRONMENT, minvCpus="0")),
        "/computeResources/minvCpus: expected a number",
        "",
    ),
    "bool for a number": (
        json.dumps({**QUEUE, "priority": True}),
        "/priority: expected a number",
        "",
    ),
    "half a character": (
        '{"jobQueueName": "\\ud800"}',
        r"the escape \ud800 is half of a character",
        "",
    ),
    "too deep": ('{"jobQueueName":' + "[" * 100_000, "not valid JSON", ""),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_file_is_refused_with_its_name(case: str, tmp_path: Path) -> None:
    text, message, _ = BAD[case]
    file = tmp_path / "bad.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_json([file])
    (problem,) = caught.value.problems
    assert message in problem.message
    assert problem.file == str(file)


def test_text_of_a_file_cannot_drive_the_terminal(tmp_path: Path) -> None:
    adoption = adopted(tmp_path, ENVIRONMENT, {**QUEUE, "tags": {"\x1b[31m": "red"}})
    lines = "".join(line_text(line) for line in adoption.lines)
    assert "\x1b" not in lines + adoption.report
    assert r"\x1b[31m" in lines


@pytest.mark.parametrize("name", ["a\x1b.json", "a\nb.json", os.fsdecode(b"a\xff.json")])
def test_files_may_have_any_name(name: str, tmp_path: Path) -> None:
    (file,) = write(tmp_path, SPOT)
    named = file.rename(tmp_path / name)
    adoption = adopt(read_json([named]), Wishes(name="tsunami"), CATALOG)
    assert data_of(adoption)["name"] == "tsunami"
    assert adoption.report.encode()


def test_all_bad_files_are_reported_at_once(tmp_path: Path) -> None:
    (tmp_path / "empty.json").write_text("", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_json([tmp_path / "empty.json", tmp_path / "missing.json"])
    messages = [each.message for each in caught.value.problems]
    assert len(messages) == 2
    assert messages[0].startswith("not valid JSON")
    assert messages[1] == f"there is no file {tmp_path / 'missing.json'}"


def test_same_name_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='"TsunamiQueue_MAX_12" is also in'):
        read_json(write(tmp_path, QUEUE, QUEUE))


def places(data: Any, path: tuple[str | int, ...] = ()) -> Iterable[tuple[str | int, ...]]:
    if path:
        yield path
    keys = data if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ()
    for key in keys:
        yield from places(data[key], (*path, key))


ALIKE: dict[type, list[Any]] = {
    str: ["", "a b", "a.b", "optimal", "SPOT", "../x", "x" * 200, "${x}", "\n- a: b", "é\0"],
    int: [0, -1, 48, 10**12],
}


def mangled(data: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """Returns an object with another value of the same kind, or of any kind, in one place."""
    made = copy.deepcopy(data)
    path = chance.choice(list(places(made)))
    inside: Any = made
    for key in path[:-1]:
        inside = inside[key]
    last: Any = path[-1]
    alike = ALIKE.get(type(inside[last]), [None, [], {}])
    inside[last] = chance.choice([*alike, None, 1.5, [1], {"a": 1}])
    return made


@pytest.mark.parametrize("seed", range(60))
def test_mangled_files_are_refused_or_reported(seed: int, tmp_path: Path) -> None:
    """Whatever a file holds, it is refused with its name, or gives a spec that has no errors."""
    chance = random.Random(seed)
    files = write(tmp_path, *(mangled(each, chance) for each in TUTORIAL))
    refused: tuple[Problem, ...] = ()
    adoption = None
    try:
        adoption = adopt(read_json(files), Wishes(name="tsunami"), CATALOG)
    except InputError as error:
        refused = error.problems
    assert all(each.file for each in refused)
    assert adoption is None or not adoption.spec or errors_of(adoption) == []


def test_environment_alone_gets_a_queue_and_a_region(tmp_path: Path) -> None:
    alone = changed(SPOT, instanceRole=None)
    adoption = adopted(tmp_path, alone, default_region="eu-north-1")
    spec = data_of(adoption)
    assert spec["region"] == "eu-north-1"
    assert spec["queues"] == {"TSUNAMI_SPOT": {"environments": ["TSUNAMI_SPOT"]}}
    assert "nothing that was read names a region" in adoption.lines[0].why
    assert cannot(adoption) == []


def test_environment_that_the_rules_refuse_is_left_out_and_named(tmp_path: Path) -> None:
    environment = changed(ENVIRONMENT, instanceTypes=["t3.large"])
    adoption = adopted(tmp_path, environment, QUEUE)
    refused = [line for line in adoption.lines if line.outcome is Outcome.CANNOT]
    assert refused[0].why.endswith(" (MN123)")
    assert refused[1].why == "none of its environments can be written in a spec"
    assert len(refused) == 2
    assert adoption.spec == ""
    # Nothing is in a spec, so nothing was kept there.
    kept = {line.spec for line in adoption.lines if line.outcome is Outcome.KEPT}
    assert not [each for each in kept if each.startswith(("environments.", "queues."))]


def test_what_the_rules_refuse_is_named_by_its_place_in_the_file(tmp_path: Path) -> None:
    environment = changed(ENVIRONMENT, imageId="ami-XXXX", placementGroup="a" * 300)
    adoption = adopted(tmp_path, environment, QUEUE)
    pointers = cannot(adoption)
    assert "/computeResources/imageId" in pointers
    assert "/computeResources/placementGroup" in pointers
    with pytest.raises(InputError) as caught:
        adopted(tmp_path, changed(ENVIRONMENT, securityGroupIds=["sg-1", "sg-x"]), QUEUE)
    assert [each.message.partition(":")[0] for each in caught.value.problems] == [
        "/computeResources/securityGroupIds/0",
        "/computeResources/securityGroupIds/1",
    ]
    assert {each.file for each in caught.value.problems} == {str(tmp_path / "0.json")}


def test_control_character_is_named_by_its_place_in_the_file(tmp_path: Path) -> None:
    adoption = adopted(tmp_path, changed(ENVIRONMENT, placementGroup="a\x7fb"), QUEUE)
    assert cannot(adoption)[0] == "/computeResources/placementGroup"


def test_name_with_a_dot_is_refused_with_its_file(tmp_path: Path) -> None:
    environment = {**ENVIRONMENT, "computeEnvironmentName": "a.b"}
    order = [{"order": 1, "computeEnvironment": "a.b"}]
    adoption = adopted(tmp_path, environment, {**QUEUE, "computeEnvironmentOrder": order})
    refused = [line for line in adoption.lines if line.outcome is Outcome.CANNOT]
    assert refused[0].place.file == str(tmp_path / "0.json")
    assert '"a.b"' in refused[0].why


def test_account_of_an_image_counts_only_without_another(tmp_path: Path) -> None:
    container = {"image": "111122223333.dkr.ecr.us-west-2.amazonaws.com/shared:1"}
    definition = {"jobDefinitionName": "j", "type": "container", "containerProperties": container}
    twice = {**definition, "jobDefinitionName": "k"}
    adoption = adopted(tmp_path, ENVIRONMENT, QUEUE, definition, twice)
    assert data_of(adoption)["account"] == ACCOUNT
    alone = changed(ENVIRONMENT, instanceRole=None)
    del alone["serviceRole"]
    adoption = adopted(tmp_path, alone, QUEUE, definition)
    assert data_of(adoption)["account"] == "111122223333"
    assert data_of(adoption)["region"] == "us-west-2"
    lines = [line for line in adoption.lines if line.spec in {"account", "region"}]
    assert [line.breaks for line in lines] == [True, True]


def test_repository_is_taken_over_only_if_asked(tmp_path: Path) -> None:
    adoption = adopted(tmp_path, *TUTORIAL, take_repository=True)
    assert data_of(adoption)["container"] == {"aws_name": "tsunami", "tag": "v3"}
