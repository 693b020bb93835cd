"""Builders in a sandbox: instances that are real machines, and what a test does with one."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mngen.sandbox import MACHINE_SSH_PORT
from tests.support.sandbox import client

if TYPE_CHECKING:
    from pathlib import Path

    from mngen.sandbox import Sandbox

SSH_OPTIONS = (
    *("-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "LogLevel=ERROR"),
    *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
    *("-o", "ConnectTimeout=30"),
)
"""Options with which ssh asks no question and remembers nothing."""

QUICK = {"Delay": 1, "MaxAttempts": 300}
"""How often a waiter asks, so that a test waits no longer than it must."""


@dataclass(frozen=True)
class Builder:
    """An instance that is a machine, and the key that opens it.

    Attributes:
        ec2: A client of EC2.
        id: The instance's id.
        key: The private key's file.
    """

    ec2: Any
    id: str
    key: Path

    def described(self) -> dict[str, Any]:
        """Return what EC2 reports about the instance."""
        answer = self.ec2.describe_instances(InstanceIds=[self.id])
        described: dict[str, Any] = answer["Reservations"][0]["Instances"][0]
        return described

    @property
    def state(self) -> str:
        """The instance's state."""
        return str(self.described()["State"]["Name"])

    @property
    def address(self) -> str:
        """The instance's private address."""
        return str(self.described()["PrivateIpAddress"])

    def wait(self, state: str = "running") -> None:
        """Wait until the instance is in a state."""
        waiter = self.ec2.get_waiter(f"instance_{state}")
        waiter.wait(InstanceIds=[self.id], WaiterConfig=QUICK)

    def ssh(self, command: str, user: str = "ec2-user") -> subprocess.CompletedProcess[str]:
        """Run a command on the machine."""
        return subprocess.run(
            [
                *("ssh", *SSH_OPTIONS, "-i", str(self.key), "-p", str(MACHINE_SSH_PORT)),
                *(f"{user}@{self.address}", command),
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def run(self, command: str) -> str:
        """Run a command on the machine as root, and return what it prints."""
        done = self.ssh(f"sudo sh -c '{command}'")
        assert done.returncode == 0, f"{done.stderr}\n{self.described()}\n{self.console()}"
        return done.stdout

    def console(self) -> str:
        """Return what the machine wrote while it booted."""
        return str(self.ec2.get_console_output(InstanceId=self.id)["Output"])

    def image(self, name: str, **arguments: Any) -> str:
        """Stop the machine, make an AMI of it, and return its id once it is available."""
        self.ec2.stop_instances(InstanceIds=[self.id])
        self.wait("stopped")
        ami = str(self.ec2.create_image(InstanceId=self.id, Name=name, **arguments)["ImageId"])
        self.ec2.get_waiter("image_available").wait(ImageIds=[ami], WaiterConfig=QUICK)
        return ami

    def terminate(self) -> None:
        """Stop the machine."""
        self.ec2.terminate_instances(InstanceIds=[self.id])


def base_ami(sandbox: Sandbox, base: str = "amazon-linux-2023") -> str:
    """Return the id of the ECS-optimized AMI that SSM recommends.

    It is quick: the emulated EC2 takes a second of processor time to list all AMIs.
    """
    name = f"/aws/service/ecs/optimized-ami/{base}/recommended/image_id"
    answer = client(sandbox, "ssm").get_parameter(Name=name)
    return str(answer["Parameter"]["Value"])


def new_key(ec2: Any, folder: Path, name: str, kind: str = "ed25519") -> Path:
    """Have EC2 make a key pair, and return the file of the private key."""
    material = ec2.create_key_pair(KeyName=name, KeyType=kind)["KeyMaterial"]
    path = folder / name
    path.touch(mode=0o600)
    path.write_text(material, encoding="utf-8")
    return path


def launch(ec2: Any, image: str, key: Path, **arguments: Any) -> Builder:
    """Launch a builder with the key pair that is named as the key's file; do not wait for it."""
    tags = [{"Key": "mngen:deployment", "Value": "test"}, {"Key": "mngen:image", "Value": "test"}]
    specification = [{"ResourceType": kind, "Tags": tags} for kind in ("instance", "volume")]
    answer = ec2.run_instances(
        **{
            "ImageId": image,
            "InstanceType": "t3.micro",
            "KeyName": key.name,
            "MinCount": 1,
            "MaxCount": 1,
            "TagSpecifications": specification,
            **arguments,
        }
    )
    return Builder(ec2, answer["Instances"][0]["InstanceId"], key)
