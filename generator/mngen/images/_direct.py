"""Bakes with EC2's own API and Ansible, for users without Packer."""

from __future__ import annotations

import socket
import subprocess
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from mngen import parts
from mngen._aws import client, translate, translated
from mngen._tags import tag_specifications, with_id
from mngen.cluster import BUILDER_USER_DATA, IMAGE_TAG
from mngen.errors import InterruptedRunError, Problem, ToolError
from mngen.images._ansible import play
from mngen.images._errors import CapacityError
from mngen.images._session import proxy_command

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mypy_boto3_ec2.client import EC2Client

    from mngen.images._job import Job

USER = "ec2-user"
"""The user of Amazon Linux who may become root."""

NO_CAPACITY = frozenset(
    {"InsufficientInstanceCapacity", "InsufficientHostCapacity", "Unsupported", "CapacityExceeded"}
)
"""What EC2 answers where a zone has no instance of a type now, or never has one."""

_EVERY = 2.0
_START_SECONDS = 300
_STOP_SECONDS = 300
_IMAGE_SECONDS = 3600


class DirectEngine:
    """The engine that needs nothing but boto3, ansible-runner and ssh."""

    def __init__(self) -> None:
        parts.require("bake-directly")

    def prepare(self, templates: Path) -> None:
        """Needs nothing prepared; see `Engine`."""

    def bake(self, job: Job) -> str:
        """Bakes one image; see `Engine`."""
        ec2: EC2Client = client("ec2", job.run.region)
        with _key_pair(ec2, job) as key, _builder(ec2, job) as instance:
            host = _address(ec2, job, instance)
            job.show("wait for ssh")
            proxy = None
            if job.run.connection == "session-manager":
                proxy = proxy_command(job.run.region)
                _wait_for_session_manager(job, instance)
            else:
                _wait_for_ssh(job, host)
            play(job, host=host, user=USER, key=key, proxy=proxy)
            _stop(ec2, job, instance)
            return _create_image(ec2, job, instance)


@contextmanager
def _key_pair(ec2: EC2Client, job: Job) -> Iterator[Path]:
    """Creates a separate key; EC2 gets only its public half."""
    job.run.cancel.check()
    key = job.folder / "id_ed25519"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "mngen bake", "-f", str(key)],
        check=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )
    name = job.key_pair_name
    with translated():
        ec2.import_key_pair(
            KeyName=name,
            PublicKeyMaterial=key.with_suffix(".pub").read_bytes(),
            TagSpecifications=tag_specifications(job.run_tags, "key-pair"),
        )
    try:
        yield key
    except BaseException:
        # A key that stays costs nothing, and must not hide why the bake failed.
        with suppress(ToolError), translated():
            ec2.delete_key_pair(KeyName=name)
        raise
    else:
        with translated():
            ec2.delete_key_pair(KeyName=name)
    finally:
        key.unlink(missing_ok=True)


@contextmanager
def _builder(ec2: EC2Client, job: Job) -> Iterator[str]:
    """Launches the instance that the image is made of, and terminates it."""
    job.show("launch")
    instance = _launch(ec2, job)
    failed = True
    try:
        yield instance
        failed = False
    finally:
        if not (failed and job.run.keep and not job.run.cancel.wanted):
            job.show("terminate")
            _terminate(ec2, instance)
            if not job.run.cancel.abandoned:
                _wait_for_end(ec2, instance)


def _terminate(ec2: EC2Client, instance: str) -> None:
    try:
        with translated():
            ec2.terminate_instances(InstanceIds=[instance])
    except ToolError as error:
        raise ToolError(
            *error.problems,
            Problem(
                f"the builder {instance} may still run, and cost money",
                hint="run mngen ami cleanup; it shuts down automatically after two hours",
            ),
        ) from error


def _launch(ec2: EC2Client, job: Job) -> str:
    run, image = job.run, job.target.image
    name = f"{run.name}-bake-{job.name}"
    request: Any = {
        "ImageId": job.target.baked_from.base_ami,
        "InstanceType": image.builder,
        "MinCount": 1,
        "MaxCount": 1,
        "KeyName": job.key_pair_name,
        "IamInstanceProfile": {"Name": run.site.instance_profile},
        "NetworkInterfaces": [
            {
                "DeviceIndex": 0,
                "SubnetId": job.subnet,
                "Groups": list(run.security_group_ids),
                # Where no public address is asked for, the subnet decides: in a public one, the
                # builder has no way out without it.
                **({"AssociatePublicIpAddress": True} if run.connection == "public-ip" else {}),
            }
        ],
        "MetadataOptions": {
            "HttpEndpoint": "enabled",
            "HttpTokens": "required",
            "HttpPutResponseHopLimit": 1,
        },
        "BlockDeviceMappings": [
            {
                "DeviceName": "/dev/xvda",
                "Ebs": {
                    "Encrypted": True,
                    **({"KmsKeyId": run.kms_key} if run.kms_key else {}),
                    "VolumeType": "gp3",
                    "VolumeSize": job.volume,
                    "DeleteOnTermination": True,
                },
            }
        ],
        # If this process vanishes, the builder shuts itself down.
        "InstanceInitiatedShutdownBehavior": "terminate",
        "UserData": BUILDER_USER_DATA,
        "TagSpecifications": [
            *tag_specifications({**job.run_tags, "Name": name}, "instance"),
            *tag_specifications(job.run_tags, "volume"),
        ],
        # A request whose answer was lost starts no second instance.
        "ClientToken": f"{run.suffix}-{image.label}-{job.subnet}"[:64],
    }
    try:
        return str(ec2.run_instances(**request)["Instances"][0]["InstanceId"])
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in NO_CAPACITY:
            raise CapacityError(*translate(error).problems) from error
        raise translate(error) from error
    except BotoCoreError as error:
        raise translate(error) from error


def _address(ec2: EC2Client, job: Job, instance: str) -> str:
    """Waits until the instance runs, and returns where it is reached."""
    job.show("wait for the instance")
    found: dict[str, Any] = {}

    def runs() -> bool:
        found.update(_describe(ec2, instance))
        state: str = found.get("State", {}).get("Name", "pending")
        if state in {"shutting-down", "terminated", "stopping", "stopped"}:
            reason = found.get("StateReason", {}).get("Message") or "for no given reason"
            raise ToolError(f"the builder {instance} was terminated unexpectedly: {reason}")
        return state == "running"

    job.run.cancel.wait_until(runs, f"{instance} to run", seconds=_START_SECONDS, every=_EVERY)
    if job.run.connection == "session-manager":
        return instance
    field = "PublicIpAddress" if job.run.connection == "public-ip" else "PrivateIpAddress"
    address = found.get(field)
    if not address:
        raise ToolError(
            f"the builder {instance} has no public address",
            hint="its subnet is private: write `image: {connect: session-manager}` into the spec",
        )
    return str(address)


def _describe(ec2: EC2Client, instance: str) -> dict[str, Any]:
    try:
        found = ec2.describe_instances(InstanceIds=[instance])["Reservations"]
    except ClientError as error:
        # For a moment after its launch, an instance is not known everywhere.
        if error.response.get("Error", {}).get("Code") == "InvalidInstanceID.NotFound":
            return {}
        raise translate(error) from error
    except BotoCoreError as error:
        raise translate(error) from error
    return dict(found[0]["Instances"][0]) if found else {}


def _wait_for_ssh(job: Job, host: str) -> None:
    def answers() -> bool:
        try:
            with socket.create_connection((host, job.run.ssh_port), timeout=5) as connection:
                return connection.recv(4).startswith(b"SSH-")
        except OSError:
            return False

    try:
        job.run.cancel.wait_until(
            answers,
            f"sshd on the builder ({host}, port {job.run.ssh_port})",
            seconds=job.run.ssh_seconds,
            every=_EVERY,
        )
    except ToolError as error:
        raise ToolError(
            str(error),
            hint="the security group must let you in (`image.ssh_from`), and your network out to "
            f"port {job.run.ssh_port}; `image: {{connect: session-manager}}` needs no port",
        ) from None


def _wait_for_session_manager(job: Job, instance: str) -> None:
    ssm: Any = client("ssm", job.run.region)

    def registered() -> bool:
        with translated():
            found = ssm.describe_instance_information(
                Filters=[{"Key": "InstanceIds", "Values": [instance]}]
            )
        return bool(found["InstanceInformationList"])

    job.run.cancel.wait_until(
        registered, f"{instance} to reach Session Manager", seconds=job.run.ssh_seconds, every=5
    )


def _stop(ec2: EC2Client, job: Job, instance: str) -> None:
    job.show("stop")
    job.run.cancel.check()
    with translated():
        ec2.stop_instances(InstanceIds=[instance])
    job.run.cancel.wait_until(
        lambda: _describe(ec2, instance).get("State", {}).get("Name") == "stopped",
        f"{instance} to stop",
        seconds=_STOP_SECONDS,
        every=_EVERY,
    )


def _create_image(ec2: EC2Client, job: Job, instance: str) -> str:
    job.show("create the image")
    run = job.run
    snapshot_tags = {**run.tags, IMAGE_TAG: job.name}
    with translated():
        ami = ec2.create_image(
            InstanceId=instance,
            Name=job.resource_name,
            TagSpecifications=[
                *tag_specifications(job.ami_tags, "image"),
                *tag_specifications(snapshot_tags, "snapshot"),
            ],
        )["ImageId"]
    try:
        run.cancel.wait_until(
            lambda: _is_available(ec2, ami),
            f"{ami} to be available",
            seconds=_IMAGE_SECONDS,
            every=_EVERY,
        )
    except (InterruptedRunError, ToolError):
        deregister(ec2, ami)
        raise
    return ami


def _is_available(ec2: EC2Client, ami: str) -> bool:
    # By a filter: for a moment after it was made, an image is not known everywhere.
    with translated():
        found = ec2.describe_images(Owners=["self"], Filters=with_id(ami))["Images"]
    state = found[0].get("State") if found else None
    if state in {"failed", "error", "invalid", "deregistered"}:
        reason = found[0].get("StateReason", {}).get("Message") or "AWS gives no reason"
        raise ToolError(f"the image {ami} failed: {reason}")
    return state == "available"


def deregister(ec2: EC2Client, ami: str) -> None:
    """Withdraws an AMI and deletes its snapshots.

    Raises:
        ToolError: AWS refused.
    """
    with translated():
        images = ec2.describe_images(Filters=with_id(ami))["Images"]
        snapshots = [
            mapping["Ebs"]["SnapshotId"]
            for image in images
            for mapping in image.get("BlockDeviceMappings", [])
            if mapping.get("Ebs", {}).get("SnapshotId")
        ]
        ec2.deregister_image(ImageId=ami)
        for snapshot in snapshots:
            ec2.delete_snapshot(SnapshotId=snapshot)


def _wait_for_end(ec2: EC2Client, instance: str) -> None:
    """Waits until the instance has let go of its security group."""
    with suppress(BotoCoreError, ClientError):
        ec2.get_waiter("instance_terminated").wait(
            InstanceIds=[instance], WaiterConfig={"Delay": 2, "MaxAttempts": 150}
        )
