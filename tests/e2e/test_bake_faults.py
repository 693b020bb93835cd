"""What goes wrong while images are baked: the others finish, nothing keeps running that costs.

The playbook is a short one, run by real Ansible over ssh; what is killed is the real program.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import uuid
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

from mngen.cluster import IMAGE_TAG
from mngen.images import end_leftovers, find_leftovers
from mngen.policy import Part, documents
from mngen.sandbox import ACCOUNT_ID
from tests.support.bake_deployment import bake_deployment
from tests.support.baking import (
    Deployed,
    bake_command,
    environment,
    require_machines,
    spec_text,
)
from tests.support.cli import DEAF
from tests.support.deploy import wait_until
from tests.support.faults import Faults
from tests.support.iam import actions
from tests.support.needs import skip_without
from tests.support.processes import children_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.sandbox import Sandbox

pytestmark = pytest.mark.xdist_group("bake")

ENGINES = ["direct", "packer"]
ONE, TWO = ("r5.12xlarge",), ("r5.12xlarge", "r5.24xlarge")
LIMITS = {"r5.12xlarge": 24, "r5.24xlarge": 48, "m4.4xlarge": 8}
TASK = "Write what was asked for"
_MINUTES = 240.0


class Bake:
    """A bake before a port that fails calls on demand, in a separate process if it is started.

    Args:
        deployed: What it bakes for.
        faults: The port.
        engine: `direct` or `packer`.
        temporary: The folder for its temporary files, with a name as short as a socket's must be.
    """

    def __init__(self, deployed: Deployed, faults: Faults, engine: str, temporary: str) -> None:
        self.deployed = deployed
        self.faults = faults
        self._engine = engine
        self._environment = environment(faults.environment(), deployed.folder)
        self._environment["TMPDIR"] = self.temporary = temporary
        self._log = deployed.folder / "said.txt"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def said(self) -> str:
        """All that it wrote."""
        return self._log.read_text(encoding="utf-8") if self._log.exists() else ""

    def start(self, *by: str) -> subprocess.Popen[bytes]:
        """Start it, by another command where one is given."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [*by, *bake_command(self.deployed, self._engine)],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self.process

    def wait(self) -> int:
        """Wait for its end and return its exit code."""
        assert self.process is not None
        return self.process.wait(_MINUTES)

    def run(self) -> int:
        """Bake in this process to the end, which takes no start, and return the exit code."""
        with pytest.MonkeyPatch.context() as patch, self._log.open("a", encoding="utf-8") as log:
            for name in os.environ.keys() - self._environment.keys():
                patch.delenv(name)
            for name, text in self._environment.items():
                patch.setenv(name, text)
            # Python has looked at TMPDIR before.
            patch.setattr(tempfile, "tempdir", self.temporary)
            return bake_deployment(self.deployed.parts, self._engine, log)

    def reach(self, stage: str) -> None:
        """Wait until an image has come to a stage."""
        wait_until(lambda: stage in self.said, f"{stage!r} in {self.said!r}", _MINUTES)

    def logs(self) -> list[str]:
        """Return the lines of all logs of the bake."""
        return [
            line
            for log in (self.deployed.folder / "state").rglob("*.log")
            for line in log.read_text(encoding="utf-8", errors="replace").splitlines()
        ]


@contextmanager
def baking(
    folder: Path, sandbox: Sandbox, engine: str, *types: str, name: str, more: str = ""
) -> Iterator[Bake]:
    require_machines()
    if engine == "packer":
        skip_without("packer")
    text = spec_text(*(types or ONE), name=f"{name}-{uuid.uuid4().hex[:6]}", more=more)
    deployed = Deployed(folder, sandbox, text, short=True)
    granted = actions(documents(Part.BAKER, deployed.cluster, ACCOUNT_ID))
    # One that is killed leaves files there; what it started may still write some.
    sure = TemporaryDirectory(prefix="mngen-", dir="/tmp", ignore_cleanup_errors=True)
    with Faults(sandbox.endpoint) as faults, sure as temporary:
        bake = Bake(deployed, faults, engine, temporary)
        try:
            yield bake
        finally:
            if bake.process is not None and bake.process.poll() is None:
                bake.process.kill()
                bake.process.wait()
        # Whatever went wrong, the policy for bakers grants all that was asked.
        assert {call.action for call in faults.calls} - granted == set()


def descendants(pid: int, *words: str) -> list[int]:
    """Find the descendants of a process whose command line holds all the words."""
    found = []
    for child in children_of(pid):
        with suppress(OSError):
            command = Path(f"/proc/{child}/cmdline").read_bytes().decode(errors="replace")
            # The supervisor's own command line holds that of what it watches.
            if all(word in command for word in words) and "_supervisor.py" not in command:
                found.append(child)
            found += descendants(child, *words)
    return found


@pytest.mark.parametrize("engine", ENGINES)
def test_one_that_fails_stops_no_other(engine: str, tmp_path: Path, sandbox: Sandbox) -> None:
    others = TWO if engine == "direct" else ONE
    own = "image: {playbooks: [bake/site.yml]}\n"
    types = (*others, "m4.4xlarge")
    with baking(tmp_path, sandbox, engine, *types, name="one-fails", more=own) as bake:
        # With one engine, the builder is kept to look at.
        keeps = engine == "direct"
        if keeps:
            bake.deployed.options = replace(bake.deployed.options, keep=True)
        assert bake.run() == 3, bake.said
        problems = [line for line in bake.said.splitlines() if line.startswith("problem:")]
        assert problems == [
            "problem: the playbook failed: Ask the licence server (bake/site.yml:6): no answer"
        ]
        baked = {}
        if keeps:
            [kept] = [each for each in bake.deployed.left() if each.startswith("i-")]
            baked["m4.4xlarge"] = sandbox.home / "machines" / kept / "upper"
        for name, record in bake.deployed.record.read().items():
            baked[name] = sandbox.image_folder(record.id)
        # Each with its own values, though they were baked at the same time.
        assert {name: root.joinpath("etc/baked").read_text() for name, root in baked.items()} == {
            name: f"{name} {LIMITS[name]}\n" for name in (*others, *["m4.4xlarge"] * keeps)
        }
        if keeps:
            assert sweep(bake.deployed).count("instance") == 1
        assert bake.deployed.left() == []


@pytest.mark.parametrize("engine", ENGINES)
def test_a_zone_without_capacity_is_answered_by_the_next(
    engine: str, tmp_path: Path, sandbox: Sandbox
) -> None:
    with baking(tmp_path, sandbox, engine, name="capacity") as bake:
        bake.faults.fail("ec2:RunInstances", "InsufficientInstanceCapacity", status=400, times=1)
        calls = {"ec2:RunInstances": 2, "ec2:CreateImage": 1}
        if engine == "direct":
            throttle(bake.faults)
            calls = {"ec2:RunInstances": 5, "ec2:CreateImage": 3}
        assert bake.run() == 0, bake.said
        assert list(bake.deployed.record.read()) == ["r5.12xlarge"]
        assert {action: bake.faults.count(action) for action in calls} == calls
        assert bake.deployed.left() == []


def throttle(faults: Faults) -> None:
    """Throttle calls that have to be waited out, and lose an answer that must not start a second
    builder."""
    for action in ("RunInstances", "StopInstances", "CreateImage", "TerminateInstances"):
        faults.fail(f"ec2:{action}", "RequestLimitExceeded", status=503, times=2)
    faults.lose("ec2:RunInstances", times=1)


def test_no_zone_with_capacity_is_said(tmp_path: Path, sandbox: Sandbox) -> None:
    with baking(tmp_path, sandbox, "direct", name="none") as bake:
        bake.faults.fail("ec2:RunInstances", "InsufficientInstanceCapacity", status=400)
        assert bake.run() == 3
        assert "no zone has a t3.micro for the builder of `r5.12xlarge`" in bake.said
        assert bake.deployed.left() == []
        assert bake.deployed.record.read() == {}


@pytest.mark.parametrize("engine", ENGINES)
def test_ssh_that_never_comes_up_ends_the_builder(
    engine: str, tmp_path: Path, sandbox: Sandbox
) -> None:
    with baking(tmp_path, sandbox, engine, name="no-ssh") as bake:
        deployed = bake.deployed
        deployed.options = replace(deployed.options, ssh_port=9, ssh_seconds=6)
        assert bake.run() == 3
        expected = (
            "timed out after 0.1 min waiting for sshd"
            if engine == "direct"
            else "Timeout waiting for SSH"
        )
        assert expected in bake.said
        assert deployed.left() == []


def test_a_base_image_that_is_gone_is_said(tmp_path: Path, sandbox: Sandbox) -> None:
    with baking(tmp_path, sandbox, "direct", name="no-base") as bake:
        bake.faults.fail("ec2:RunInstances", "InvalidAMIID.NotFound", "The image id does not exist")
        assert bake.run() == 3
        assert "AWS refused RunInstances: The image id does not exist" in bake.said
        assert bake.deployed.left() == []


def test_a_network_that_is_gone_is_said(tmp_path: Path, sandbox: Sandbox) -> None:
    with baking(tmp_path, sandbox, "direct", name="network") as bake:
        bake.faults.drop("ec2:RunInstances")
        assert bake.run() == 3
        assert "problem: cannot reach AWS" in bake.said
        assert bake.deployed.left() == []


def test_credentials_that_expire_leave_what_sweep_finds(tmp_path: Path, sandbox: Sandbox) -> None:
    with baking(tmp_path, sandbox, "direct", name="expired") as bake:
        hold = bake.faults.hold("ec2:StopInstances", times=1)
        bake.start()
        assert hold.reached.wait(_MINUTES), bake.said
        for action in (
            *("StopInstances", "TerminateInstances", "DescribeInstances", "CreateImage"),
            *("DeleteKeyPair", "DeleteSecurityGroup"),
        ):
            bake.faults.fail(f"ec2:{action}", "RequestExpired", "Request has expired.")
        hold.released.set()
        assert bake.wait() == 3
        assert "the AWS credentials have expired" in bake.said
        assert "may still run, and cost money" in bake.said
        assert bake.deployed.record.read() == {}
        bake.faults.clear()
        assert "instance" in sweep(bake.deployed)


def sweep(deployed: Deployed) -> list[str]:
    """End what a bake left, as `mngen ami cleanup` does, and return the kinds of it, in order."""
    name = deployed.cluster.spec.name
    left = find_leftovers(deployed.ec2, name)
    end_leftovers(deployed.ec2, left)
    assert find_leftovers(deployed.ec2, name) == []
    return sorted(each.kind for each in left)


@pytest.mark.parametrize(
    ("engine", "stage", "start", "number", "types"),
    [
        pytest.param("direct", "wait for ssh", (), signal.SIGINT, ONE, id="direct-early-SIGINT"),
        pytest.param("direct", TASK, (), signal.SIGINT, TWO, id="direct-SIGINT"),
        pytest.param("direct", TASK, DEAF, signal.SIGTERM, ONE, id="direct-deaf"),
        pytest.param("packer", TASK, (), signal.SIGINT, TWO, id="packer-SIGINT"),
        pytest.param("packer", TASK, DEAF, signal.SIGTERM, ONE, id="packer-deaf"),
    ],
)
def test_an_interrupt_ends_the_builders_first(
    engine: str,
    stage: str,
    start: tuple[str, ...],
    number: signal.Signals,
    types: tuple[str, ...],
    tmp_path: Path,
    sandbox: Sandbox,
) -> None:
    with baking(tmp_path, sandbox, engine, *types, name="stop") as bake:
        bake.deployed.linger()
        process = bake.start(*start)
        bake.reach(stage)
        process.send_signal(number)
        assert bake.wait() == 130, bake.said
        assert "interrupted: terminating the builders" in bake.said
        assert descendants(process.pid) == []
        assert bake.deployed.left() == []
        recorded = {record.id for record in bake.deployed.record.read().values()}
        assert recorded == there(bake.deployed)


def there(deployed: Deployed) -> set[str]:
    """Return the AMIs that a deployment's bakes made."""
    filters = [
        {"Name": "tag:mngen:deployment", "Values": [deployed.cluster.spec.name]},
        {"Name": "tag-key", "Values": [IMAGE_TAG]},
    ]
    return {each["ImageId"] for each in deployed.ec2.describe_images(Filters=filters)["Images"]}


def test_an_interrupt_while_the_image_is_made_withdraws_it(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    with baking(tmp_path, sandbox, "direct", name="pending") as bake:
        hold = bake.faults.hold("ec2:CreateImage", times=1)
        process = bake.start()
        assert hold.reached.wait(_MINUTES), bake.said
        process.send_signal(signal.SIGINT)
        bake.reach("interrupted")
        hold.released.set()
        assert bake.wait() in {0, 130}
        recorded = {record.id for record in bake.deployed.record.read().values()}
        assert recorded == there(bake.deployed)
        assert bake.deployed.left() == []


def test_what_a_killed_bake_left_is_found_and_ended(tmp_path: Path, sandbox: Sandbox) -> None:
    with baking(tmp_path, sandbox, "direct", name="killed") as bake:
        process = bake.start()
        bake.reach(TASK)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert "instance" in sweep(bake.deployed)
        # Nothing of it stands in the way of the next.
        assert bake.run() == 0, bake.said
        assert list(bake.deployed.record.read()) == ["r5.12xlarge"]


def test_packer_cleans_up_when_mngen_is_killed(tmp_path: Path, sandbox: Sandbox) -> None:
    with baking(tmp_path, sandbox, "packer", name="orphan") as bake:
        bake.deployed.linger()
        process = bake.start()
        bake.reach(TASK)
        process.kill()
        process.wait()
        deployed = bake.deployed
        # After the builder, Packer deletes its key pair. The security group is mngen's own.
        wait_until(lambda: len(deployed.left()) == 1, "the end of what Packer made", _MINUTES)
        assert sweep(deployed) == ["security group"]


def test_a_killed_program_fails_its_image_alone(tmp_path: Path, sandbox: Sandbox) -> None:
    programs = {"r5.12xlarge": "packer", "r5.24xlarge": "ansible-playbook"}
    with baking(tmp_path, sandbox, "packer", *programs, "m4.4xlarge", name="kill") as bake:
        bake.deployed.linger(*programs)
        hold = bake.faults.hold("ec2:StopInstances")
        process = bake.start()
        for image, program in programs.items():
            bake.reach(f"{image} {TASK}")
            victims = descendants(process.pid, program, image.replace(".", "_"))
            assert victims, bake.said
            for pid in victims:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        hold.released.set()
        assert bake.wait() == 3, bake.said
        assert list(bake.deployed.record.read()) == ["m4.4xlarge"], bake.said
        assert bake.deployed.left() == []


def test_a_second_bake_waits_for_the_first_and_finds_its_image(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    with baking(tmp_path, sandbox, "direct", name="second") as bake:
        hold = bake.faults.hold("ec2:RunInstances", times=1)
        first = bake.start()
        assert hold.reached.wait(_MINUTES), bake.said
        second = Bake(bake.deployed, bake.faults, "direct", bake.temporary)
        second.start()
        assert second.wait() == 1
        assert f"is running (process {first.pid})" in second.said
        hold.released.set()
        assert first.wait(_MINUTES) == 0
        # One that could not be recorded is found again.
        record = bake.deployed.record.read()
        bake.deployed.record.path.unlink()
        launched = bake.faults.count("ec2:RunInstances")
        assert bake.run() == 0
        assert bake.deployed.record.read()["r5.12xlarge"].id == record["r5.12xlarge"].id
        assert bake.faults.count("ec2:RunInstances") == launched
