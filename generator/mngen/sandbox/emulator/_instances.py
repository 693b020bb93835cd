"""The gaps of the emulated EC2's instances: real machines, what a launch checks, what ends.

An instance that is launched with the tag `mngen:image`, as mngen's builders are, is a machine that
can be logged into, where this computer can run one. All others are what moto makes of them.
"""

from __future__ import annotations

import base64
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from moto.core.base_backend import BaseBackend
from moto.core.responses import ActionResult
from moto.core.types import Base64EncodedString
from moto.core.utils import utcnow
from moto.ec2.exceptions import EC2ClientError, InvalidKeyPairNameError
from moto.ec2.models import EC2Backend
from moto.ec2.models.instance_types import INSTANCE_TYPES
from moto.ec2.models.instances import Instance, InstanceState, StateReason
from moto.ec2.responses import EC2Response
from moto.ec2.responses.general import General
from moto.ec2.responses.instances import InstanceResponse
from moto.ec2.utils import public_key_parse
from moto.iam.exceptions import NotFoundException

from mngen.cluster import IMAGE_TAG
from mngen.sandbox.emulator._patch import patch
from mngen.sandbox.machines._machine import ENDED, FAILED, RUNNING

if TYPE_CHECKING:
    from collections.abc import Callable

    from mngen.sandbox.machines._machines import Machines

    Action = Callable[[Any], ActionResult]

_PENDING, _RUNNING, _TERMINATED = ("pending", 0), ("running", 16), "terminated"

_CONSOLE_BYTES = 64 * 1024
# Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StateReason.html
_REASONS = {
    "Client.InstanceInitiatedShutdown": "Instance initiated shutdown",
    "Client.InternalError": "Client error on launch",
    "Client.UserInitiatedShutdown": "User initiated shutdown",
}

_moto_run: Action = InstanceResponse.run_instances
_moto_start_all: Action = InstanceResponse.start_instances
_moto_stop_all: Action = InstanceResponse.stop_instances
_moto_console: Action = General.get_console_output
_moto_start: Any = Instance.start
_moto_stop: Any = Instance.stop
_moto_terminate: Any = Instance.terminate
_moto_reset: Any = BaseBackend.reset
_moto_name: Any = vars(Instance)["private_dns_name"]
_moto_nics: Any = vars(Instance)["network_interfaces"]


class InstanceActions:
    """Instances that are launched, stopped and terminated as in EC2."""

    ec2_backend: Any
    region: str
    _get_param: Any
    _parse_tag_specification: Any
    error_on_dryrun: Any

    def run_instances(self) -> ActionResult:
        """Checks what it is given, which moto does not, and boots builders."""
        self._check_launch()
        try:
            answer = _moto_run(self)
        except NotFoundException as error:
            # Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
            raise EC2ClientError(
                "InvalidParameterValue", "Invalid IAM Instance Profile name or ARN"
            ) from error
        given = {
            nic.get("DeviceIndex"): nic.get("DeleteOnTermination", True)
            for nic in self._get_param("NetworkInterfaces", [])
        }
        launched: Any = answer.result
        builder = IMAGE_TAG in self._parse_tag_specification().get("instance", {})
        for instance in launched.instances:
            for index, nic in instance.nics.items():
                # An interface that a launch made is deleted with the instance; moto's stays.
                nic.delete_on_termination = given.get(index, True)
            if builder and self.ec2_backend.machines.unavailable() is None:
                instance.become_machine()
        return answer

    def _check_launch(self) -> None:
        """Refuses an AMI or a key pair that is not there, or an AMI that is not ready."""
        backend = self.ec2_backend
        image_id, key = self._get_param("ImageId"), self._get_param("KeyName")
        if image_id:
            backend.usable_image(image_id)
        if key and key not in backend.key_pairs:
            raise InvalidKeyPairNameError([key])

    def start_instances(self) -> ActionResult:
        """Refuses an instance that was terminated or is being stopped."""
        self._require("started", "stopped", "pending", "running")
        return _moto_start_all(self)

    def stop_instances(self) -> ActionResult:
        """Refuses an instance that is still pending or was terminated."""
        self._require("stopped", "running", "stopping", "stopped")
        return _moto_stop_all(self)

    def _require(self, what: str, *states: str) -> None:
        """Refuses with IncorrectInstanceState, as EC2 does.

        Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
        """
        ids = self._get_param("InstanceIds", [])
        for instance in self.ec2_backend.get_multi_instances_by_id(ids):
            if instance.state not in states:
                raise EC2ClientError(
                    "IncorrectInstanceState",
                    f"The instance '{instance.id}' is not in a state from which it can be {what}.",
                )

    def get_console_output(self) -> ActionResult:
        """Answers with the last 64 KiB of an instance's own console; moto has a sample.

        If nothing is posted yet, there is no output. The latest output is available only for types
        with the Nitro hypervisor. Source:
        https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetConsoleOutput.html; how the
        refusal begins, a test of github.com/aws/eks-node-monitoring-agent (ConsoleLogging).
        """
        instance = self.ec2_backend.get_instance(self._get_param("InstanceId"))
        hypervisor = INSTANCE_TYPES.get(instance.instance_type, {}).get("Hypervisor")
        if self._get_param("Latest") in (True, "true") and hypervisor == "xen":
            raise EC2ClientError(
                "UnsupportedOperation",
                "This instance type does not support retrieving the latest console logs. Please "
                "submit the request without the `Latest` parameter.",
            )
        if instance.machine is None and instance.console is None:
            return _moto_console(self)
        text = (instance.console or "").encode()
        if instance.machine is not None:
            with suppress(OSError):
                text = (instance.machine.folder / "console.log").read_bytes()
        answer = {"InstanceId": instance.id, "Timestamp": utcnow()}
        if text:
            last = base64.b64encode(text[-_CONSOLE_BYTES:]).decode()
            answer["Output"] = Base64EncodedString(last)
        return ActionResult(answer)


class InstanceLife:
    """What becomes of one instance."""

    id: str
    image_id: str
    key_name: str | None
    region_name: str
    ec2_backend: Any
    nics: dict[int, Any]
    instance_initiated_shutdown_behavior: str
    user_data: Any
    state: str
    state_reason: Any
    _state: Any
    _reason: str

    machine: Any = None
    console: str | None = None
    """What it wrote to its console, where no machine did."""
    _address: str = ""

    def become_machine(self) -> None:
        """Boots a real machine, which the instance is `pending` for and has the address of."""
        backend = self.ec2_backend
        zone = "ec2" if self.region_name == "us-east-1" else f"{self.region_name}.compute"
        pair = backend.key_pairs.get(self.key_name)
        self.machine = backend.machines.launch(
            self.id,
            self.image_id,
            backend.amis[self.image_id].base,
            domain=f"{zone}.internal",
            key=_openssh(pair.material_public) if pair else "",
            user_data=base64.b64decode(str(self.user_data or "")),
            report=self.follow,
        )
        self._state = InstanceState(*_PENDING)
        self._take_address()

    def _take_address(self) -> None:
        """Has the instance's first interface at the machine's address, on loopback.

        The public address is the same one, if the subnet or the launch asks for one at all.
        """
        nic, address = self.nics[0], self.machine.address.ip
        if nic.private_ip_address != address:
            nic.subnet.del_subnet_ip(nic.private_ip_address)
            nic.private_ip_address = address
            nic.private_ip_addresses = [{"Primary": True, "PrivateIpAddress": address}]
            nic.private_dns_name = self.private_dns_name
        if nic.public_ip:
            nic.public_ip = address

    def follow(self, state: str) -> None:
        """Records what the machine did on its own.

        One that does not come up is terminated, with the reason that EC2 gives for a failed
        launch; one that shuts itself down is stopped or terminated, as the launch asked. Source:
        https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/troubleshooting-launch.html
        """
        if state == RUNNING and self.state == _PENDING[0]:
            self._state = InstanceState(*_RUNNING)
        elif state == FAILED:
            reason = f"Server.InternalError: Internal error on launch: {self.machine.failure}"
            self.terminate()
            self.state_reason = StateReason(reason, "Server.InternalError")
        elif state == ENDED and self.state == _RUNNING[0]:
            if self.instance_initiated_shutdown_behavior == "terminate":
                self.terminate()
            else:
                self.stop()
            self.state_reason = _reason("Client.InstanceInitiatedShutdown")

    def start(self) -> Any:
        """Boots the machine again, with the disk as it was left."""
        booted = self.machine is not None and self.state == "stopped"
        previous = _moto_start(self)
        if booted:
            self.ec2_backend.machines.start(self.id)
            self._state = InstanceState(*_PENDING)
            self._take_address()
        return previous

    def stop(self) -> Any:
        """Has the machine shut down in order, as EC2 does; its disk stays."""
        if self.machine is not None:
            self.machine.power_off()
        return _moto_stop(self)

    def terminate(self) -> Any:
        """Stops the machine and removes its disk."""
        if self.state == _TERMINATED:
            return self._state
        previous = _moto_terminate(self)
        if self.machine is not None:
            self.ec2_backend.machines.terminate(self.id)
        return previous

    def end_as(self, code: str) -> None:
        """Terminates it with EC2's own reason, and the time as EC2 shows it.

        Args:
            code: Such as `Client.InternalError`.
        """
        self.terminate()
        self.state_reason = _reason(code)
        if code == "Client.UserInitiatedShutdown":
            self._reason = f"User initiated ({utcnow():%Y-%m-%d %H:%M:%S} GMT)"
        else:
            self._reason = self.state_reason.message

    @property
    def private_ip_address(self) -> str | None:
        """A terminated instance has no address; the next machine may have it then."""
        return None if self.state == _TERMINATED else self.nics[0].private_ip_address

    @property
    def private_dns_name(self) -> str:
        """Empty for a terminated instance."""
        return "" if self.state == _TERMINATED else str(_moto_name.fget(self))

    @property
    def public_ip_address(self) -> str | None:
        """None of a terminated instance."""
        return None if self.state == _TERMINATED else self.nics[0].public_ip

    @property
    def network_interfaces(self) -> list[Any]:
        """None of a terminated instance."""
        return [] if self.state == _TERMINATED else list(_moto_nics.fget(self))


class MachineBackend:
    """The backend of EC2 with the emulator's machines."""

    machines: Machines

    def reset(self) -> None:
        """Stops all machines when the emulator is emptied."""
        self.machines.clear()
        _moto_reset(self)


def _reason(code: str) -> StateReason:
    """Returns the reason of a transition as EC2 words it."""
    return StateReason(f"{code}: {_REASONS[code]}", code)


def _openssh(material: bytes) -> str:
    """Returns a public key as a line of authorized_keys, whatever format it was imported in."""
    return public_key_parse(material).public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def close(machines: Machines) -> None:
    """Closes the gaps of instances.

    Args:
        machines: The emulator's machines.
    """
    MachineBackend.machines = machines
    patch(EC2Backend, MachineBackend, adds=("machines",))
    patch(
        Instance,
        InstanceLife,
        adds=(
            "machine",
            "console",
            "end_as",
            "_address",
            "become_machine",
            "_take_address",
            "follow",
        ),
    )
    patch(
        EC2Response,
        InstanceActions,
        adds=(
            "_check_launch",
            "_require",
        ),
    )
