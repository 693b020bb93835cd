"""Killing Terraform in the middle of an apply, between a change in AWS and its note in the state.

Moments are counted in requests, not in seconds, so that they are the same on any machine.
"""

from __future__ import annotations

import os
import random
import signal
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.cli import mngen
from tests.support.recording import Call, read_call
from tests.support.relay import Answer, Relay, Request

if TYPE_CHECKING:
    from collections.abc import Callable

_READS = ("Describe", "Get", "List", "Head")
_MOST_RUNS = 200


class Breaker(Relay):
    """Hands requests on, and kills the Terraform that sends them at one of its changes.

    Attributes:
        changes: How many requests have changed something since `arm`.
        killed: The operation at which Terraform was killed; empty for not yet.
        asked: What mngen itself asked, which no Terraform did.
    """

    def __init__(self, target: str) -> None:
        super().__init__(target)
        self.changes = 0
        self.killed = ""
        self.asked: list[Call] = []
        self._at = 0
        self._after = True
        self._lock = threading.Lock()

    def arm(self, at: int, *, after: bool) -> None:
        """Have Terraform killed at a change: the first is 1, none is 0.

        Args:
            at: The number of the change.
            after: Whether AWS still makes that change, and only its answer is lost.
        """
        with self._lock:
            self._at, self._after, self.changes, self.killed = at, after, 0, ""

    def handle(self, request: Request) -> Answer | None:
        """Hand a request on, or hang up on a Terraform that was killed."""
        operation = read_call(request, Answer(0, (), b"")).operation
        if "Terraform/" not in request.headers["user-agent"]:
            answer = self.forward(request)
            self.asked.append(read_call(request, answer))
            return answer
        if operation.startswith(_READS):
            return self.forward(request)
        with self._lock:
            if self.killed:
                return None
            self.changes += 1
            if self.changes == self._at:
                self.killed = operation
                if self._after:
                    self.forward(request)
                _kill(self.endpoint)
                return None
        return self.forward(request)


def _kill(endpoint: str) -> None:
    """Kill the Terraform that talks to an endpoint, with its provider: no port is used twice."""
    variable = f"AWS_ENDPOINT_URL={endpoint}".encode()
    for process in Path("/proc").glob("[0-9]*"):
        # One may end while it is looked at.
        with suppress(OSError):
            name = (process / "comm").read_text()
            environment = (process / "environ").read_bytes().split(b"\0")
            if name.startswith("terraform") and variable in environment:
                os.kill(int(process.name), signal.SIGKILL)


@dataclass
class Broken:
    """A deployment whose apply was killed again and again, until one went through.

    Attributes:
        kills: The operations at which Terraform was killed.
        last: What the apply that went through wrote.
        text: What all applies wrote.
    """

    kills: list[str] = field(default_factory=list)
    last: str = ""
    text: str = ""


def apply_until_done(
    folder: Path,
    breaker: Breaker,
    env: dict[str, str],
    *,
    seed: int,
    kills: int,
    on_kill: Callable[[str], None] = lambda _: None,
) -> Broken:
    """Run `mngen apply --yes`, killing Terraform at random changes, until it is done.

    Args:
        folder: Where the rendered tree is.
        breaker: What stands before AWS.
        env: The environment, which points at the breaker.
        seed: Of the moments.
        kills: How often to kill it at most.
        on_kill: Called with each operation at which it was killed.

    Raises:
        AssertionError: An apply failed without having been killed.
    """
    moments = random.Random(seed)
    broken = Broken()
    for _ in range(_MOST_RUNS):
        at = moments.randint(1, 10) if len(broken.kills) < kills else 0
        breaker.arm(at, after=moments.random() < 0.8)
        done = mngen("apply", "--yes", cwd=folder, env=env, timeout=600)
        broken.text += done.stderr
        if not breaker.killed:
            assert done.returncode == 0, f"seed {seed}, killed at {broken.kills}:\n{done.stderr}"
            broken.last = done.stderr
            return broken
        broken.kills.append(breaker.killed)
        on_kill(breaker.killed)
    raise AssertionError(f"seed {seed}: not done after {_MOST_RUNS} runs")


def counted(connect: Callable[[str], Any]) -> dict[str, int]:
    """Count what stands, by Terraform's type, of the types that can stand twice.

    Args:
        connect: Makes a client of a service, in an account that holds one deployment alone.
    """
    ec2, iam = connect("ec2"), connect("iam")
    tagged = [{"Name": "tag-key", "Values": ["mngen:deployment"]}]
    groups = ec2.describe_security_groups(Filters=tagged)["SecurityGroups"]
    gateways = ec2.describe_nat_gateways(Filter=tagged)["NatGateways"]
    environments = connect("batch").describe_compute_environments()["computeEnvironments"]
    return {
        "aws_batch_compute_environment": len(environments),
        "aws_efs_file_system": len(connect("efs").describe_file_systems()["FileSystems"]),
        "aws_eip": len(ec2.describe_addresses(Filters=tagged)["Addresses"]),
        "aws_iam_instance_profile": len(iam.list_instance_profiles()["InstanceProfiles"]),
        # The service-linked ones have a separate path.
        "aws_iam_role": len(iam.list_roles(PathPrefix="/")["Roles"])
        - len(iam.list_roles(PathPrefix="/aws-service-role/")["Roles"]),
        "aws_internet_gateway": len(
            ec2.describe_internet_gateways(Filters=tagged)["InternetGateways"]
        ),
        "aws_launch_template": len(ec2.describe_launch_templates()["LaunchTemplates"]),
        "aws_nat_gateway": sum(each["State"] == "available" for each in gateways),
        "aws_route_table": len(ec2.describe_route_tables(Filters=tagged)["RouteTables"]),
        "aws_security_group": sum(each["GroupName"] != "default" for each in groups),
        "aws_subnet": len(ec2.describe_subnets(Filters=tagged)["Subnets"]),
        "aws_vpc": len(ec2.describe_vpcs(Filters=tagged)["Vpcs"]),
        "aws_vpc_endpoint": len(ec2.describe_vpc_endpoints(Filters=tagged)["VpcEndpoints"]),
    }


def open_groups(ec2: Any) -> list[str]:
    """List the deployment's security groups that let everything out."""
    tagged = [{"Name": "tag-key", "Values": ["mngen:deployment"]}]
    return [
        group["GroupName"]
        for group in ec2.describe_security_groups(Filters=tagged)["SecurityGroups"]
        if group["GroupName"] != "default"
        for rule in group["IpPermissionsEgress"]
        if rule["IpProtocol"] == "-1" and rule["IpRanges"]
    ]
