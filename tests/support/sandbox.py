"""Talking to a sandbox from a test, and traps for what must not be talked to."""

from __future__ import annotations

import json
import socket
import threading
import uuid
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from mngen._descriptions import read_once
from mngen.cluster import IMAGE_TAG, NR_CPUS_TAG, deployment_tags
from tests.support.relay import Answer, Relay, Request

if TYPE_CHECKING:
    from mngen.cluster import Cluster
    from mngen.sandbox import Sandbox


# To make a client takes longer than most calls, so each is made once, in one session for a region;
# a service's description is read once for all. What leads it to the sandbox is in the environment
# meanwhile: one thread at a time.
_MAKING = threading.Lock()
_made: dict[tuple[str, str, str], Any] = {}
_sessions: dict[tuple[str, str], Any] = {}


def client(sandbox: Sandbox, service: str, region: str = "us-east-1") -> Any:
    """Return a boto3 client that talks to a sandbox."""
    key = (sandbox.endpoint, service, region)
    with _MAKING:
        if key not in _made:
            read_once()
            with sandbox.applied(region):
                place = (sandbox.endpoint, region)
                session: Any = _sessions.get(place) or boto3.session.Session()
                _sessions[place] = session
                # botocore makes up its own for each request, a tenth of a call's time.
                config = Config(user_agent="mngen-tests")
                _made[key] = session.client(service, config=config)
        return _made[key]


def make_environment(sandbox: Sandbox, region: str, name: str) -> str:
    """Make a compute environment as by hand, in the default VPC; return its ARN."""
    ec2 = client(sandbox, "ec2", region)
    vpc = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]
    here = [{"Name": "vpc-id", "Values": [vpc["VpcId"]]}]
    default = [*here, {"Name": "group-name", "Values": ["default"]}]
    [group] = ec2.describe_security_groups(Filters=default)["SecurityGroups"]
    profile = client(sandbox, "iam").create_instance_profile(InstanceProfileName=name)
    made = client(sandbox, "batch", region).create_compute_environment(
        computeEnvironmentName=name,
        type="MANAGED",
        computeResources={
            "type": "EC2",
            "minvCpus": 0,
            "maxvCpus": 1920,
            "instanceTypes": ["r5.24xlarge"],
            "subnets": [ec2.describe_subnets(Filters=here)["Subnets"][0]["SubnetId"]],
            "securityGroupIds": [group["GroupId"]],
            "instanceRole": profile["InstanceProfile"]["Arn"],
        },
    )
    return str(made["computeEnvironmentArn"])


def make_amis(sandbox: Sandbox, cluster: Cluster) -> dict[str, str]:
    """Make the AMIs of a deployment, with the tags that a bake gives them; return their ids."""
    spec = cluster.spec
    ec2 = client(sandbox, "ec2", spec.region)
    amis: dict[str, str] = {}
    for image in cluster.machine_images:
        made = ec2.register_image(Name=f"{spec.name}-{image.name}", RootDeviceName="/dev/xvda")
        tags = {
            **deployment_tags(spec),
            IMAGE_TAG: image.name,
            NR_CPUS_TAG: str(image.nr_cpus or 0),
        }
        ec2.create_tags(
            Resources=[made["ImageId"]],
            Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
        )
        amis |= dict.fromkeys(image.names, made["ImageId"])
    return amis


NO_SUBMISSIONS = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Deny", "Action": "batch:SubmitJob", "Resource": "*"}],
    }
)
"""A policy that denies submissions."""


def unique(stem: str) -> str:
    """Return a name that nothing else in a shared sandbox has."""
    return f"{stem}-{uuid.uuid4().hex[:12]}"


def error_code(call: Any, **arguments: Any) -> str:
    """Return the error code with which a call is refused."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return str(caught.value.response["Error"]["Code"])


def control(sandbox: Sandbox, **wishes: Any) -> None:
    """Set how the emulator's jobs and zones behave."""
    parts = urlsplit(sandbox.endpoint)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=180)
    connection.request("POST", "/_mngen/batch", json.dumps(wishes).encode())
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    assert answer.status == 200, text


class Trap:
    """A loopback port on which nothing may arrive; it keeps what does.

    Attributes:
        endpoint: Its URL.
        caught: The first bytes of every connection.
    """

    def __init__(self) -> None:
        self.caught: list[bytes] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._catch, daemon=True)

    def _catch(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                try:
                    self.caught.append(connection.recv(500))
                    connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
                except OSError:
                    self.caught.append(b"")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # close() alone does not wake a thread that waits in accept().
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


class Recorder(Relay):
    """A loopback port that hands requests on to a sandbox and keeps their headers.

    Attributes:
        requests: Headers of every request, names in lower case.
    """

    def __init__(self, target: str) -> None:
        super().__init__(target)
        self.requests: list[dict[str, str]] = []

    def handle(self, request: Request) -> Answer | None:
        """Keep the headers and hand the request on."""
        self.requests.append(request.headers)
        return self.forward(request)
