"""A shell on a node: what opens it, what is refused before, and what becomes of the keys."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pexpect
import pytest
from botocore.exceptions import ClientError

from mngen.errors import InputError, ToolError
from mngen.jobs import Jobs
from mngen.policy import Part, policy
from mngen.sandbox import ACCOUNT_ID
from tests.support.batch import Deployed, hold, spec_text
from tests.support.cli import CHECKOUT, mngen
from tests.support.faults import Faults
from tests.support.iam import Request, actions, allows
from tests.support.session_manager_plugin import CHANNEL, ENDS, RECORD, install, read_record

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from mngen.sandbox import Sandbox

PATIENCE = 180  # seconds
_OWN = "other-jobs"
MORE = f"""\
  open: {{queue: big, nodes: 2, command: [hostname], shell: true}}
  alone: {{queue: small, command: [hostname], shell: true}}
  own:
    queue: small
    command: [hostname]
    shell: true
    role: arn:aws:iam::{ACCOUNT_ID}:role/{_OWN}
  sealed:
    queue: small
    command: [hostname]
    shell: true
    container_properties: {{readonlyRootFilesystem: true}}
"""


@pytest.fixture(scope="module")
def deployed(sandbox: Sandbox) -> Deployed:
    return Deployed(sandbox, spec_text(f"s{uuid4().hex[:10]}", more=MORE))


@pytest.fixture
def folder(tmp_path: Path, deployed: Deployed) -> Path:
    (tmp_path / "mngen.yaml").write_text(spec_text(deployed.name, more=MORE), encoding="utf-8")
    return tmp_path


@pytest.fixture
def environment(deployed: Deployed, folder: Path, state_home: Path) -> dict[str, str]:
    """An environment with the stand-in for the plugin, and nothing else that is called so."""
    programs = folder / "programs"
    programs.mkdir()
    variables: Any = {**deployed.sandbox.environment(), RECORD: str(folder / "record")}
    return {**variables, "PATH": install(programs), "XDG_STATE_HOME": str(state_home)}


@pytest.fixture
def shell(
    environment: dict[str, str], folder: Path
) -> Callable[..., subprocess.CompletedProcess[str]]:
    def ran(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return mngen(*arguments, cwd=folder, env={**environment, **variables})

    return ran


def of_task(deployed: Deployed, job: str, node: int) -> tuple[str, dict[str, Any]]:
    """What AWS reports about a node's container: its task's ARN, and the container."""
    arn = deployed.job(f"{job}#{node}")["container"]["taskArn"]
    cluster = arn.split("/")[1]
    answer = deployed.client("ecs").describe_tasks(cluster=cluster, tasks=[arn])
    return arn, answer["tasks"][0]["containers"][0]


def test_a_command_on_a_node(
    deployed: Deployed, jobs: Jobs, folder: Path, shell: Callable[..., Any]
) -> None:
    """The plugin gets the session of the node's container, in a variable, and an open input."""
    job = hold(jobs, "RUNNING", "open")
    done = shell("--debug", "shell", job, "--node", "1", "--", "nvidia-smi", "-L", **{ENDS: "1"})
    assert done.returncode == 0, done.stderr
    started, sent = read_record(folder / "record")
    arn, container = of_task(deployed, job, 1)
    cluster, task = arn.split("/")[1:]
    assert started["target"] == f"ecs:{cluster}_{task}_{container['runtimeId']}"
    assert started["session"]["sessionid"].startswith("ecs-execute-command-")
    assert f"/{started['session']['sessionid']}?" in started["session"]["streamurl"]
    assert (started["region"], sent) == ("us-east-1", b"")
    assert started["endpoint"] == deployed.sandbox.endpoint
    # Others see the arguments of a process.
    token = started["session"]["tokenvalue"]
    assert len(token) > 100
    for shown in (*started["arguments"], done.stdout, done.stderr):
        assert token not in shown
    assert "Exiting session" in done.stdout
    assert "EOF" not in done.stdout
    jobs.cancel(job)


@pytest.mark.parametrize("given", ["#1", "--node", "main", "alone"])
def test_the_node_that_is_meant(deployed: Deployed, jobs: Jobs, given: str) -> None:
    job = hold(jobs, "RUNNING", "alone" if given == "alone" else "open")
    identifier = f"{job}#1" if given == "#1" else job
    session = jobs.open_shell(identifier, node=1 if given == "--node" else None)
    found = deployed.job(job if given == "alone" else f"{job}#{int(given in ('#1', '--node'))}")
    assert found["container"]["taskArn"].rpartition("/")[2] in session.target
    assert session.token not in repr(session)
    jobs.cancel(job)


def test_keys_reach_the_container(jobs: Jobs, folder: Path, environment: dict[str, str]) -> None:
    job = hold(jobs, "RUNNING", "open")
    terminal: Any = pexpect.spawn(
        CHECKOUT[0],
        ["shell", job],
        cwd=str(folder),
        env=environment,
        encoding="utf-8",
        timeout=PATIENCE,
    )
    terminal.expect("connected")
    for key in ("c", "z", "\\"):
        terminal.sendcontrol(key)
        # A line between, so that no signal comes while another one is handled.
        terminal.send(f"then {key}\n")
    terminal.send("exit\n")
    terminal.expect("Exiting session")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0
    _, sent = read_record(folder / "record")
    for byte in (b"\x03", b"\x1a", b"\x1c"):
        assert sent.count(byte) == 1, sent
    jobs.cancel(job)


def test_ctrl_c_while_the_channel_does_not_open(
    jobs: Jobs, folder: Path, environment: dict[str, str]
) -> None:
    """The plugin takes no keys before: Ctrl-C kills it."""
    job = hold(jobs, "RUNNING", "open")
    terminal: Any = pexpect.spawn(
        CHECKOUT[0],
        ["shell", job],
        cwd=str(folder),
        env={**environment, CHANNEL: "blocked"},
        encoding="utf-8",
        timeout=PATIENCE,
    )
    terminal.expect("connecting")
    terminal.sendcontrol("c")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert "failed with exit code" not in terminal.before
    assert terminal.exitstatus == 130
    jobs.cancel(job)


def test_a_channel_that_is_refused(jobs: Jobs, shell: Callable[..., Any]) -> None:
    """The plugin succeeds all the same."""
    job = hold(jobs, "RUNNING", "open")
    done = shell("shell", job, "--", "true", **{CHANNEL: "refused"})
    assert (done.returncode, done.stderr) == (0, "")
    assert "Cannot perform start session: unable to determine SessionType" in done.stdout
    jobs.cancel(job)


def test_a_killed_plugin_leaves_the_terminal_as_it_was(
    jobs: Jobs, folder: Path, environment: dict[str, str]
) -> None:
    job = hold(jobs, "RUNNING", "open")
    script = f"stty -a > before; '{CHECKOUT[0]}' shell {job}; echo code $?; stty -a > after"
    terminal: Any = pexpect.spawn(
        "sh",
        ["-c", script],
        cwd=str(folder),
        env=environment,
        encoding="utf-8",
        timeout=PATIENCE,
    )
    terminal.expect("connected")
    started, _ = read_record(folder / "record")
    os.kill(started["pid"], signal.SIGKILL)
    terminal.expect("session-manager-plugin failed with exit code -9")
    terminal.expect("code 3")
    terminal.expect(pexpect.EOF)
    terminal.close()
    before, after = [(folder / name).read_text(encoding="utf-8") for name in ("before", "after")]
    assert " echo " in before
    assert before == after
    jobs.cancel(job)


def test_sigterm_ends_the_plugin_too(jobs: Jobs, folder: Path, environment: dict[str, str]) -> None:
    job = hold(jobs, "RUNNING", "open")
    terminal: Any = pexpect.spawn(
        CHECKOUT[0],
        ["shell", job],
        cwd=str(folder),
        env=environment,
        encoding="utf-8",
        timeout=PATIENCE,
    )
    terminal.expect("connected")
    started, _ = read_record(folder / "record")
    os.kill(terminal.pid, signal.SIGTERM)
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 130
    with pytest.raises(ProcessLookupError):
        os.kill(started["pid"], 0)
    jobs.cancel(job)


@pytest.mark.parametrize(
    ("job", "state", "node", "message", "hint"),
    [
        ("open", "RUNNABLE", 0, "is RUNNABLE: a shell needs a running container", "mngen status"),
        ("open", "STARTING", 0, "is STARTING: a shell needs", "mngen status"),
        ("open", "RUNNING", 2, "node 2 does not exist: the job has nodes 0 to 1", "--node"),
        ("alone", "RUNNING", 1, "node 1 does not exist: the job has one node", "--node"),
        ("mpi", "RUNNING", 1, "was submitted without `shell`", "add `shell: true` to `jobs.mpi`"),
    ],
)
def test_what_is_wrong_with_the_job(
    jobs: Jobs, job: str, state: str, node: int, message: str, hint: str
) -> None:
    held = hold(jobs, state, job)
    with pytest.raises(InputError) as raised:
        jobs.open_shell(held, node=node)
    [problem] = raised.value.problems
    assert message in problem.message
    assert hint in (problem.hint or "")
    jobs.cancel(held)


def test_what_has_ended(deployed: Deployed, jobs: Jobs) -> None:
    """A job, and a node of a job that goes on."""
    running = hold(jobs, "RUNNING", "open")
    deployed.control(jobs={running: {"node_exits": {"1": 3}}})
    with pytest.raises(InputError, match=r"node 1 has ended \(FAILED\): a shell needs"):
        jobs.open_shell(running, node=1)
    assert jobs.open_shell(running, node=0).id
    jobs.cancel(running)
    jobs.wait(running)
    with pytest.raises(InputError, match=r"has ended \(FAILED\)") as raised:
        jobs.open_shell(running)
    assert raised.value.problems[0].hint == f"mngen logs {running}"
    with pytest.raises(InputError, match="job `none` not found"):
        jobs.open_shell("none")
    with pytest.raises(InputError, match="the id names node 1, and --node is 0"):
        jobs.open_shell(f"{running}#1", node=0)


def test_a_definition_from_before(deployed: Deployed, jobs: Jobs) -> None:
    """The spec has `shell`, and the revision that the job runs has not."""
    [job] = [each for each in deployed.cluster.jobs if each.name == "alone"]
    deployed.register(job, enableExecuteCommand=False)
    held = deployed.batch.submit_job(
        jobName="old",
        jobQueue=f"{deployed.name}-small",
        jobDefinition=f"{deployed.name}-alone",
        containerOverrides={"environment": [{"name": "MNGEN_SANDBOX_HOLD", "value": "RUNNING"}]},
    )["jobId"]
    deployed.register(job)
    deadline = time.monotonic() + PATIENCE
    while jobs.status(held, why=False, instances=False).state != "RUNNING":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with pytest.raises(InputError) as raised:
        jobs.open_shell(held)
    assert "from before `shell`; run mngen apply" in (raised.value.problems[0].hint or "")
    jobs.cancel(held)


@pytest.mark.parametrize("agent", ["PENDING", "STOPPED"])
def test_an_agent_that_does_not_run(deployed: Deployed, jobs: Jobs, agent: str) -> None:
    job = hold(jobs, "RUNNING", "open")
    deployed.control(jobs={job: {"agent": agent}})
    with pytest.raises(ToolError, match=f"agent of ECS Exec on node 0 is {agent}") as raised:
        jobs.open_shell(job)
    hint = raised.value.problems[0].hint or ""
    assert ("try again in a minute" if agent == "PENDING" else "submit the job again") in hint
    jobs.cancel(job)


def test_what_keeps_the_agent_from_working(deployed: Deployed, jobs: Jobs) -> None:
    deployed.iam.create_role(RoleName=_OWN, AssumeRolePolicyDocument="{}")
    [own] = [each for each in deployed.cluster.jobs if each.name == "own"]
    deployed.register(own, jobRoleArn=own.spec.role)
    job = hold(jobs, "RUNNING", "own")
    with pytest.raises(ToolError, match="has no connection to Session Manager") as raised:
        jobs.open_shell(job)
    assert "MN466" in (raised.value.problems[0].hint or "")
    sealed = hold(jobs, "RUNNING", "sealed")
    with pytest.raises(ToolError, match="is STOPPED") as raised:
        jobs.open_shell(sealed)
    assert "MN480" in (raised.value.problems[0].hint or "")
    for each in (job, sealed):
        jobs.cancel(each)
    deployed.iam.delete_role(RoleName=_OWN)


def test_jobs_of_others_and_arrays(deployed: Deployed, jobs: Jobs) -> None:
    """An answer of DescribeJobs, as the API's model has it."""
    described = {
        "jobId": "a1",
        "status": "PENDING",
        "arrayProperties": {"size": 3},
        "jobDefinition": "arn:aws:batch:us-east-1:123456789012:job-definition/x:1",
    }

    class Batch:
        def describe_jobs(self, **_: object) -> dict[str, object]:
            return {"jobs": [described]}

    arrays = Jobs(deployed.cluster, lambda service, _: Batch() if service == "batch" else None)
    with pytest.raises(InputError, match="`a1` is an array of 3 jobs") as raised:
        arrays.open_shell("a1")
    assert raised.value.problems[0].hint == "name one of them, from a1:0 to a1:2"
    described["tags"] = {"mngen:deployment": "other"}
    with pytest.raises(InputError, match="is a job of the deployment `other`"):
        arrays.open_shell("a1")


def test_a_closed_input_is_no_terminal(
    jobs: Jobs, folder: Path, environment: dict[str, str]
) -> None:
    job = hold(jobs, "RUNNING", "open")
    closed = ("sh", "-c", 'exec "$@" <&-', "sh", *CHECKOUT)
    done = mngen("shell", job, cwd=folder, program=closed, env=environment)
    assert done.stderr.startswith("error: not a terminal: a shell needs one\n")
    assert done.returncode == 1
    ends = {**environment, ENDS: "1"}
    done = mngen("shell", job, "--", "true", cwd=folder, program=closed, env=ends)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Exiting session" in done.stdout
    assert "Cannot perform" not in done.stdout
    # What asks for confirmation finds none either.
    done = mngen("cancel", job, cwd=folder, program=closed, env=environment)
    assert done.stderr.startswith("error: not a terminal: pass --yes to confirm\n")
    jobs.cancel(job)


@pytest.mark.parametrize("case", ["missing", "old", "no terminal", "sandbox"])
def test_what_is_missing_here(
    jobs: Jobs, folder: Path, shell: Callable[..., Any], case: str
) -> None:
    job = hold(jobs, "RUNNING", "open")
    arguments, variables, code = ["shell", job, "--", "true"], {}, 3
    if case == "missing":
        variables = {"PATH": "/usr/bin:/bin"}
        expected = "cannot open a shell on a node; missing: Session Manager plugin"
    elif case == "old":
        variables = {"STAND_IN_VERSION": "1.2.497.0"}
        expected = "is version 1.2.497.0; 1.2.498 or newer is needed"
    elif case == "no terminal":
        arguments, code = ["shell", job], 1
        expected = f"help: run a command instead: mngen shell {job} -- COMMAND"
    else:
        arguments, code = ["shell", job, "--sandbox"], 1
        expected = "AWS would open the shell; jobs of the emulated AWS have no containers"
        variables = {"PATH": "/usr/bin:/bin"}
    done = shell(*arguments, **variables)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert expected in done.stderr
    assert not (folder / "record").exists()
    jobs.cancel(job)


@pytest.mark.usefixtures("state_home")
def test_the_policy_of_who_opens_shells(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Faults(deployed.sandbox.endpoint) as faults:
        faults.redirect(monkeypatch)
        jobs = Jobs(deployed.cluster)
        job = hold(jobs, "RUNNING", "open")
        before = len(faults.calls)
        jobs.open_shell(job, node=1)
        calls = faults.calls[before:]
        jobs.cancel(job)
    document = policy(Part.DEBUGGER, deployed.cluster, ACCOUNT_ID)
    asked = {call.action for call in calls}
    assert asked == {"batch:DescribeJobs", "ecs:DescribeTasks", "ecs:ExecuteCommand"}
    assert asked - actions([document]) == set()
    [sent] = [call.values for call in calls if call.action == "ecs:ExecuteCommand"]
    task = f"arn:aws:ecs:us-east-1:{ACCOUNT_ID}:task/{sent['cluster']}/{sent['task']}"
    cluster = f"arn:aws:ecs:us-east-1:{ACCOUNT_ID}:cluster/{sent['cluster']}"
    for action, arn in [
        ("ecs:DescribeTasks", task),
        ("ecs:ExecuteCommand", task),
        ("ecs:ExecuteCommand", cluster),
    ]:
        assert allows([document], Request(action, arn))
        elsewhere = arn.replace(deployed.name, f"x{deployed.name}")
        assert not allows([document], Request(action, elsewhere))
    submitter = actions([policy(Part.SUBMITTER, deployed.cluster, ACCOUNT_ID)])
    assert "ecs:ExecuteCommand" not in submitter


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"cluster": "none"}, "ClusterNotFoundException", "Cluster not found"),
        ({"interactive": False}, "InvalidParameterException", "Interactive is the only mode"),
        ({"task": "short"}, "InvalidParameterException", "task length should be one of [32,36]"),
        ({"task": "0" * 32}, "InvalidParameterException", "referenced task was not found"),
        ({"container": "other"}, "InvalidParameterException", "container was not found"),
    ],
)
def test_what_the_emulated_ecs_refuses(
    deployed: Deployed, jobs: Jobs, change: dict[str, Any], code: str, message: str
) -> None:
    job = hold(jobs, "RUNNING", "open")
    arn, container = of_task(deployed, job, 0)
    call = {
        "cluster": arn.split("/")[1],
        "task": arn,
        "command": "true",
        "interactive": True,
        "container": container["name"],
    }
    ecs = deployed.client("ecs")
    with pytest.raises(ClientError) as raised:
        ecs.execute_command(**{**call, **change})
    assert raised.value.response["Error"]["Code"] == code
    assert message in raised.value.response["Error"]["Message"]
    assert ecs.execute_command(**call)["taskArn"] == arn
    answer = ecs.describe_tasks(cluster=call["cluster"], tasks=[arn, "0" * 32])
    assert [each["reason"] for each in answer["failures"]] == ["MISSING"]
    # https://github.com/gchq/sleeper/issues/555
    with pytest.raises(ClientError, match=r"taskIds can have at most 100 items\."):
        ecs.describe_tasks(cluster=call["cluster"], tasks=[arn] * 101)
    jobs.cancel(job)
