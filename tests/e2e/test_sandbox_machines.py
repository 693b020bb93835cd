"""The sandbox's builders are machines: they boot, are logged into, imaged, and leave nothing."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from mngen.cluster import BUILDER_USER_DATA
from mngen.errors import InputError
from mngen.sandbox import (
    MACHINE_SSH_PORT,
    Sandbox,
    machines_unavailable,
    prepare_machines,
    start_sandbox,
)
from tests.support.builders import Builder, base_ami, launch, new_key
from tests.support.sandbox import client, unique

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.xdist_group("machines")


@pytest.fixture(scope="module")
def ready(sandbox: Sandbox) -> Sandbox:
    """The session's sandbox, where it can have machines, with all made that they start from."""
    if reason := machines_unavailable():
        pytest.skip(reason)
    prepare_machines()
    return sandbox


@pytest.fixture(scope="module")
def ec2(ready: Sandbox) -> Any:
    return client(ready, "ec2")


@pytest.fixture(scope="module")
def key(ec2: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return new_key(ec2, tmp_path_factory.mktemp("keys"), unique("key"))


@pytest.fixture
def builder(ready: Sandbox, ec2: Any, key: Path) -> Iterator[Builder]:
    """A builder that runs."""
    made = launch(ec2, base_ami(ready), key)
    made.wait()
    yield made
    made.terminate()


@pytest.fixture(scope="module")
def shared(ready: Sandbox, ec2: Any, key: Path) -> Iterator[Builder]:
    """A builder that runs, and does so again after each test that it is used in."""
    made = launch(ec2, base_ami(ready), key)
    made.wait()
    # At its first boot: what fails then alone is not seen later.
    made.run("systemctl is-system-running --wait")
    yield made
    made.terminate()


@pytest.fixture(scope="module")
def image(ready: Sandbox, ec2: Any, key: Path) -> str:
    """An image of a machine on which files were made, changed and removed."""
    builder = launch(ec2, base_ami(ready), key)
    builder.wait()
    builder.run(
        "echo baked >/etc/baked; rm /etc/os-release /etc/ssh/ssh_host_*; rm -r /etc/skel; "
        "mkdir /etc/skel; : >/etc/machine-id; rm /home/ec2-user/.ssh/authorized_keys"
    )
    ami = builder.image(unique("image"))
    builder.terminate()
    return ami


@pytest.fixture
def own(ready: Sandbox) -> Iterator[Sandbox]:
    """A sandbox of the test's own, which it may end."""
    with start_sandbox() as sandbox:
        yield sandbox


def until(condition: Callable[[], Any], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.1)


def on_host(builder: Builder) -> str:
    """Return what a machine is called on this computer, also in its control groups."""
    return "mngen-machine-" + builder.address.replace(".", "-")


def mentioned(word: str) -> list[str]:
    """Find processes whose command line, mounts or control groups hold a word."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            mounts = (process / "mountinfo").read_text(encoding="utf-8", errors="replace")
            groups = (process / "cgroup").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        if word in line or word in mounts or word in groups:
            found.append(line)
    return found


def unmentioned(word: str) -> bool:
    """Return whether no process holds a word so."""
    return not mentioned(word)


class TestALaunch:
    def test_it_is_pending_then_running_at_an_address_of_its_own(
        self, ready: Sandbox, ec2: Any, tmp_path: Path
    ) -> None:
        # An RSA key that EC2 made opens it.
        builder = launch(ec2, base_ami(ready), new_key(ec2, tmp_path, unique("rsa"), "rsa"))
        assert builder.state == "pending"
        builder.wait()
        described = builder.described()
        address = described["PrivateIpAddress"]
        assert address.startswith("127.")
        assert not address.startswith("127.0.")
        assert described["PublicIpAddress"] == address
        dashed = address.replace(".", "-")
        assert described["PrivateDnsName"] == f"ip-{dashed}.ec2.internal"
        assert described["PublicDnsName"] == f"ec2-{dashed}.compute-1.amazonaws.com"
        assert builder.run("hostname").strip() == f"ip-{dashed}"
        builder.terminate()
        assert "PrivateIpAddress" not in builder.described()
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((address, MACHINE_SSH_PORT), timeout=30).close()

    @pytest.mark.parametrize(
        ("base", "version", "kind"),
        [("amazon-linux-2023", "2023", "rsa"), ("amazon-linux-2", "2", "ed25519")],
    )
    def test_it_is_the_system_of_its_image_and_lets_an_imported_key_in(
        self, ready: Sandbox, ec2: Any, tmp_path: Path, base: str, version: str, kind: str
    ) -> None:
        key = tmp_path / unique("imported")
        subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", key], check=True)
        public = key.with_suffix(".pub").read_bytes()
        ec2.import_key_pair(KeyName=key.name, PublicKeyMaterial=public)
        builder = launch(ec2, base_ami(ready, base), key)
        builder.wait()
        release = builder.run("cat /etc/os-release")
        assert f'VERSION_ID="{version}"' in release
        # https://docs.aws.amazon.com/linux/al2023/ug/ssh-host-keys-disabled.html
        wanted = {"ecdsa", "ed25519"} | ({"rsa"} if version == "2" else set())
        files = builder.run("ls /etc/ssh/ssh_host_*_key").split()
        assert {file.split("_")[2] for file in files} == wanted
        assert builder.run("id -u").strip() == "0"
        refused = builder.ssh("id", user="root")
        assert "ec2-user" in refused.stdout
        assert "uid=" not in refused.stdout
        builder.terminate()

    def test_without_the_tag_it_is_metadata(self, ready: Sandbox, ec2: Any, key: Path) -> None:
        plain = launch(ec2, base_ami(ready), key, TagSpecifications=[])
        assert plain.state == "running"
        assert not plain.address.startswith("127.")
        plain.terminate()

    def test_it_cannot_change_the_kernel_that_it_shares(self, shared: Builder) -> None:
        for setting in ("/proc/sys/vm/swappiness", "/sys/kernel/uevent_seqnum"):
            assert "Read-only file system" in shared.ssh(f"sudo sh -c 'echo 1 >{setting}'").stderr

    def test_three_boot_side_by_side(self, ready: Sandbox, ec2: Any, key: Path) -> None:
        image = base_ami(ready)

        def boot(_: int) -> Builder:
            made = launch(ec2, image, key)
            made.wait()
            return made

        with ThreadPoolExecutor(3) as pool:
            made = list(pool.map(boot, range(3)))
        assert len({each.address for each in made}) == 3
        assert len({each.run("cat /etc/ssh/ssh_host_ed25519_key.pub") for each in made}) == 3
        for each in made:
            each.terminate()


class TestItsLife:
    def test_stopped_and_started_it_is_the_same_machine(self, shared: Builder, ec2: Any) -> None:
        before = shared.run("touch /kept; cat /etc/ssh/ssh_host_ed25519_key.pub /etc/machine-id")
        address = shared.address
        ec2.stop_instances(InstanceIds=[shared.id])
        shared.wait("stopped")
        assert shared.ssh("true").returncode == 255
        ec2.start_instances(InstanceIds=[shared.id])
        shared.wait()
        assert shared.address == address
        after = shared.run("ls /kept; cat /etc/ssh/ssh_host_ed25519_key.pub /etc/machine-id")
        assert after == f"/kept\n{before}"

    @pytest.mark.parametrize(
        ("behavior", "state"), [("terminate", "terminated"), ("stop", "stopped")]
    )
    def test_it_shuts_itself_down(
        self, ready: Sandbox, ec2: Any, key: Path, behavior: str, state: str
    ) -> None:
        builder = launch(
            ec2,
            base_ami(ready),
            key,
            InstanceInitiatedShutdownBehavior=behavior,
            UserData="#!/bin/sh\nuntil [ -e /run/now ]; do sleep 0.1; done\nshutdown -h now\n",
        )
        builder.wait()
        builder.run("touch /run/now")
        until(lambda: builder.state == state)
        assert builder.described()["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"
        builder.terminate()

    def test_its_console_can_be_read(self, shared: Builder) -> None:
        until(lambda: "Multi-User System" in shared.console())

    def test_terminated_while_it_boots_it_is_gone(
        self, ready: Sandbox, ec2: Any, key: Path
    ) -> None:
        builder = launch(ec2, base_ami(ready), key)
        name = on_host(builder)
        builder.terminate()
        assert builder.state == "terminated"
        until(partial(unmentioned, name))
        until(lambda: not (ready.home / "machines" / builder.id).exists())


class TestItsInit:
    def test_it_is_systemd_and_all_units_are_up(self, shared: Builder) -> None:
        shared.run("systemctl is-system-running --wait")
        assert shared.run("systemctl is-active ecs docker").split() == ["active", "active"]
        # Started by ecs.service alone.
        assert "disabled" in shared.ssh("systemctl is-enabled docker").stdout

    def test_it_reboots_by_itself(self, shared: Builder) -> None:
        boot = shared.run("cat /run/mngen-machine/metadata/instance-id; touch /run/before")
        shared.ssh("sudo systemctl reboot")
        until(lambda: shared.ssh("test ! -e /run/before").returncode == 0)
        assert shared.state == "running"
        assert shared.run("cat /run/mngen-machine/metadata/instance-id") == boot

    def test_it_keeps_the_agent_masked_until_it_is_off(
        self, ready: Sandbox, ec2: Any, key: Path
    ) -> None:
        made = launch(ec2, base_ami(ready), key, UserData=BUILDER_USER_DATA)
        made.wait()
        made.run("cloud-init status --wait; systemctl is-system-running --wait || true")
        assert made.ssh("systemctl is-enabled ecs").stdout == "masked-runtime\n"
        assert made.ssh("systemctl is-active ecs").stdout == "inactive\n"
        assert made.run("ls /run/mngen-machine") == "metadata\n"
        image = made.image(unique("masked"))
        made.terminate()
        node = launch(ec2, image, key)
        node.wait()
        until(lambda: node.ssh("systemctl is-active ecs").stdout == "active\n")
        assert node.ssh("systemctl is-enabled ecs").stdout == "enabled\n"
        assert "cluster=default" in node.run("cat /run/mngen-machine/joined")
        node.terminate()


class TestAnImage:
    def test_it_keeps_what_was_done(self, ready: Sandbox, image: str) -> None:
        upper = ready.image_folder(image)
        assert (upper / "etc/baked").read_text(encoding="utf-8") == "baked\n"
        assert stat.S_ISCHR((upper / "etc/os-release").stat().st_mode)
        assert os.getxattr(upper / "etc/skel", "trusted.overlay.opaque") == b"y"
        with ready.image_root(image) as root:
            assert (root / "etc/baked").read_text(encoding="utf-8") == "baked\n"
            assert not (root / "etc/os-release").exists()
            assert not list((root / "etc/skel").iterdir())
            assert not list((root / "etc/ssh").glob("ssh_host_*"))
            assert (root / "usr/sbin/sshd").is_file()
            shown = subprocess.run(
                ["chroot", root, "cat", "/etc/baked"], capture_output=True, text=True, check=True
            )
            assert shown.stdout == "baked\n"
        assert not mentioned("mngen-view-")

    def test_a_machine_boots_from_it_and_makes_keys_of_its_own(
        self, image: str, ec2: Any, key: Path
    ) -> None:
        builder = launch(ec2, image, key)
        builder.wait()
        assert builder.run("cat /etc/baked; ls /etc/skel; ls /etc/os-release || true") == "baked\n"
        assert "ssh-ed25519" in builder.run("cat /etc/ssh/ssh_host_ed25519_key.pub")
        assert len(builder.run("cat /etc/machine-id").strip()) == 32
        assert builder.run("wc -l </home/ec2-user/.ssh/authorized_keys").strip() == "1"
        builder.terminate()

    def test_the_disk_below_stays_while_something_lies_above(
        self, ready: Sandbox, image: str, ec2: Any, key: Path
    ) -> None:
        middle = launch(ec2, image, key)
        middle.wait()
        ami = middle.image(unique("image"))
        middle.terminate()
        top = launch(ec2, ami, key)
        top.wait()
        mapping = ec2.describe_images(ImageIds=[ami])["Images"][0]["BlockDeviceMappings"]
        snapshot = mapping[0]["Ebs"]["SnapshotId"]
        with pytest.raises(ClientError, match=r"InvalidSnapshot\.InUse"):
            ec2.delete_snapshot(SnapshotId=snapshot)
        ec2.deregister_image(ImageId=ami)
        ec2.delete_snapshot(SnapshotId=snapshot)
        with pytest.raises(ClientError, match=r"InvalidAMIID\.Unavailable"):
            launch(ec2, ami, key)
        assert top.run("cat /etc/baked") == "baked\n"
        top.terminate()
        with pytest.raises(InputError, match=ami):
            ready.image_folder(ami)
        assert ready.image_folder(image).is_dir()

    def test_a_running_machine_is_down_for_it_and_up_again(
        self, ready: Sandbox, shared: Builder, ec2: Any
    ) -> None:
        shared.run("echo yes >/etc/imaged-live; sleep 1000 >/dev/null 2>&1 &")
        ami = ec2.create_image(InstanceId=shared.id, Name=unique("live"))["ImageId"]
        ec2.get_waiter("image_available").wait(ImageIds=[ami], WaiterConfig={"Delay": 1})
        assert (ready.image_folder(ami) / "etc/imaged-live").exists()
        until(lambda: shared.ssh("true").returncode == 0)
        assert "sleep 1000" not in shared.run("cat /proc/[0-9]*/cmdline | tr \\\\0 \\ ")

    def test_one_that_cannot_boot_is_terminated_with_the_reason(
        self, builder: Builder, ec2: Any, key: Path
    ) -> None:
        builder.run("rm /usr/lib/systemd/systemd")
        broken = launch(ec2, builder.image(unique("broken")), key)
        until(lambda: broken.state == "terminated")
        reason = broken.described()["StateReason"]
        assert reason["Code"] == "Server.InternalError"
        assert "ended while it booted" in reason["Message"]

    def test_one_without_an_sshd_runs_and_lets_nobody_in(
        self, builder: Builder, ec2: Any, key: Path
    ) -> None:
        builder.run("rm /usr/sbin/sshd")
        deaf = launch(ec2, builder.image(unique("deaf")), key)
        deaf.wait()
        assert deaf.ssh("true").returncode == 255
        deaf.terminate()


class TestTheEnd:
    @pytest.mark.parametrize("ways", [("reset", "stop"), ("kill",)], ids=["stop", "kill"])
    def test_nothing_of_a_machine_outlives_its_emulator(
        self, own: Sandbox, tmp_path: Path, ways: tuple[str, ...]
    ) -> None:
        ec2 = client(own, "ec2")
        for how in ways:
            builder = launch(ec2, base_ami(own), new_key(ec2, tmp_path, f"key-{how}"))
            builder.wait()
            builder.run("nohup setsid sleep 1000 >/dev/null 2>&1 &")
            name = on_host(builder)
            assert mentioned(name)
            if how == "stop":
                own.stop()
            elif how == "kill":
                os.kill(own.pid, signal.SIGKILL)
            else:
                own.reset()
                assert ec2.describe_instances()["Reservations"] == []
            for word in (name, str(own.home)):
                until(partial(unmentioned, word))
        own.stop()
        assert not own.home.exists()
