"""Inputs on their road through a bucket: real submission, real wire-up, real boto3 and mpirun."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
import threading
import time
import venv
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import msgspec
import pytest

from mngen.jobs import Jobs
from tests.support.batch import Deployed, spec_text
from tests.support.container import (
    CONTAINER,
    SOON,
    WIREUP,
    Running,
    ended,
    refusal,
    starting,
    wire_up,
)
from tests.support.needs import skip_without
from tests.support.relay import Answer, Relay, Request
from tests.support.sandbox import Trap, client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mngen.sandbox import Sandbox

FETCH = CONTAINER / "fetch_inputs.py"
ODD = 'it\'s "quoted" é.txt'
FILES = {"a.txt": b"first\n", f"sub/{ODD}": b"second\n", "empty": b""}


class Gate(Relay):
    """Stands before S3, and holds or fails the requests for objects.

    Attributes:
        scopes: The scopes of the signatures: date, region, service.
        failing: What requests are answered instead, if anything.
    """

    def __init__(self, target: str) -> None:
        super().__init__(target)
        self.scopes: set[str] = set()
        self.failing: Answer | None = None
        self._open = threading.Event()
        self._open.set()
        self._held = threading.Semaphore(0)

    def handle(self, request: Request) -> Answer | None:
        """Let a request through when it is time."""
        self.scopes.add(request.headers.get("authorization", "").partition("Credential=")[2][:60])
        if self.failing is not None:
            return self.failing
        if request.method == "GET" and "list-type=" not in request.target:
            self._held.release()
            self._open.wait(SOON)
        return self.forward(request)

    def close(self) -> None:
        """Let no object through until `open`."""
        self._open.clear()

    def open(self) -> None:
        """Let through what was held."""
        self._open.set()

    def await_requests(self, count: int = 1) -> None:
        """Wait until some objects have been asked for."""
        for _ in range(count):
            assert self._held.acquire(timeout=SOON)


class Bucket:
    """A bucket in a sandbox with the objects of a job, behind a gate."""

    def __init__(self, sandbox: Sandbox, gate: Gate, place: Path) -> None:
        self.gate = gate
        self.name = f"b{uuid4().hex[:12]}"
        self.url = f"s3://{self.name}/mngen/x/inputs/0123/"
        self.folder = place / "mngen-inputs" / "x" / "0123"
        s3 = client(sandbox, "s3")
        s3.create_bucket(Bucket=self.name)
        for name, body in FILES.items():
            s3.put_object(Bucket=self.name, Key=f"mngen/x/inputs/0123/{name}", Body=body)

    def environment(self, **changes: str) -> dict[str, str]:
        """What a container on the main node has; an empty variable is left out."""
        told = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL": self.gate.endpoint,
            "MNGEN_INPUTS": str(self.folder),
            "MNGEN_INPUTS_FROM": self.url,
            "MNGEN_INPUTS_REGION": "us-west-2",
            "MNGEN_LAUNCHER": "none",
            **changes,
        }
        return {name: value for name, value in told.items() if value}

    def siblings(self) -> list[str]:
        """Names of all that is where the inputs' folder is to be."""
        return sorted(each.name for each in self.folder.parent.iterdir())

    def arrived(self) -> bool:
        """Whether all files are there, and none beside them."""
        there = {
            each.relative_to(self.folder).as_posix(): each.read_bytes()
            for each in self.folder.rglob("*")
            if each.is_file()
        }
        return there == FILES and self.siblings() == [self.folder.name]


@pytest.fixture
def gate(sandbox: Sandbox) -> Iterator[Gate]:
    with Gate(sandbox.endpoint) as made:
        yield made


@pytest.fixture
def bucket(sandbox: Sandbox, gate: Gate, tmp_path: Path) -> Iterator[Bucket]:
    try:
        yield Bucket(sandbox, gate, tmp_path / "efs")
    finally:
        gate.open()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    with starting(tmp_path) as started:
        yield started


# --- the workflow ---


@pytest.mark.parametrize("job", ["one", "mpi"])
def test_a_submitted_file_reaches_the_ranks(
    sandbox: Sandbox,
    gate: Gate,
    job: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    start: Callable[..., Running],
) -> None:
    """From `submit` to what mpirun's ranks read: the job's own command and variables, as sent."""
    skip_without("mpirun")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name, value in sandbox.environment().items():
        monkeypatch.setenv(name, value)
    name = f"i{uuid4().hex[:10]}"
    client(sandbox, "s3").create_bucket(Bucket=f"{name}-inputs")
    mount = tmp_path / "efs"
    storage = f"storage: {{bucket: {name}-inputs}}\n"
    deployed = Deployed(sandbox, spec_text(name, more=storage, nodes=1))
    # Where a container has the file system is in a folder of the test's own here.
    spec = deployed.cluster.spec
    efs = msgspec.structs.replace(spec.storage.efs, mount=str(mount))
    spec = msgspec.structs.replace(spec, storage=msgspec.structs.replace(spec.storage, efs=efs))
    cluster = msgspec.structs.replace(deployed.cluster, spec=spec)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "input.txt").write_text("forty-two\n")
    submitted = Jobs(cluster).submit(
        job, upload=tmp_path / "data", command=["cat", "{inputs}/input.txt"]
    )
    described = deployed.job(submitted.id)
    container = described.get("container") or {}
    if "nodeProperties" in described:
        container = described["nodeProperties"]["nodeRangeProperties"][0]["container"]
    told = {each["name"]: each["value"] for each in container["environment"]}
    env = {
        "PATH": os.environ["PATH"],
        **sandbox.environment(),
        **told,
        "AWS_ENDPOINT_URL": gate.endpoint,
        "MNGEN_CPUS": "",
        "MNGEN_RANKS_PER_NODE": "2",
        "OMPI_MCA_rmaps_base_oversubscribe": "1",
    }
    arguments, env = wire_up(env, *container["command"])
    with ended(start(*arguments, env=env), 0) as said:
        assert said.splitlines().count("forty-two") == 2
        assert f"inputs: 1 file, 10 B from {told['MNGEN_INPUTS_FROM']} in " in said
    assert Path(told["MNGEN_INPUTS"], "input.txt").is_file()
    assert mount in Path(told["MNGEN_INPUTS"]).parents


def test_no_node_starts_before_all_is_there(bucket: Bucket, start: Callable[..., Running]) -> None:
    bucket.gate.close()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    nodes = []
    for index in ("0", "1"):
        arguments, env = wire_up(
            bucket.environment(
                AWS_BATCH_JOB_ID="job",
                AWS_BATCH_JOB_NUM_NODES="2",
                AWS_BATCH_JOB_NODE_INDEX=index,
                AWS_BATCH_JOB_MAIN_NODE_INDEX="0",
                AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS="127.0.0.1",
                MNGEN_SECRET="0123456789abcdef",
                MNGEN_PORT=port,
            ),
            *("sh", "-c", 'cat "$MNGEN_INPUTS/a.txt"'),
        )
        nodes.append(start(*arguments, env=env))
    main, child = nodes
    main.await_line("all 2 nodes have joined")
    bucket.gate.await_requests()
    child.await_line("joined as 127.0.0.1")
    for node in nodes:
        assert "running:" not in node.said
    assert not bucket.folder.exists()

    bucket.gate.open()

    for node in nodes:
        with ended(node, 0) as said:
            assert "first\n" in said
    # The nodes have met meanwhile; and one of them has fetched.
    assert main.said.index("all 2 nodes have joined") < main.said.index("inputs: 3 files")
    assert "inputs:" not in child.said
    assert bucket.arrived()
    assert bucket.folder.stat().st_mode & 0o777 == 0o755
    assert {scope.split("/")[2] for scope in bucket.gate.scopes if "/" in scope} >= {"us-west-2"}


def test_a_folder_that_is_there_is_taken_as_it_is(
    bucket: Bucket, start: Callable[..., Running]
) -> None:
    bucket.folder.mkdir(parents=True)
    (bucket.folder / "a.txt").write_text("from before\n")
    with Trap() as trap:
        arguments, env = wire_up(
            bucket.environment(AWS_ENDPOINT_URL=trap.endpoint),
            *("sh", "-c", 'cat "$MNGEN_INPUTS/a.txt"'),
        )
        with ended(start(*arguments, env=env), 0) as said:
            assert "from before\n" in said
            assert f"inputs: {bucket.folder} already exists" in said
        assert trap.caught == []


def test_two_jobs_that_fetch_the_same_at_a_time(
    bucket: Bucket, start: Callable[..., Running]
) -> None:
    bucket.gate.close()
    command = (sys.executable, "-I", FETCH, bucket.url, bucket.folder)
    both = [start(*command, env=bucket.environment()) for _ in range(2)]
    # Each has a folder of its own as soon as it asks for objects.
    bucket.gate.await_requests(len(both) * sum(bool(body) for body in FILES.values()))
    assert len(bucket.siblings()) == 2
    bucket.gate.open()
    for each in both:
        with ended(each, 0) as said:
            assert said.startswith(f"3 files, 13 B from {bucket.url} in ")
    assert bucket.arrived()


# --- what goes wrong ---


@pytest.mark.parametrize(
    ("changes", "failing", "code", "said"),
    [
        pytest.param(
            {"MNGEN_INPUTS_FROM": "s3://{name}/mngen/x/inputs/none/"},
            None,
            64,
            "no objects in s3://{name}/mngen/x/inputs/none/: submit the job again",
            id="no-objects",
        ),
        pytest.param(
            {"MNGEN_INPUTS_FROM": "s3://{name}-gone/in/"},
            None,
            64,
            "no bucket {name}-gone",
            id="no-bucket",
        ),
        pytest.param(
            {},
            refusal(403, "AccessDenied"),
            64,
            "the job's role may not read s3://{name}/mngen/x/inputs/0123/ (AccessDenied: so it is)",
            id="denied",
        ),
        pytest.param(
            {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
            None,
            64,
            "no credentials to read",
            id="no-role",
        ),
        pytest.param(
            {}, refusal(503, "SlowDown"), 70, "S3 failed on s3://{name}/mngen", id="overloaded"
        ),
    ],
)
def test_what_cannot_be_fetched(
    bucket: Bucket,
    start: Callable[..., Running],
    changes: dict[str, str],
    failing: Answer | None,
    code: int,
    said: str,
) -> None:
    bucket.gate.failing = failing
    filled = {name: value.format(name=bucket.name) for name, value in changes.items()}
    env = bucket.environment(AWS_SHARED_CREDENTIALS_FILE=os.devnull, AWS_CONFIG_FILE=os.devnull)
    env = {name: value for name, value in (env | filled).items() if value}
    arguments, env = wire_up(env, "echo", "it runs")
    with ended(start(*arguments, env=env), code) as text:
        assert f"error: {said.format(name=bucket.name)}" in text
        assert f"end: exit {code};" in text
        assert "it runs" not in text
    assert not bucket.folder.exists()


def test_an_image_without_the_client(
    bucket: Bucket, tmp_path: Path, start: Callable[..., Running]
) -> None:
    venv.create(tmp_path / "bare", symlinks=True, with_pip=False)
    bare = tmp_path / "bare" / "bin" / "python"
    arguments, env = wire_up(bucket.environment(), "echo", "it runs", python=str(bare))
    with ended(start(*arguments, env=env), 64) as said:
        assert f"error: {bare} cannot access S3 (No module named 'boto3')" in said
        assert "it runs" not in said


def test_an_image_with_an_older_wire_up_alone(
    bucket: Bucket, tmp_path: Path, start: Callable[..., Running]
) -> None:
    alone = tmp_path / "wireup.py"
    alone.write_bytes(WIREUP.read_bytes())
    shutil.copytree(CONTAINER / "mngen_wireup", tmp_path / "mngen_wireup")
    running = start(sys.executable, "-I", alone, "echo", "it runs", env=bucket.environment())
    with ended(running, 64) as said:
        assert "fetch_inputs.py failed with exit code 2; its output is above" in said


def test_a_place_that_cannot_be_written(bucket: Bucket, start: Callable[..., Running]) -> None:
    bucket.folder.parent.parent.mkdir(parents=True)
    bucket.folder.parent.write_text("a file")
    arguments, env = wire_up(bucket.environment(), "echo", "it runs")
    with ended(start(*arguments, env=env), 64) as said:
        assert f"error: cannot write {bucket.folder.parent}" in said
        assert "needs write permission in" in said


def test_sigterm_in_the_middle_leaves_nothing(
    bucket: Bucket, start: Callable[..., Running]
) -> None:
    bucket.gate.close()
    arguments, env = wire_up(bucket.environment(), "echo", "it runs")
    running = start(*arguments, env=env)
    bucket.gate.await_requests()
    assert [name.startswith(".0123-") for name in bucket.siblings()] == [True]
    running.process.send_signal(signal.SIGTERM)
    with ended(running, 143) as said:
        assert "cancelled by SIGTERM on node 0" in said
        assert "it runs" not in said
    assert bucket.siblings() == []


def test_a_half_that_a_killed_container_left_is_not_believed(
    bucket: Bucket, start: Callable[..., Running]
) -> None:
    bucket.gate.close()
    command = (sys.executable, "-I", FETCH, bucket.url, bucket.folder)
    killed = start(*command, env=bucket.environment())
    bucket.gate.await_requests()
    killed.process.kill()
    killed.process.wait()
    bucket.gate.open()
    (half,) = bucket.siblings()

    arguments, env = wire_up(bucket.environment(), "sh", "-c", 'cat "$MNGEN_INPUTS/a.txt"')
    with ended(start(*arguments, env=env), 0) as said:
        assert "inputs: 3 files, 13 B" in said
        assert "first\n" in said

    # It may be another job's that is still fetching, until it is too old for that.
    assert bucket.siblings() == [half, bucket.folder.name]
    shutil.rmtree(bucket.folder)
    long_ago = time.time() - 8 * 86_400
    os.utime(bucket.folder.parent / half, (long_ago, long_ago))
    with ended(start(*command, env=bucket.environment()), 0):
        assert bucket.arrived()
