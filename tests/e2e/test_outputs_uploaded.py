"""Outputs on their way back: real submission, real wire-up, real boto3, and `mngen fetch`."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import sys
import threading
import time
import venv
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from mngen.render import render
from tests.support.batch import Deployed, spec_text
from tests.support.cli import mngen
from tests.support.container import CONTAINER, SOON, Running, ended, refusal, starting, wire_up
from tests.support.iam import Request, allows
from tests.support.recording import Recording
from tests.support.relay import Answer, Relay
from tests.support.relay import Request as HttpRequest
from tests.support.sandbox import client
from tests.support.specs import to_cluster

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mngen.sandbox import Sandbox

ODD = 'it\'s "quoted" é.txt'
WRITES = (
    f'cd "$MNGEN_OUTPUTS" && echo first > a.txt && mkdir sub && echo second > {shlex.quote(ODD)}'
)
PREFIX = "mngen/x/outputs/job-1"


class Gate(Relay):
    """Stands before S3, and holds or fails the uploads.

    Attributes:
        checks: What the checks before the application are answered instead, if anything.
        failing: What uploads are answered instead, if anything.
        spared: How many more uploads pass before `failing` holds.
        times: How many uploads fail; None for all.
    """

    def __init__(self, target: str) -> None:
        super().__init__(target)
        self.checks: Answer | None = None
        self.failing: Answer | None = None
        self.spared = 0
        self.times: int | None = None
        self.open = threading.Event()
        self.open.set()
        self.reached = threading.Event()

    def handle(self, request: HttpRequest) -> Answer | None:
        """Let an upload through, hold it or fail it."""
        if ".started" in request.target and self.checks is not None:
            return self.checks
        if request.method == "PUT" and ".started" not in request.target:
            self.reached.set()
            self.open.wait(240)
            if self.failing is not None:
                if self.spared:
                    self.spared -= 1
                elif self.times is None or self.times > 0:
                    self.times = None if self.times is None else self.times - 1
                    return self.failing
        return self.forward(request)


class Bucket:
    """A bucket in a sandbox, behind a gate, for the outputs of a job."""

    def __init__(self, sandbox: Sandbox, gate: Gate, place: Path) -> None:
        self.gate = gate
        self.name = f"b{uuid4().hex[:12]}"
        self.folder = place / "runs" / "job-1"
        self._s3 = client(sandbox, "s3")
        self._s3.create_bucket(Bucket=self.name)

    def environment(self, **changes: str) -> dict[str, str]:
        """What a container on the main node has; an empty variable is left out."""
        told = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL": self.gate.endpoint,
            "AWS_BATCH_JOB_ID": "job-1",
            "AWS_BATCH_JOB_ATTEMPT": "1",
            "MNGEN_OUTPUTS": str(self.folder.parent / "{job}"),
            "MNGEN_OUTPUTS_TO": f"s3://{self.name}/mngen/x/outputs/",
            "MNGEN_OUTPUTS_REGION": "us-east-1",
            "MNGEN_LAUNCHER": "none",
            **changes,
        }
        return {name: value for name, value in told.items() if value}

    def objects(self) -> dict[str, bytes]:
        """What is in the bucket, by the keys after that of the job; without those of the check."""
        listed = self._s3.list_objects_v2(Bucket=self.name).get("Contents", ())
        return {
            each["Key"].removeprefix(f"{PREFIX}/"): self._s3.get_object(
                Bucket=self.name, Key=each["Key"]
            )["Body"].read()
            for each in listed
            if not each["Key"].endswith(".started")
        }


@pytest.fixture
def gate(sandbox: Sandbox) -> Iterator[Gate]:
    with Gate(sandbox.endpoint) as made:
        yield made


@pytest.fixture
def bucket(sandbox: Sandbox, gate: Gate, tmp_path: Path) -> Iterator[Bucket]:
    try:
        yield Bucket(sandbox, gate, tmp_path / "efs")
    finally:
        gate.open.set()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    with starting(tmp_path) as started:
        yield started


# --- the workflow ---


@pytest.mark.parametrize("job", ["one", "mpi"])
@pytest.mark.parametrize("code", [0, 3])
def test_what_a_job_writes_comes_back(
    sandbox: Sandbox,
    gate: Gate,
    job: str,
    code: int,
    tmp_path: Path,
    start: Callable[..., Running],
) -> None:
    """From `submit` to `fetch`: the job's own variables, as sent, also of a job that fails."""
    name = f"o{uuid4().hex[:10]}"
    client(sandbox, "s3").create_bucket(Bucket=f"{name}-results")
    runs = f"{tmp_path}/runs"
    storage = f"storage: {{bucket: {name}-results}}\n"
    text = spec_text(name, more=storage, nodes=1).replace(
        "    timeout: 3600\n", f"    timeout: 3600\n    outputs: {runs}/{{job}}\n"
    )
    text = text.replace("[hostname]}", f'[hostname], outputs: "{runs}/{{job}}"}}')
    deployed = Deployed(sandbox, text)
    (tmp_path / "mngen.yaml").write_text(text, encoding="utf-8")
    env = {**sandbox.environment(), "XDG_STATE_HOME": str(tmp_path / "state")}
    exits = ("--env", f"MNGEN_SANDBOX_EXIT={code}")
    done = mngen("submit", job, "--format", "json", *exits, cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    assert "MN323" not in done.stderr
    identifier = json.loads(done.stdout)["id"]
    described = deployed.job(identifier)
    container = described.get("container") or {}
    node = ""
    if "nodeProperties" in described:
        container = described["nodeProperties"]["nodeRangeProperties"][0]["container"]
        node = "#0"
    told = {each["name"]: each["value"] for each in container["environment"]}
    node_env = {
        "PATH": os.environ["PATH"],
        **sandbox.environment(),
        **told,
        "AWS_ENDPOINT_URL": gate.endpoint,
        "AWS_BATCH_JOB_ID": f"{identifier}{node}",
        "AWS_BATCH_JOB_ATTEMPT": "1",
        "MNGEN_LAUNCHER": "none",
        "MNGEN_CPUS": "",
    }
    arguments, node_env = wire_up(node_env, "sh", "-c", f"{WRITES}; exit {code}")
    with ended(start(*arguments, env=node_env), code) as said:
        url = f"s3://{name}-results/mngen/{name}/outputs/{identifier}/1/"
        assert f"outputs: uploading {runs}/{identifier} to {url}" in said
        assert f"outputs: 2 files, 13 B to {url} in " in said
    waited = mngen("wait", identifier, cwd=tmp_path, env=env)
    assert waited.returncode == (1 if code else 0), waited.stderr

    fetched = mngen("fetch", identifier, "--to", "got", cwd=tmp_path, env=env)

    assert fetched.returncode == 0, fetched.stderr
    assert f"got: 2 files, 13 bytes from {url}" in fetched.stderr + fetched.stdout
    assert (tmp_path / "got" / "a.txt").read_text() == "first\n"
    assert (tmp_path / "got" / ODD).read_text() == "second\n"
    again = mngen("fetch", identifier, "--to", "got", cwd=tmp_path, env=env)
    assert again.returncode == 1
    assert "got already exists" in again.stderr


def test_links_special_files_and_names(bucket: Bucket, start: Callable[..., Running]) -> None:
    (bucket.folder / "sub" / "deep").mkdir(parents=True)
    (bucket.folder / "empty").mkdir()
    (bucket.folder / "sub" / "deep" / ODD).write_bytes(b"x")
    (bucket.folder / "link").symlink_to("/etc/passwd")
    (bucket.folder / "folder-link").symlink_to("/etc")
    os.mkfifo(bucket.folder / "pipe")
    arguments, env = wire_up(bucket.environment(), "true")
    with ended(start(*arguments, env=env), 0) as said:
        assert "1 file, 1 B to s3://" in said
        assert "; 3 left out (links, special files)" in said
    found = bucket.objects()
    record = json.loads(found.pop("1.json"))
    assert found == {f"1/sub/deep/{ODD}": b"x"}
    folder = str(bucket.folder)
    assert record == {"folder": folder, "files": 1, "bytes": 1, "left_out": 3, "changed": 0}


def test_names_that_no_object_can_have(bucket: Bucket, start: Callable[..., Running]) -> None:
    bucket.folder.mkdir(parents=True)
    (bucket.folder / "good").write_bytes(b"1")
    (bucket.folder / "new\nline").write_bytes(b"2")
    Path(os.fsdecode(os.fsencode(bucket.folder) + b"/latin-\xe9")).write_bytes(b"3")
    arguments, env = wire_up(bucket.environment(), "true")
    with ended(start(*arguments, env=env), 71) as said:
        assert "error: outputs: 1 file uploaded to s3://" in said
        assert "'new\\nline': its name has a control character" in said
        assert "'latin-\\udce9': its name is not UTF-8" in said
    # Without a record, the upload is incomplete.
    assert bucket.objects() == {"1/good": b"1"}


def test_large_files_go_in_parts_with_the_rights_of_the_role(
    sandbox: Sandbox, bucket: Bucket, start: Callable[..., Running]
) -> None:
    """S3 takes at most 5 GiB in one request; boto3 sends parts from 8 MiB on."""
    bucket.folder.mkdir(parents=True)
    (bucket.folder / "checkpoint").write_bytes(bytes(20 * 2**20))
    with Recording(sandbox.endpoint) as recording:
        arguments, env = wire_up(bucket.environment(AWS_ENDPOINT_URL=recording.endpoint), "true")
        with ended(start(*arguments, env=env), 0) as said:
            assert "1 file, 21.0 MB to s3://" in said
        calls = recording.calls
    assert len(bucket.objects()["1/checkpoint"]) == 20 * 2**20
    assert any("uploadId" in call.values for call in calls)
    document = _role_policy(bucket.name)
    for call in calls:
        key = call.values["Key"]
        arn = f"arn:aws:s3:::{bucket.name}/{key}"
        # Parts of an upload need the right to put the object.
        # https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html
        assert allows([document], Request("s3:PutObject", arn)), call
        assert call.operation not in ("GetObject", "DeleteObject", "ListObjectsV2")
        others = arn.replace("/mngen/x/", "/mngen/y/")
        assert not allows([document], Request("s3:PutObject", others))
    assert not allows([document], Request("s3:GetObject", arn))


def _role_policy(bucket: str) -> dict[str, Any]:
    """Return the policy of the rendered module, with its variables filled in."""
    job = {"queue": "q", "command": ["hostname"], "outputs": "/efs/runs/{job}"}
    spec = {
        "name": "x",
        "region": "us-east-1",
        "environments": {"e": {"instance": "r5.large", "max_nodes": 2}},
        "queues": {"q": {"environments": ["e"]}},
        "jobs": {"j": job},
        "storage": {"bucket": bucket},
    }
    identity = render(to_cluster(spec))["terraform/modules/identity/main.tf"]
    text = identity.partition('"aws_iam_role_policy" "job_outputs"')[2].partition("\n}\n")[0]
    [resource] = re.findall(r'Resource = "([^"]+)"', text)
    [actions] = re.findall(r"Action\s+= \[([^\]]+)\]", text)
    for name, value in {
        "${data.aws_partition.current.partition}": "aws",
        "${var.inputs_bucket}": bucket,
        "${var.name}": "x",
    }.items():
        resource = resource.replace(name, value)
    return {"Statement": [{"Action": re.findall(r'"([^"]+)"', actions), "Resource": [resource]}]}


def test_only_the_main_node_uploads_when_all_have_ended(
    bucket: Bucket, tmp_path: Path, start: Callable[..., Running]
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    nodes = []
    for index in ("0", "1"):
        arguments, env = wire_up(
            bucket.environment(
                AWS_BATCH_JOB_ID=f"job-1#{index}",
                AWS_BATCH_JOB_NUM_NODES="2",
                AWS_BATCH_JOB_NODE_INDEX=index,
                AWS_BATCH_JOB_MAIN_NODE_INDEX="0",
                AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS="127.0.0.1",
                MNGEN_SECRET="0123456789abcdef",
                MNGEN_PORT=port,
            ),
            *(
                "sh",
                "-c",
                'echo "$NODE_RANK" > "$MNGEN_OUTPUTS/$NODE_RANK"; exit $((NODE_RANK * 5))',
            ),
        )
        nodes.append(start(*arguments, env=env))
    main, child = nodes
    with ended(main, 5) as said:
        assert "error: the command on node 1 failed with exit code 5" in said
        assert "outputs: 2 files, 4 B to s3://" in said
        assert re.search(r"end: exit 5; .*, teardown \S+s, outputs \S+s\n", said)
    with ended(child, 5) as said:
        assert "outputs:" not in said
    found = bucket.objects()
    assert {name: found[name] for name in ("1/0", "1/1")} == {"1/0": b"0\n", "1/1": b"1\n"}


def test_a_job_that_wrote_nothing(bucket: Bucket, start: Callable[..., Running]) -> None:
    arguments, env = wire_up(bucket.environment(AWS_BATCH_JOB_ATTEMPT="2"), "true")
    with ended(start(*arguments, env=env), 0) as said:
        assert "outputs: 0 files, 0 B to s3://" in said
    found = bucket.objects()
    assert json.loads(found.pop("2.json"))["files"] == 0
    assert found == {}


def test_without_a_bucket_the_folder_is_made_and_stays(
    bucket: Bucket, start: Callable[..., Running]
) -> None:
    """So it is in a rehearsal."""
    arguments, env = wire_up(bucket.environment(MNGEN_OUTPUTS_TO=""), "sh", "-c", WRITES)
    with ended(start(*arguments, env=env), 0) as said:
        assert "outputs:" not in said
    assert (bucket.folder / "a.txt").read_text() == "first\n"
    assert bucket.objects() == {}


# --- what goes wrong ---


def test_a_role_that_may_not_write_ends_the_job_before_it_computes(
    bucket: Bucket, start: Callable[..., Running]
) -> None:
    bucket.gate.checks = refusal(403, "AccessDenied")
    arguments, env = wire_up(bucket.environment(), "echo", "it runs")
    with ended(start(*arguments, env=env), 64) as said:
        assert "error: outputs: the job's role may not write to s3://" in said
        assert "it runs" not in said


def test_an_overloaded_bucket_does_not_keep_a_job_from_its_work(
    bucket: Bucket, start: Callable[..., Running]
) -> None:
    bucket.gate.checks = refusal(503, "SlowDown")
    arguments, env = wire_up(bucket.environment(), "sh", "-c", WRITES)
    with ended(start(*arguments, env=env), 0) as said:
        assert "outputs: S3 failed on s3://" in said
        assert "(SlowDown: so it is); the upload may still succeed at the end" in said
        assert "outputs: 2 files" in said


@pytest.mark.parametrize(("own", "code"), [(0, 71), (3, 3)])
def test_a_failed_upload_fails_a_job_that_has_not_failed_itself(
    bucket: Bucket, start: Callable[..., Running], own: int, code: int
) -> None:
    bucket.gate.failing = refusal(403, "AccessDenied")
    arguments, env = wire_up(bucket.environment(), "sh", "-c", f"{WRITES}; exit {own}")
    with ended(start(*arguments, env=env), code) as said:
        assert "error: outputs: the job's role may not write to s3://" in said
        assert "(AccessDenied: so it is)" in said
        assert "kms:GenerateDataKey and kms:Decrypt" in said
    assert bucket.objects() == {}


def test_an_overloaded_bucket_is_asked_again(bucket: Bucket, start: Callable[..., Running]) -> None:
    bucket.gate.failing = refusal(503, "SlowDown")
    bucket.gate.times = 2
    arguments, env = wire_up(bucket.environment(), "sh", "-c", WRITES)
    with ended(start(*arguments, env=env), 0) as said:
        assert "outputs: 2 files" in said
    assert bucket.gate.times == 0
    assert set(bucket.objects()) == {"1.json", "1/a.txt", f"1/{ODD}"}


def test_an_upload_that_breaks_off_leaves_no_record(
    bucket: Bucket, start: Callable[..., Running]
) -> None:
    bucket.gate.failing = refusal(403, "AccessDenied")
    bucket.gate.spared = 1
    arguments, env = wire_up(bucket.environment(), "sh", "-c", WRITES)
    with ended(start(*arguments, env=env), 71):
        assert len(bucket.objects()) <= 1
    assert "1.json" not in bucket.objects()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param(
            {"MNGEN_OUTPUTS_TO": "s3://{name}-gone/o/"}, "no bucket {name}-gone", id="gone"
        ),
        pytest.param(
            {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
            "no credentials to write to s3://{name}/mngen/x/outputs/job-1/1",
            id="no-role",
        ),
    ],
)
def test_what_cannot_be_uploaded(
    bucket: Bucket, start: Callable[..., Running], changes: dict[str, str], said: str
) -> None:
    filled = {name: value.format(name=bucket.name) for name, value in changes.items()}
    env = bucket.environment(AWS_SHARED_CREDENTIALS_FILE=os.devnull, AWS_CONFIG_FILE=os.devnull)
    env = {name: value for name, value in (env | filled).items() if value}
    arguments, env = wire_up(env, "echo", "it runs")
    with ended(start(*arguments, env=env), 64) as text:
        assert f"error: outputs: {said.format(name=bucket.name)}" in text
        assert "it runs" not in text


def test_an_image_without_the_client(
    bucket: Bucket, tmp_path: Path, start: Callable[..., Running]
) -> None:
    venv.create(tmp_path / "bare", symlinks=True, with_pip=False)
    bare = tmp_path / "bare" / "bin" / "python"
    arguments, env = wire_up(bucket.environment(), "echo", "it runs", python=str(bare))
    with ended(start(*arguments, env=env), 64) as said:
        assert "it runs" not in said
        assert f"error: outputs: {bare} cannot access S3 (No module named 'boto3')" in said


def test_an_image_with_an_older_wire_up_alone(
    bucket: Bucket, tmp_path: Path, start: Callable[..., Running]
) -> None:
    alone = tmp_path / "wireup.py"
    alone.write_bytes((CONTAINER / "wireup.py").read_bytes())
    shutil.copytree(CONTAINER / "mngen_wireup", tmp_path / "mngen_wireup")
    running = start(sys.executable, "-I", alone, "echo", "it runs", env=bucket.environment())
    with ended(running, 64) as said:
        assert "it runs" not in said
        assert "upload_outputs.py failed with exit code 2; its output is above" in said


def test_a_folder_that_cannot_be_made_ends_the_job_before_it_computes(
    bucket: Bucket, start: Callable[..., Running]
) -> None:
    bucket.folder.parent.parent.mkdir(parents=True)
    bucket.folder.parent.write_text("a file")
    arguments, env = wire_up(bucket.environment(), "echo", "it runs")
    with ended(start(*arguments, env=env), 64) as said:
        assert f"cannot write to {bucket.folder}, the folder of the job's outputs" in said
        assert "it runs" not in said
    assert bucket.objects() == {}


def test_a_job_that_is_cancelled_still_uploads(
    bucket: Bucket, start: Callable[..., Running]
) -> None:
    arguments, env = wire_up(bucket.environment(), "sh", "-c", f"{WRITES}; echo there; sleep 600")
    running = start(*arguments, env=env)
    running.await_line("there\n")
    running.process.send_signal(signal.SIGTERM)
    with ended(running, 143) as said:
        assert "cancelled by SIGTERM on node 0" in said
        assert "outputs: 2 files" in said
    assert "1.json" in bucket.objects()


def logged_at(words: str, said: str) -> float:
    """Returns when a line was logged, in seconds since the wire-up's start."""
    found = re.search(rf"\+(\S+)s {words}", said)
    assert found is not None, said
    return float(found[1])


def test_an_upload_stops_before_batch_kills_the_container(
    bucket: Bucket, start: Callable[..., Running]
) -> None:
    """AWS Batch sends SIGKILL 30 seconds after SIGTERM.

    Source: https://docs.aws.amazon.com/batch/latest/userguide/job_timeouts.html
    """
    slow = f"trap 'sleep 5; exit 0' TERM; {WRITES}; echo there; sleep 600 & wait"
    arguments, env = wire_up(bucket.environment(), "sh", "-c", slow)
    running = start(*arguments, env=env)
    running.await_line("there\n")
    bucket.gate.open.clear()
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(SOON) == 143, running.said
    stopped = logged_at("error: outputs: stopped by SIGTERM before all", running.said)
    assert 26 < stopped - logged_at("error: cancelled by SIGTERM", running.said) < 29
    bucket.gate.open.set()


def test_a_job_whose_upload_a_signal_stops_has_been_cancelled(
    bucket: Bucket, start: Callable[..., Running]
) -> None:
    bucket.gate.open.clear()
    arguments, env = wire_up(bucket.environment(), "sh", "-c", WRITES)
    # A little before the log's times begin: the signal came at most this late on its clock.
    began = time.monotonic()
    running = start(*arguments, env=env)
    assert bucket.gate.reached.wait(60)
    signalled = time.monotonic() - began
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(SOON) == 143, running.said
    assert logged_at("error: outputs: stopped by SIGTERM", running.said) - signalled < 29
    bucket.gate.open.set()


def test_an_upload_that_ends_in_time_after_a_signal_is_complete(
    bucket: Bucket, start: Callable[..., Running]
) -> None:
    bucket.gate.open.clear()
    arguments, env = wire_up(bucket.environment(), "sh", "-c", WRITES)
    running = start(*arguments, env=env)
    assert bucket.gate.reached.wait(60)
    running.process.send_signal(signal.SIGTERM)
    bucket.gate.open.set()
    with ended(running, 0) as said:
        assert "outputs: 2 files" in said
    assert "1.json" in bucket.objects()
