"""Instances that run for a waiting job and never join their cluster: what `mngen status` says.

The consoles are real ones: what two AMIs that were baked and booted in QEMU wrote
(tests/e2e/test_boot_image.py), one with its file system and one without.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mngen.jobs import Jobs, _waiting
from mngen.jobs._console import mount_state, telling_lines
from mngen.jobs._joining import is_of
from mngen.policy import Part, policy
from mngen.sandbox import ACCOUNT_ID
from tests.support.faults import Faults
from tests.support.iam import Request, allows
from tests.support.logs import logged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mngen.jobs import Cause
    from tests.support.batch import Deployed

DATA = Path(__file__).parent / "data"
MOUNTED = (DATA / "console_mounted.txt").read_text(encoding="utf-8")
NOT_MOUNTED = (DATA / "console_not_mounted.txt").read_text(encoding="utf-8")
TRYING = NOT_MOUNTED[: NOT_MOUNTED.index("mngen-efs-mount: ERROR")]
OTHER = "[    1.1] Booting Linux\nAmazon Linux 2023\nip-10-0-0-1 login: "

pytestmark = pytest.mark.usefixtures("state_home", "inside")


@pytest.fixture
def start(deployed: Deployed) -> Iterator[Callable[..., str]]:
    """Submit a job whose instances do what a test asks for; end both with the test."""
    jobs = []
    replaced = []

    def started(environment: str = "r5", nodes: int = 2, **wish: Any) -> str:
        deployed.control(unjoined={deployed.environments[environment]: {"age": 720, **wish}})
        replaced.extend(["lifetime"] if "lifetime" in wish else [])
        many = environment == "r5"
        answer = deployed.batch.submit_job(
            jobName="unjoined",
            jobQueue=f"{deployed.name}-{'big' if many else 'small'}",
            jobDefinition=f"{deployed.name}-{'mpi' if many else 'one'}",
            **({"nodeOverrides": {"numNodes": nodes}} if many else {}),
        )
        jobs.append(str(answer["jobId"]))
        assert deployed.job(jobs[-1])["status"] == "RUNNABLE"
        return jobs[-1]

    yield started
    for each in jobs:
        deployed.batch.terminate_job(jobId=each, reason="test")
    deployed.control(unjoined={})
    if replaced:
        # EC2 tells starts in whole seconds: they shall not be those of the next test's job.
        last = int(time.time())
        while int(time.time()) == last:
            time.sleep(0.02)


def causes(jobs: Jobs, identifier: str) -> list[Cause]:
    """Return what status says of instances."""
    return [each for each in jobs.status(identifier).causes if each.instances]


def running(deployed: Deployed) -> list[str]:
    found = deployed.ec2.describe_instances(
        Filters=[
            {"Name": "tag:mngen:deployment", "Values": [deployed.name]},
            {"Name": "instance-state-name", "Values": ["running"]},
        ]
    )
    return [each["InstanceId"] for group in found["Reservations"] for each in group["Instances"]]


def test_without_the_file_system(deployed: Deployed, jobs: Jobs, start: Callable[..., str]) -> None:
    (cause,) = causes(jobs, start(nodes=3, console=NOT_MOUNTED))
    name = deployed.environments["r5"]
    assert cause.what.startswith(
        f"3 of 3 instances of `{name}` have not joined its ECS cluster, the first for 12 min (i-"
    )
    assert "the file system is not mounted" in cause.what
    assert "port 2049" in cause.remedy
    assert cause.certain
    assert sorted(cause.instances) == sorted(running(deployed))
    assert "mngen-efs-mount: ERROR: /efs was not mounted within" in "\n".join(cause.console)


def test_while_the_mount_is_tried_again(jobs: Jobs, start: Callable[..., str]) -> None:
    assert mount_state(TRYING) == "WARNING"
    (cause,) = causes(jobs, start(console=TRYING))
    assert "the file system is not mounted" in cause.what


def test_those_that_joined_are_not_counted(
    deployed: Deployed, jobs: Jobs, start: Callable[..., str]
) -> None:
    identifier = start(nodes=4, joined=3, console=NOT_MOUNTED)
    (cause,) = causes(jobs, identifier)
    assert cause.what.startswith("1 of 4 instances of ")
    arns = deployed.ecs_members("r5")
    assert len(arns) == 3
    assert set(running(deployed)) - arns == set(cause.instances)


@pytest.mark.parametrize(
    ("wish", "what", "remedy"),
    [
        ({"console": MOUNTED}, "the file system is mounted, so the ECS agent", "NAT gateway"),
        ({"console": MOUNTED, "profile": False}, "no instance profile", "mngen apply"),
        ({"console": MOUNTED, "image": "ami-0bad0bad0bad0bad0"}, "from ami-0bad", "terminate"),
        ({"console": OTHER}, "no line of mngen's mount unit", "`mngen bake`"),
        ({"console": ""}, "its console is empty so far", "ask again"),
    ],
    ids=["agent", "profile", "image", "other", "empty"],
)
def test_what_is_likely(
    jobs: Jobs, start: Callable[..., str], wish: dict[str, Any], what: str, remedy: str
) -> None:
    (cause,) = causes(jobs, start(**wish))
    assert what in cause.what
    assert remedy in cause.remedy
    assert cause.console == telling_lines(wish["console"])


def test_those_that_have_just_started_are_waited_for(jobs: Jobs, start: Callable[..., str]) -> None:
    (cause,) = causes(jobs, start(age=20, console=""))
    assert "will join soon" in cause.what
    assert not cause.certain


def test_an_agent_without_a_connection(jobs: Jobs, start: Callable[..., str]) -> None:
    (cause,) = causes(jobs, start(nodes=3, joined=2, disconnected=1, age=30))[:1]
    assert "the ECS agent of 1 instance of" in cause.what
    assert len(cause.instances) == 1


def ended(deployed: Deployed, identifier: str, count: int) -> None:
    """Let the group replace instances until this many are gone."""
    deadline = time.monotonic() + 180
    while True:
        deployed.job(identifier)
        found = deployed.ec2.describe_instances(
            Filters=[
                {"Name": "tag:mngen:deployment", "Values": [deployed.name]},
                {"Name": "instance-state-name", "Values": ["terminated"]},
            ]
        )
        gone = [each for group in found["Reservations"] for each in group["Instances"]]
        since = deployed.job(identifier)["createdAt"] / 1000
        if sum(each["LaunchTime"].timestamp() >= int(since) for each in gone) >= count:
            return
        assert time.monotonic() < deadline


@pytest.mark.parametrize(
    ("wish", "what", "certain"),
    [
        ({"console": NOT_MOUNTED}, "the file system could not be mounted", True),
        ({"console": MOUNTED}, "Client.UserInitiatedShutdown", False),
        (
            {"console": MOUNTED, "reason": "Client.InstanceInitiatedShutdown"},
            "was shut down from inside",
            True,
        ),
        ({"reason": "Client.InternalError"}, "EC2 reports Client.InternalError", True),
    ],
    ids=["mount", "unknown", "inside", "key"],
)
def test_instances_that_start_and_end_again_and_again(
    deployed: Deployed,
    jobs: Jobs,
    start: Callable[..., str],
    wish: dict[str, Any],
    what: str,
    certain: bool,
) -> None:
    identifier = start(nodes=1, lifetime=0, age=0, **wish)
    ended(deployed, identifier, 3)
    (cause,) = [each for each in causes(jobs, identifier) if "ended within minutes" in each.what]
    assert what in cause.what
    assert cause.certain is certain
    assert len(cause.instances) >= 3
    assert not set(cause.instances) & set(running(deployed))
    if wish.get("reason") == "Client.InternalError":
        assert "KMS key" in cause.remedy


def test_those_of_a_replaced_environment_are_not_counted(
    deployed: Deployed, jobs: Jobs, start: Callable[..., str]
) -> None:
    old = f"AWSBatch-{deployed.name}-r5-20250101000000000000000001-asg-x"
    assert causes(jobs, start(console=NOT_MOUNTED, group=old)) == []


def test_those_of_no_group_are_found_by_their_tags(jobs: Jobs, start: Callable[..., str]) -> None:
    (cause,) = causes(jobs, start(console=NOT_MOUNTED, group=""))
    assert "the file system is not mounted" in cause.what


def test_those_of_an_environment_with_a_longer_name_are_others() -> None:
    def named(name: str) -> Any:
        return {"computeEnvironmentName": name}

    spot_fleet = {"Tags": [{"Key": "Name", "Value": "demo-r5"}]}
    assert is_of(spot_fleet, named("demo-r5-20261128093000000000000001"))
    assert not is_of(spot_fleet, named("demo-r5-big-20261128093000000000000001"))
    for prefix in ("AWSBatch-", ""):
        group = f"{prefix}demo-r5-big-20261128093000000000000001-asg-640012bd"
        of_group = {
            "Tags": [
                {"Key": "aws:autoscaling:groupName", "Value": group},
                {"Key": "Name", "Value": "demo-r5-big"},
            ]
        }
        assert is_of(of_group, named("demo-r5-big-20261128093000000000000001"))
        assert not is_of(of_group, named("demo-r5-big-20261128093000000000000002"))
    assert not is_of({}, named("demo-r5-20261128093000000000000001"))


def test_a_type_without_the_latest_console(
    deployed: Deployed, start: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Faults(deployed.sandbox.endpoint) as faults:
        faults.redirect(monkeypatch)
        (cause,) = causes(Jobs(deployed.cluster), start("m4", console=NOT_MOUNTED))
        calls = [call for call in faults.calls if call.action == "ec2:GetConsoleOutput"]
    assert [call.status for call in calls] == [400, 200]
    assert "the file system is not mounted" in cause.what


def test_whoever_may_not_look_sees_the_rest(
    deployed: Deployed, start: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    identifier = start(joined=1, console=NOT_MOUNTED)
    with Faults(deployed.sandbox.endpoint) as faults:
        faults.redirect(monkeypatch)
        jobs = Jobs(deployed.cluster)
        for action, code, status in (
            ("ec2:DescribeInstances", "UnauthorizedOperation", 403),
            ("ecs:ListContainerInstances", "AccessDeniedException", 400),
            ("ecs:DescribeContainerInstances", "AccessDeniedException", 400),
        ):
            faults.fail(action, code, status=status)
            found = jobs.status(identifier)
            assert faults.count(action, status=status)
            faults.clear()
            assert found.state == "RUNNABLE"
            assert found.causes
            assert not any(each.instances for each in found.causes)
        faults.fail("ec2:GetConsoleOutput", "UnauthorizedOperation", status=403)
        (cause,) = causes(jobs, identifier)
    assert "1 of 2 instances" in cause.what
    assert cause.console == ()


def test_many_take_a_bounded_number_of_calls(
    large: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = large.environments["r5"]
    large.control(unjoined={name: {"age": 720, "joined": 290, "console": NOT_MOUNTED}})
    identifier = large.batch.submit_job(
        jobName="unjoined",
        jobQueue=f"{large.name}-big",
        jobDefinition=f"{large.name}-mpi",
        nodeOverrides={"numNodes": 300},
    )["jobId"]
    with Faults(large.sandbox.endpoint) as faults:
        faults.redirect(monkeypatch)
        jobs = Jobs(large.cluster)
        earlier = jobs.status(identifier, why=False)
        before = len(faults.calls)
        (cause,) = causes(jobs, identifier)
        calls = [call.action for call in faults.calls[before:]]
    assert earlier.state == "RUNNABLE"
    assert cause.what.startswith("10 of 300 instances of ")
    assert len(cause.instances) == 10
    looked = ("ec2:DescribeInstances", "ec2:GetConsoleOutput", "ecs:")
    asked = [call for call in calls if call.startswith(looked)]
    assert asked == [
        "ec2:DescribeInstances",
        *["ecs:ListContainerInstances"] * 3,
        *["ecs:DescribeContainerInstances"] * 3,
        "ec2:GetConsoleOutput",
    ]
    large.batch.terminate_job(jobId=identifier, reason="test")
    large.control(unjoined={})


def test_a_submitter_may_look(
    deployed: Deployed, start: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call, on the very resource that it names, with the tags that EC2 has of it."""
    with Faults(deployed.sandbox.endpoint) as faults:
        faults.redirect(monkeypatch)
        assert causes(Jobs(deployed.cluster), start(joined=1, console=MOUNTED))
        calls = {call.action: call.values for call in faults.calls}
    documents = [policy(Part.SUBMITTER, deployed.cluster, ACCOUNT_ID)]
    here = {"aws:RequestedRegion": "us-east-1"}
    assert allows(documents, Request("ec2:DescribeInstances", "*", here))
    cluster = calls["ecs:ListContainerInstances"]["cluster"]
    assert allows(documents, Request("ecs:ListContainerInstances", cluster))
    (member,) = calls["ecs:DescribeContainerInstances"]["containerInstances"]
    assert allows(documents, Request("ecs:DescribeContainerInstances", member))
    instance = calls["ec2:GetConsoleOutput"]["InstanceId"]
    arn = f"arn:aws:ec2:us-east-1:{ACCOUNT_ID}:instance/{instance}"
    tags = deployed.ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": [instance]}])
    context = {f"aws:ResourceTag/{each['Key']}": each["Value"] for each in tags["Tags"]}
    assert allows(documents, Request("ec2:GetConsoleOutput", arn, context))
    # Nobody else's, whatever it is called.
    assert not allows(documents, Request("ec2:GetConsoleOutput", arn, {}))


def test_the_command_shows_the_console(run: Any, start: Callable[..., str]) -> None:
    identifier = start(console=f"\x1b]0;title\x07\x1b[31m{NOT_MOUNTED}")
    shown = run("status", identifier)
    assert shown.returncode == 0
    assert "have not joined its ECS cluster" in shown.stdout
    lines = shown.stdout.partition("  on the console:\n")[2].splitlines()
    assert any("mngen-efs-mount: ERROR: powering off" in line for line in lines)
    assert "\x1b" not in shown.stdout
    found = json.loads(run("status", identifier, "--format", "json").stdout)
    (cause,) = [each for each in found["causes"] if each["instances"]]
    assert len(cause["instances"]) == 2
    assert cause["console"]


@pytest.mark.parametrize("command", ["wait", "follow"])
def test_whoever_waits_is_told_once(
    jobs: Jobs, start: Callable[..., str], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr(_waiting, "_FIRST_SECONDS", 0.0)
    identifier = start(console=NOT_MOUNTED)

    def cancel_at_the_end(line: str) -> None:
        if line.startswith("for what to do"):
            jobs.cancel(identifier)

    with logged(cancel_at_the_end) as said:
        if command == "wait":
            assert jobs.wait(identifier).state == "FAILED"
        else:
            assert list(jobs.follow(identifier)) == []
    assert sum("2 of 2 instances" in line for line in said) == 1
    assert any(line.startswith("RUNNABLE for ") for line in said)
    assert f"for what to do: mngen status {identifier}" in said


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ()),
        ("\x1b[2J\x1b]52;c;cm0gLXJm\x07 \x00\x9b31mfailed\r\n", ("31mfailed",)),
        ("a\nb\n\n c \r", ("a", "b", "c")),
        ("\n".join(f"error {n}" for n in range(100)), tuple(f"error {n}" for n in range(92, 100))),
        ("x" * 1000, ("x" * 239 + "…",)),
    ],
)
def test_a_console_is_shown_as_plain_text(text: str, shown: tuple[str, ...]) -> None:
    assert telling_lines(text) == shown
