"""Job definitions from files: what is refused, and what follows from them for the job.

What AWS takes is what botocore's own validator takes, which the AWS CLI runs before it sends a
file. `WAVE` has the shape of
https://github.com/HARC-PTI/Pre_Built_Tools-for-Amazon-AWS (create_and_submit_jobs.py), and the
fields of `coupled.json` are those that a described definition has:
https://docs.aws.amazon.com/batch/latest/APIReference/API_JobDefinition.html.
"""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator
from hypothesis import given, settings
from hypothesis import strategies as st

from mngen.catalog import load_catalog
from mngen.errors import InputError, Problem, Severity, format_problems
from mngen.rules import check, require
from mngen.spec import (
    Document,
    Job,
    JobFromFile,
    LoadedSpec,
    Mount,
    Tmpfs,
    Ulimit,
    key_changes,
    load,
    load_text,
    parse,
    written,
)
from tests.support.cli import CHECKOUT, mngen

SPECS = Path(__file__).resolve().parents[2] / "specs"
COUPLED = (SPECS / "definitions" / "coupled.json").read_bytes()

CONTAINER: dict[str, Any] = {
    "image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/wave_mpi:v1.1",
    "vcpus": 24,
    "memory": 12000,
    "environment": [{"name": "NUM_CORES", "value": "24"}],
    "volumes": [{"name": "efs", "host": {"sourcePath": "/efs"}}],
    "mountPoints": [{"sourceVolume": "efs", "containerPath": "/efs"}],
}
WAVE: dict[str, Any] = {
    "jobDefinitionName": "wave",
    "type": "multinode",
    "nodeProperties": {
        "numNodes": 2,
        "mainNode": 0,
        "nodeRangeProperties": [{"targetNodes": "0:1", "container": CONTAINER}],
    },
    "retryStrategy": {"attempts": 2},
}
EFS_VOLUME = (
    *("nodeProperties", "nodeRangeProperties", 0, "container"),
    *("volumes", 0, "efsVolumeConfiguration"),
)
EFS = copy.deepcopy(WAVE)
EFS["nodeProperties"]["nodeRangeProperties"][0]["container"] |= {
    "jobRoleArn": "arn:aws:iam::123456789012:role/wave",
    "volumes": [
        {
            "name": "efs",
            "efsVolumeConfiguration": {
                "fileSystemId": "fs-0123456789abcdef0",
                "rootDirectory": "/",
                "transitEncryption": "ENABLED",
                "authorizationConfig": {
                    "accessPointId": "fsap-0123456789abcdef0",
                    "iam": "ENABLED",
                },
            },
        }
    ],
}
POST: dict[str, Any] = {"type": "container", "containerProperties": CONTAINER}
FIRST = ("nodeProperties", "nodeRangeProperties", 0)
INNER = (*FIRST, "container")
SPEC = """\
name: lab
region: us-east-1
network: {vpc: new, zones: [us-east-1a]}
environments:
  r5: {instance: r5.12xlarge, max_nodes: 4}
queues:
  mpi: {environments: [r5]}
jobs:
  wave:
    queue: mpi
    aws_name: wave
    definition: wave.json
"""


def loaded(content: Any, spec: str = SPEC) -> LoadedSpec:
    raw = content if isinstance(content, bytes) else json.dumps(content, indent=2).encode()
    return load_text(spec.encode(), files={"wave.json": raw})


def with_value(data: dict[str, Any], path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    """Return a copy with another value at a path; None removes it."""
    data = copy.deepcopy(data)
    parent: Any = data
    for part in path[:-1]:
        parent = parent[part]
    if value is None:
        del parent[path[-1]]
    else:
        parent[path[-1]] = value
    return data


def taken(content: Any) -> JobFromFile:
    job = loaded(content).require().jobs["wave"]
    assert isinstance(job, JobFromFile)
    return job


def test_the_keys_of_a_job_follow_from_its_definition() -> None:
    job = taken(COUPLED)
    assert job.nodes == 3
    # Each node range must fit: the largest one decides.
    assert (job.vcpus, job.memory) == (24, 180_000)
    assert job.shared_memory == 64
    assert (job.attempts, job.timeout) == (2, 3600)
    # Of the main node.
    assert job.command == ("main", "Ref::case", '${HOME} "quoted" %{x}')
    assert job.role == "arn:aws:iam::123456789012:role/coupled-job"
    assert job.environment == {}
    assert job.image == "123456789012.dkr.ecr.eu-west-1.amazonaws.com/coupled:1"


def test_a_definition_of_one_node_and_nothing_else() -> None:
    job = taken(POST)
    assert (job.nodes, job.vcpus, job.memory, job.attempts) == (None, 24, 12_000, 1)
    assert job.command == ()
    assert job.environment == {"NUM_CORES": "24"}


def test_what_only_describes_is_left_out_and_all_else_stays() -> None:
    content = json.loads(COUPLED)
    found = dict(taken(COUPLED).from_file.content)
    for described in ("jobDefinitionArn", "revision", "status", "containerOrchestrationType"):
        del content[described]
    # AWS sets its own tags, and takes them from nobody else.
    del content["tags"]["aws:cloudformation:stack-name"]
    assert found == content


def test_the_later_one_of_node_ranges_that_overlap_is_the_main_nodes() -> None:
    """Source: API_NodeRangeProperty: ranges may be nested, and the later one counts."""
    second = {"targetNodes": "0:0", "container": {**CONTAINER, "command": ["main"]}}
    content = with_value(
        WAVE,
        ("nodeProperties", "nodeRangeProperties"),
        [{"targetNodes": "0:", "container": CONTAINER}, second],
    )
    assert taken(content).command == ("main",)


def test_what_a_container_has_is_in_the_keys_of_the_job() -> None:
    inside = {
        "ulimits": [{"name": "stack", "softLimit": 8, "hardLimit": -1}],
        "linuxParameters": {
            "tmpfs": [{"containerPath": "/work", "size": 64, "mountOptions": ["exec"]}]
        },
        "user": "1000",
        "privileged": True,
        "enableExecuteCommand": True,
        "readonlyRootFilesystem": True,
        "volumes": [{"name": "data", "host": {"sourcePath": "/data"}}, {"name": "scratch"}],
        "mountPoints": [
            {"sourceVolume": "data", "containerPath": "/in", "readOnly": True},
            {"sourceVolume": "scratch", "containerPath": "/out"},
        ],
    }
    content = with_value(WAVE, INNER, {**CONTAINER, **inside})
    job = taken(content)
    assert job.ulimits == {"stack": Ulimit(soft=8, hard=-1)}
    assert job.tmpfs == (Tmpfs(path="/work", size=64, options=("exec",)),)
    assert job.mounts == (Mount(host="/data", path="/in", read_only=True),)
    assert (job.user, job.privileged, job.shell) == ("1000", True, True)
    # What a rule finds in them is shown in the file.
    found = loaded(content)
    [problem] = [each for each in check(found, load_catalog()) if each.rule == "MN473"]
    assert problem.message.startswith("/nodeProperties/nodeRangeProperties/0/container/privileged")
    # Its shells would not open: the root file system is read-only, and there is no role.
    at = "/nodeProperties/nodeRangeProperties/0/container/enableExecuteCommand: "
    for rule in ("MN479", "MN480"):
        [problem] = [each for each in check(found, load_catalog()) if each.rule == rule]
        assert problem.message.startswith(at)


def test_each_container_with_a_shell_is_looked_at() -> None:
    """ECS starts a task for each node, with the role of its own container."""
    role = "arn:aws:iam::123456789012:role/wave"
    main = {**CONTAINER, "jobRoleArn": role, "readonlyRootFilesystem": True}
    worker = {**CONTAINER, "enableExecuteCommand": True}
    ranges = ("nodeProperties", "nodeRangeProperties")

    def content(worker: dict[str, Any]) -> dict[str, Any]:
        both = [
            {"targetNodes": "0:0", "container": main},
            {"targetNodes": "1:", "container": worker},
        ]
        return with_value(WAVE, ranges, both)

    def found(worker: dict[str, Any]) -> dict[str | None, Problem]:
        rules = {"MN466", "MN479", "MN480"}
        problems = check(loaded(content(worker)), load_catalog())
        return {each.rule: each for each in problems if each.rule in rules}

    assert taken(content(worker)).shell
    assert not taken(content(CONTAINER)).shell
    assert found(CONTAINER) == {}
    at = "/nodeProperties/nodeRangeProperties/1/container/enableExecuteCommand: "
    # The main node's container has a role, and is the one that is read-only.
    [(rule, problem)] = found(worker).items()
    assert (rule, problem.message) == ("MN479", f"{at}the containers have no role")
    assert problem.position is not None
    own = {**worker, "jobRoleArn": f"{role}-worker"}
    assert [each.message for each in found(own).values()] == [
        f"{at}{role}-worker must allow ECS Exec"
    ]
    assert set(found({**own, "readonlyRootFilesystem": True})) == {"MN466", "MN480"}


@pytest.mark.parametrize(("node", "number"), [(0, 0), (1, 2), (2, 1), (9, 1)])
def test_the_container_of_a_node(node: int, number: int) -> None:
    """Source: API_NodeRangeProperty: a range without end has all nodes to the last one."""
    ranges = [
        {"targetNodes": bounds, "container": {**CONTAINER, "user": bounds}}
        for bounds in ("0:0", "1:", "1:1")
    ]
    content = with_value(WAVE, ("nodeProperties",), {**WAVE["nodeProperties"], "numNodes": 3})
    content["nodeProperties"]["nodeRangeProperties"] = ranges
    path, container = taken(content).from_file.container_of(node)
    assert path == ("nodeProperties", "nodeRangeProperties", number, "container")
    assert container["user"] == ranges[number]["targetNodes"]


EXCLUDED = [
    *("nodes: 2", "vcpus: 4", "memory: 4096", "gpus: 1", "shared_memory: 64", "command: [a]"),
    *("ranks_per_node: 2", "threads_per_rank: 2", "launcher: none", "mpi_args: [-v]"),
    *("environment: {A: b}", "attempts: 1", "timeout: 600", "image: a/b:1"),
    "role: arn:aws:iam::123456789012:role/a",
    *("ulimits: {stack: -1}", "tmpfs: [{path: /a, size: 1}]", "user: mpi", "privileged: true"),
    *("shell: true", "retry: [lost-host]"),
    "outputs: /efs/runs",
    *("mounts: [{host: /opt, path: /opt}]", "secrets: {A: /a}"),
    "container_properties: {readonlyRootFilesystem: true}",
    'groups: {a: {nodes: "0:"}}',
    "registry_credentials: arn:aws:secretsmanager:us-east-1:123456789012:secret:a-AbCdEf",
]
REFUSED = {
    "/consumableResourceProperties",
    "/containerProperties",
    "/ecsProperties",
    "/eksProperties",
    "/nodeProperties/nodeRangeProperties/consumableResourceProperties",
    "/nodeProperties/nodeRangeProperties/ecsProperties",
    "/nodeProperties/nodeRangeProperties/eksProperties",
    "/nodeProperties/nodeRangeProperties/instanceTypes",
    "/nodeProperties/nodeRangeProperties/container/ephemeralStorage",
    "/nodeProperties/nodeRangeProperties/container/fargatePlatformConfiguration",
    "/nodeProperties/nodeRangeProperties/container/networkConfiguration",
    "/nodeProperties/nodeRangeProperties/container/runtimePlatform",
    "/nodeProperties/nodeRangeProperties/container/volumes/s3filesVolumeConfiguration",
}
"""Fields that a definition may not have, and `containerProperties`, which has the same form."""

VALIDATOR = ParamValidator()
SHAPE = (
    botocore.session.get_session()
    .get_service_model("batch")
    .shape_for("RegisterJobDefinitionRequest")
)


def places(data: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    items: list[tuple[str | int, Any]] = []
    if isinstance(data, dict):
        items = list(data.items())
    elif isinstance(data, list):
        items = list(enumerate(data))
    return [found for key, value in items for found in [(*path, key), *places(value, (*path, key))]]


@settings(max_examples=150)
@given(
    st.sampled_from(places(json.loads(COUPLED))),
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.sampled_from(["", "a", "Ref::a", "0:", "1:1", "\x07", [], {}, [1], {"a": 1}, "e\u0301"]),
    ),
)
def test_what_is_taken_the_aws_cli_takes(path: tuple[str | int, ...], value: Any) -> None:
    content = with_value(json.loads(COUPLED), path, value)
    found = loaded(content)
    check(found, load_catalog())
    if found.problems:
        assert found.dropped == {("jobs", "wave")}
        assert all(problem.file for problem in found.problems)
        return
    job = found.require().jobs["wave"]
    assert isinstance(job, JobFromFile)
    report = VALIDATOR.validate({"jobDefinitionName": "a", **job.from_file.content}, SHAPE)
    assert not report.has_errors(), report.generate_report()


def fields(shape: Any, path: str = "") -> set[str]:
    """List the fields of a shape, the elements of lists without their index."""
    if shape.type_name == "list":
        return fields(shape.member, path)
    if shape.type_name != "structure" or path in REFUSED:
        return {path}
    return {
        each for key, member in shape.members.items() for each in fields(member, f"{path}/{key}")
    }


def given_fields(data: Any, shape: Any, path: str = "") -> set[str]:
    if shape.type_name == "list":
        return {field for each in data for field in given_fields(each, shape.member, path)}
    if shape.type_name != "structure":
        return {path}
    return {
        field
        for key, each in data.items()
        if key in shape.members
        for field in given_fields(each, shape.members[key], f"{path}/{key}")
    }


def test_every_field_that_is_taken_is_in_the_one_that_terraform_registers() -> None:
    """A new field of AWS must be looked up in the AWS provider: it drops what it does not know."""
    assert fields(SHAPE) - REFUSED == given_fields(json.loads(COUPLED), SHAPE)


def test_the_definitions_of_the_tests_are_valid() -> None:
    for file in sorted((SPECS / "definitions").glob("*.json")):
        assert not loaded(file.read_bytes()).problems


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (with_value(WAVE, (*INNER, "memory"), "12000"), "/memory: expected a number"),
        (with_value(WAVE, (*INNER, "vcpus"), 24.5), "/vcpus: expected a number"),
        (with_value(WAVE, (*INNER, "vcpus"), 2**31), "/vcpus: the number is too large"),
        (with_value(WAVE, (*INNER, "privileged"), "true"), "/privileged: expected true or false"),
        (with_value(WAVE, (*INNER, "command"), "wave.py"), "/command: expected a list"),
        (with_value(WAVE, (*INNER, "comand"), ["a"]), "/comand: unknown key"),
        (with_value(WAVE, (*INNER, "jobRoleArn"), ""), '/jobRoleArn: empty ("")'),
        (with_value(WAVE, (*INNER, "jobRoleArn"), "lab-jobs"), "expected the ARN of an IAM role"),
        (with_value(WAVE, (*INNER, "image"), None), "/image: missing; AWS Batch requires it"),
        (with_value(WAVE, (*INNER, "vcpus"), None), "no VCPU; AWS Batch requires it"),
        (
            with_value(WAVE, (*INNER, "resourceRequirements"), [{"type": "VCPU", "value": "0.5"}]),
            '/resourceRequirements/0/value: expected a whole number in quotes, such as "4"',
        ),
        (
            with_value(
                WAVE,
                (*INNER, "ulimits"),
                [{"name": "nofiles", "softLimit": 1, "hardLimit": 1}],
            ),
            "/ulimits/0/name: expected one of core, cpu",
        ),
        (
            with_value(
                WAVE, (*INNER, "linuxParameters"), {"tmpfs": [{"containerPath": "/a", "size": 0}]}
            ),
            "/linuxParameters/tmpfs/0/size: expected 1 or more (MiB)",
        ),
        (
            with_value(
                WAVE,
                (*INNER, "volumes"),
                [{"name": "a", "s3filesVolumeConfiguration": {"fileSystemArn": "arn:a"}}],
            ),
            "not supported by the AWS provider",
        ),
        (with_value(WAVE, (*INNER, "runtimePlatform"), {}), "for jobs of Fargate only"),
        (with_value(WAVE, (*FIRST, "instanceTypes"), ["r5.12xlarge"]), "does not see when"),
        (with_value(WAVE, (*FIRST, "targetNodes"), "0:2"), "expected a range of the nodes 0 to 1"),
        # Digits to Python, but not to AWS; and more of them than Python reads.
        (
            with_value(WAVE, (*FIRST, "targetNodes"), "\u0660:\u0661"),
            "expected a range of the nodes",
        ),
        (with_value(WAVE, (*FIRST, "targetNodes"), "0:" + "9" * 5000), "expected a range of the"),
        (with_value(WAVE, (*FIRST, "targetNodes"), "0:0"), "node 1 is in no node range"),
        (
            with_value(
                WAVE,
                ("nodeProperties", "nodeRangeProperties"),
                [
                    {
                        "targetNodes": f"{node}:{node}",
                        "container": CONTAINER | {"instanceType": type_},
                    }
                    for node, type_ in enumerate(("r5.12xlarge", "r5.24xlarge"))
                ],
            ),
            "/1/container/instanceType: r5.24xlarge differs from r5.12xlarge in node range 0",
        ),
        # AWS documents what follows for the containers of API_ContainerProperties, API_Volume,
        # API_EFSAuthorizationConfig and API_LinuxParameters; ECS refuses an "Unknown volume".
        (
            with_value(WAVE, (*INNER, "mountPoints", 0, "sourceVolume"), "esf"),
            "/container/mountPoints/0/sourceVolume: there is no volume `esf`",
        ),
        (
            with_value(WAVE, (*INNER, "volumes"), []),
            "add it to `volumes` of this container, or name one of these: none",
        ),
        (
            with_value(WAVE, (*INNER, "mountPoints", 0, "sourceVolume"), None),
            "/mountPoints/0/sourceVolume: missing",
        ),
        (
            with_value(WAVE, (*INNER, "volumes", 0, "name"), "efs.data"),
            "/volumes/0/name: expected 1 to 255 letters, digits, hyphens and underscores",
        ),
        (
            with_value(EFS, (*EFS_VOLUME, "transitEncryption"), "DISABLED"),
            "/efsVolumeConfiguration/transitEncryption: `iam` requires ENABLED",
        ),
        (
            with_value(
                with_value(EFS, (*EFS_VOLUME, "transitEncryption"), None),
                (*EFS_VOLUME, "authorizationConfig", "iam"),
                None,
            ),
            "/efsVolumeConfiguration/transitEncryption: `accessPointId` requires ENABLED",
        ),
        (
            with_value(EFS, (*EFS_VOLUME, "rootDirectory"), "/data"),
            "/rootDirectory: the access point decides what is mounted",
        ),
        (
            with_value(EFS, (*INNER, "jobRoleArn"), None),
            "/authorizationConfig/iam: requires a `jobRoleArn`",
        ),
        (with_value(WAVE, (*INNER, "memory"), 3), "/memory: expected at least 4 MiB"),
        (
            with_value(WAVE, (*INNER, "resourceRequirements"), [{"type": "MEMORY", "value": "3"}]),
            "/resourceRequirements/0/value: expected at least 4 MiB",
        ),
        (with_value(WAVE, (*INNER, "linuxParameters"), {"maxSwap": -1}), "expected 0 or more"),
        (
            with_value(WAVE, (*INNER, "linuxParameters"), {"maxSwap": 1, "swappiness": 101}),
            "/linuxParameters/swappiness: expected 0 to 100",
        ),
        (with_value(WAVE, ("nodeProperties", "mainNode"), 2), "one of the nodes 0 to 1"),
        (with_value(WAVE, ("nodeProperties", "numNodes"), 0), "expected 1 to 1000"),
        (with_value(WAVE, ("nodeProperties", "numNodes"), None), "missing; AWS Batch requires it"),
        (with_value(WAVE, ("nodeProperties",), None), '/nodeProperties: missing; "type"'),
        (with_value(WAVE, ("type",), "container"), '/nodeProperties: excluded by "type"'),
        (with_value(WAVE, ("type",), "array"), 'unknown type "array"'),
        (with_value(WAVE, ("type",), None), "/type: missing; AWS Batch requires it"),
        (with_value(WAVE, ("platformCapabilities",), ["FARGATE"]), "jobs on Fargate are not"),
        (with_value(WAVE, (*FIRST, "ecsProperties"), {"taskProperties": []}), "several containers"),
        (with_value(WAVE, ("eksProperties",), {"podProperties": {}}), "jobs on Amazon EKS are not"),
        (
            with_value(WAVE, ("consumableResourceProperties",), {"consumableResourceList": []}),
            "/consumableResourceProperties: not supported by the AWS provider of Terraform",
        ),
        (with_value(WAVE, ("schedulingPriority",), 0), "0 is not supported by the AWS provider"),
        (with_value(WAVE, ("schedulingPriority",), 10_000), "expected 1 to 9999"),
        (with_value(WAVE, ("retryStrategy", "attempts"), 11), "expected 1 to 10"),
        (
            with_value(WAVE, ("retryStrategy",), {"evaluateOnExit": [{"action": "EXIT"}]}),
            "/retryStrategy/attempts: required beside `evaluateOnExit`",
        ),
        (
            with_value(
                WAVE,
                ("retryStrategy", "evaluateOnExit"),
                [{"action": "EXIT", "onReason": "a*b"}, {"action": "STOP"}],
            ),
            "/retryStrategy/evaluateOnExit/0/onReason: expected letters",
        ),
        (with_value(WAVE, ("timeout",), {"attemptDurationSeconds": 59}), "at least 60 seconds"),
        (with_value(WAVE, ("tags",), {"mngen:deployment": "a"}), "are reserved"),
        (with_value(WAVE, ("parameters",), {"a": "e\u0301"}), "(NFC)"),
        (with_value(WAVE, ("parameters",), {"a": "\x07"}), "control character U+0007"),
        ({"jobDefinitions": [WAVE]}, "not the output of describe-job-definitions"),
        ([WAVE], "expected a JSON object"),
        (b"", "not valid JSON"),
        (b'{"type": "multinode",}', "not valid JSON"),
        (b'{"type": "a", "type": "b"}', 'the key "type" is written twice'),
        (b"\xff\xfe{}", "not UTF-8 text"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_what_cannot_be_registered_is_refused(content: Any, said: str) -> None:
    found = loaded(content)
    assert found.dropped == {("jobs", "wave")}
    assert said in format_problems(found.problems)
    for problem in found.problems:
        assert (problem.file, problem.path) == ("wave.json", "jobs.wave.definition")
        assert problem.severity is Severity.ERROR
    # The rest of the spec is judged all the same.
    assert check(found, load_catalog()) == list(found.problems)


def test_a_volume_with_authorization_is_taken() -> None:
    """Where nothing is missing; what each of its parts requires is refused above."""
    assert taken(EFS).from_file.content == EFS
    without = with_value(EFS, (*EFS_VOLUME, "authorizationConfig"), None)
    for path, value in (("transitEncryption", None), ("rootDirectory", "/data")):
        plain = with_value(without, (*EFS_VOLUME, path), value)
        assert taken(plain).from_file.content == plain


def test_the_lines_of_many_problems_are_found_in_one_pass(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each pass over a long file takes a parser of YAML longer than all else."""
    passes = []

    def counted(name: str, raw: bytes) -> Document:
        passes.append(name)
        return parse(name, raw)

    monkeypatch.setattr("mngen.spec._definition.parse", counted)
    variables = [{"name": f"V{number}", "value": number} for number in range(50)]
    found = loaded(with_value(WAVE, (*INNER, "environment"), variables)).problems
    lines = [each.position.line for each in found if each.position is not None]
    assert len(set(lines)) == 50
    assert passes == ["wave.json"]


def test_each_empty_value_is_named_by_its_pointer_and_line() -> None:
    """As a tutorial ships them. Arguments, variables, parameters and tags may be empty."""
    container = {**CONTAINER, "jobRoleArn": "", "command": ["run", ""], "user": ""}
    container["environment"] = [{"name": "EMPTY", "value": ""}]
    content = with_value(WAVE, INNER, container) | {"tags": {"a": ""}, "parameters": {"b": ""}}
    found = loaded(content).problems
    inner = "/nodeProperties/nodeRangeProperties/0/container"
    assert [each.message.partition(":")[0] for each in found] == [
        f"{inner}/jobRoleArn",
        f"{inner}/user",
    ]
    lines = json.dumps(content, indent=2).splitlines()
    for each in found:
        assert each.position is not None
        assert each.source_line == lines[each.position.line - 1]
        assert ': ""' in each.source_line


def test_a_byte_order_mark_comments_and_nulls_are_no_fault() -> None:
    text = "\ufeff// ours\n" + json.dumps({**POST, "timeout": None}) + "\n/* end */\n"
    assert taken(text.encode()).from_file.content == POST


@pytest.mark.parametrize("make", ["nothing", "folder"])
def test_a_file_that_cannot_be_read_is_named_with_its_line(make: str, tmp_path: Path) -> None:
    (tmp_path / "mngen.yaml").write_text(SPEC, encoding="utf-8")
    if make == "folder":
        (tmp_path / "wave.json").mkdir()
    [problem] = load(tmp_path / "mngen.yaml").problems
    assert problem.message.startswith(f"cannot read {tmp_path / 'wave.json'}: ")
    assert problem.position is not None
    assert (problem.position.line, problem.path) == (12, "jobs.wave.definition")


@pytest.mark.parametrize("make", ["pipe", "device"])
def test_what_is_not_a_regular_file_is_refused_unread(make: str, tmp_path: Path) -> None:
    (tmp_path / "mngen.yaml").write_text(SPEC, encoding="utf-8")
    target = Path("/dev/zero")
    if make == "pipe":
        target = tmp_path / "pipe"
        os.mkfifo(target)
    (tmp_path / "wave.json").symlink_to(target)
    # In a process of its own: nobody writes into the pipe, so reading it would never end.
    done = mngen("check", cwd=tmp_path, program=CHECKOUT, timeout=60)
    assert done.returncode == 1
    assert "cannot read wave.json: it is not a regular file" in done.stdout
    assert "mngen.yaml:12:17 (jobs.wave.definition)" in done.stdout
    (tmp_path / "wave.json").unlink()
    (tmp_path / "real.json").write_text(json.dumps(WAVE), encoding="utf-8")
    (tmp_path / "wave.json").symlink_to("real.json")
    assert not load(tmp_path / "mngen.yaml").problems


def test_the_path_starts_at_the_folder_of_the_spec(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lab" / "definitions").mkdir(parents=True)
    (tmp_path / "lab" / "definitions" / "wave.json").write_text(json.dumps(WAVE), encoding="utf-8")
    spec = tmp_path / "lab" / "mngen.yaml"
    spec.write_text(SPEC.replace("wave.json", "definitions/wave.json"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert load(Path("lab/mngen.yaml")).require().jobs["wave"].nodes == 2


@pytest.mark.parametrize("line", EXCLUDED)
def test_keys_that_the_file_stands_for_are_refused_with_both_lines(line: str) -> None:
    [problem] = loaded(WAVE, f"{SPEC}    {line}\n").problems
    key = line.partition(":")[0]
    assert problem.message == f"`{key}` is excluded by `definition` (line 12)"
    assert problem.position is not None
    assert problem.position.line == 13
    assert "wave.json" in (problem.hint or "")


def test_no_key_of_a_job_is_forgotten_there() -> None:
    kept = {"queue", "after", "share", "aws_name", "definition", "protect"}
    assert {line.partition(":")[0] for line in EXCLUDED} | kept == set(Job.__struct_fields__)
    assert not loaded(WAVE, f"{SPEC}    protect: true\n").problems


@pytest.mark.parametrize("line", ["", "    definition: null\n"])
def test_a_job_needs_a_command_or_a_definition(line: str) -> None:
    spec = SPEC.replace("    definition: wave.json\n", line)
    [problem] = load_text(spec.encode()).problems
    assert problem.message == "`wave` lacks the key `command`"


def judged(content: Any, spec: str = SPEC) -> list[Problem]:
    return check(loaded(content, spec), load_catalog(), skip={"MN420"})


def test_a_name_in_aws_without_protection_is_remarked_on() -> None:
    """Deleting it deregisters all revisions of the name, whoever registered them.

    Source: resourceJobDefinitionDelete in
    https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/batch/job_definition.go
    """
    [problem] = check(loaded(WAVE), load_catalog())
    assert (problem.rule, problem.severity) == ("MN420", Severity.INFO)
    assert problem.position is not None
    assert (problem.position.line, problem.path) == (11, "jobs.wave.aws_name")
    for spec in (f"{SPEC}    protect: true\n", SPEC.replace("    aws_name: wave\n", "")):
        assert "MN420" not in {each.rule for each in check(loaded(WAVE, spec), load_catalog())}


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [("vcpus", 48, "MN147"), ("memory", 500_000, "MN148"), ("image", "https://a/b", "MN158")],
)
def test_rules_point_at_the_line_in_the_file(key: str, value: Any, rule: str) -> None:
    content = with_value(WAVE, (*INNER, key), value)
    [problem] = judged(content)
    lines = json.dumps(content, indent=2).splitlines()
    assert problem.rule == rule
    assert problem.file == "wave.json"
    assert problem.position is not None
    assert f'"{key}"' in lines[problem.position.line - 1]
    assert problem.message.startswith(f"/nodeProperties/nodeRangeProperties/0/container/{key}: ")


def test_nodes_are_judged_by_the_queues_environments() -> None:
    nodes = {**WAVE["nodeProperties"], "numNodes": 8}
    nodes["nodeRangeProperties"] = [{"targetNodes": "0:", "container": CONTAINER}]
    [problem] = judged({**WAVE, "nodeProperties": nodes})
    assert (problem.rule, problem.hint) == ("MN145", "change it in wave.json")
    single = SPEC.replace("max_nodes: 4", "max_nodes: 4, multi_node: false")
    assert [each.rule for each in judged(WAVE, single)] == ["MN144"]
    assert judged(POST, single) == []


def test_variables_of_every_node_range_are_judged_and_secrets_not_shown() -> None:
    worker = {**CONTAINER, "environment": [{"name": "DB_PASSWORD", "value": "hunter2"}]}
    nodes = {
        **WAVE["nodeProperties"],
        "nodeRangeProperties": [
            {"targetNodes": "0:0", "container": CONTAINER},
            {"targetNodes": "1:", "container": worker},
        ],
    }
    [problem] = judged({**WAVE, "nodeProperties": nodes})
    assert problem.rule == "MN155"
    assert "/nodeRangeProperties/1/container/environment/0" in problem.message
    assert problem.source_line is None
    assert "hunter2" not in format_problems([problem])


def test_variables_of_the_wire_up_are_known_in_every_node_range() -> None:
    worker = {**CONTAINER, "environment": [{"name": "MNGEN_WAITS", "value": "600"}]}
    nodes = {
        **WAVE["nodeProperties"],
        "nodeRangeProperties": [
            {"targetNodes": "0:0", "container": CONTAINER},
            {"targetNodes": "1:", "container": worker},
        ],
    }
    [problem] = judged({**WAVE, "nodeProperties": nodes})
    assert (problem.rule, problem.path) == ("MN199", "jobs.wave.definition")
    assert "/nodeRangeProperties/1/container/environment/0: " in problem.message


def test_a_definition_of_more_than_24_kib_is_refused() -> None:
    """Source: https://docs.aws.amazon.com/batch/latest/userguide/service_limits.html."""
    content = with_value(WAVE, (*INNER, "command"), ["x" * 25_000])
    [problem] = judged(content)
    assert (problem.rule, problem.path) == ("MN157", "jobs.wave.definition")


def test_another_content_is_a_change_of_the_key_and_another_layout_is_none() -> None:
    before, same = (
        written(loaded(text.encode()).require())
        for text in (json.dumps(WAVE), json.dumps(WAVE, indent=8, sort_keys=True))
    )
    after = written(loaded(with_value(WAVE, (*INNER, "memory"), 8000)).require())
    assert key_changes(before, same) == []
    [change] = key_changes(before, after)
    assert change.path == ("jobs", "wave", "definition")
    # Keys that only follow from the file are not those of the spec.
    assert set(before["jobs"]["wave"]) == {"queue", "aws_name", "definition"}


def test_a_cluster_has_what_the_file_asks_for() -> None:
    [job] = require(loaded(WAVE), load_catalog()).jobs
    assert (job.vcpus, job.memory, job.shared_memory) == (24, 12_000, 64)
    assert job.gpus == 0


def test_gpus_are_those_of_the_file_and_not_all_of_a_node() -> None:
    needs = [{"type": "VCPU", "value": "4"}, {"type": "MEMORY", "value": "4096"}]
    more = [*needs, {"type": "GPU", "value": "2"}]
    for requirements, gpus in ((needs, 0), (more, 2)):
        content = with_value(WAVE, (*INNER, "resourceRequirements"), requirements)
        assert taken(content).gpus == gpus


def test_botocore_is_loaded_for_definitions_only(tmp_path: Path) -> None:
    """`mngen check` without one must stay as fast as it is."""
    program = (
        "import sys; from pathlib import Path; from mngen.rules import open_cluster; "
        "open_cluster(Path(sys.argv[1])); print('botocore' in sys.modules)"
    )
    (tmp_path / "wave.json").write_text(json.dumps(WAVE), encoding="utf-8")
    said = []
    plain = SPEC.replace("definition: wave.json", "command: [hostname]")
    for text in (plain, SPEC):
        file = tmp_path / "mngen.yaml"
        file.write_text(text, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-c", program, str(file)], capture_output=True, text=True, check=True
        )
        said.append(done.stdout.strip())
    assert said == ["False", "True"]


def test_all_problems_are_raised_at_once() -> None:
    content = with_value(WAVE, (*INNER, "memory"), "a")
    with pytest.raises(InputError) as raised:
        require(loaded(content, SPEC.replace("r5.12xlarge", "r5.99xlarge")), load_catalog())
    assert len(raised.value.problems) == 2
